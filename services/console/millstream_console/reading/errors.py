"""Words for what jobs died of."""

from millstream_contracts import DeadGroup

_REASON = "reason:"


def error_of(group: DeadGroup) -> str:
    """Return what a group died of, in a word: the name of the exception, or the reason of their death."""
    if group.sample.error is not None:
        return group.sample.error.type.rpartition(".")[2] or group.sample.error.type
    return group.fingerprint.removeprefix(_REASON)


def message_of(group: DeadGroup) -> str:
    """Return what the newest of a group says, on one line."""
    error = group.sample.error
    return " ".join(error.message.split()) if error else ""
