"""Words for what jobs died of."""

from millstream_contracts import DeadGroup

_REASON = "reason:"


def error_of(group: DeadGroup) -> str:
    """Return what a group died of, in a word: the name of the exception, or the reason of their death."""
    name = group.error_type or (group.sample.error.type if group.sample.error else "")
    return name.rpartition(".")[2] or name or group.fingerprint.removeprefix(_REASON)


def message_of(group: DeadGroup) -> str:
    """Return what the newest of a group says, on one line."""
    message = group.message or (group.sample.error.message if group.sample.error else "")
    return " ".join(message.split())


def place_of(group: DeadGroup) -> str:
    """Return where the error was raised: `shop/mail.py:88`; empty where that is not known."""
    return group.place.location if group.place else ""
