"""Endpoints of webhooks as the calls of clients describe them."""

from collections.abc import Iterable

from millstream_contracts import JobEvent, NewWebhook, WebhookChange, did_you_mean


def new_webhook(
    url: str, types: Iterable[str], events: Iterable[JobEvent | str], *, payloads: bool, description: str
) -> NewWebhook:
    """Return an endpoint to be made. Raises: TypeError, ValueError."""
    return NewWebhook(
        url=url, types=_words("types", types), events=_events(events), payloads=payloads, description=description
    )


def webhook_change(
    url: str | None,
    types: Iterable[str] | None,
    events: Iterable[JobEvent | str] | None,
    *,
    payloads: bool | None,
    description: str | None,
) -> WebhookChange:
    """Return what changes of an endpoint. Raises: TypeError, ValueError."""
    return WebhookChange(
        url=url,
        types=None if types is None else _words("types", types),
        events=None if events is None else _events(events),
        payloads=payloads,
        description=description,
    )


def _words(name: str, words: Iterable[str]) -> list[str]:
    if isinstance(words, str):
        raise TypeError(f"{name} are a list; one text would be taken for a list of letters")
    return list(words)


def _events(events: Iterable[JobEvent | str]) -> list[JobEvent]:
    return [_event(word) for word in _words("events", events)]


def _event(word: str) -> JobEvent:
    try:
        return JobEvent(word)
    except ValueError:
        raise ValueError(f"there is no event `{word}`{did_you_mean(word, list(JobEvent))}") from None
