"""Words for an endpoint: its state, and what is wrong with it."""

from markupsafe import Markup

from millstream import Webhook
from millstream_console.drawing.moments import long_ago
from millstream_console.drawing.sentence import sentence
from millstream_contracts import ENDS

BY_HAND = "by hand"
"""The reason of an endpoint that a person has disabled."""


def state_of(webhook: Webhook) -> str:
    """Return the state of an endpoint: `enabled`, `retrying` while deliveries fail, `disabled`."""
    if webhook.disabled_at is not None:
        return "disabled"
    return "retrying" if webhook.failing_since is not None else "enabled"


def word_of(webhook: Webhook) -> str:
    """Return the state as people read it."""
    return {"retrying": "failing"}.get(state_of(webhook), state_of(webhook))


def trouble_of(webhook: Webhook) -> Markup | None:
    """Say why an endpoint gets nothing, or does not take what it gets; None where it works."""
    if webhook.disabled_at is not None:
        reason = webhook.disabled_reason or BY_HAND
        return sentence("<b>Disabled {}</b>: {}. It gets no events until it is enabled.", _since(webhook), reason)
    if webhook.failing_since is not None:
        return sentence(
            "<b>Every delivery fails</b>: the first of them {}. An endpoint that fails for five days is disabled.",
            long_ago(webhook.failing_since),
        )
    return None


def events_of(webhook: Webhook) -> str:
    """Return the events that an endpoint gets."""
    return "the ends of jobs" if set(webhook.events) == set(ENDS) else ", ".join(map(str, webhook.events))


def types_of(webhook: Webhook) -> str:
    """Return the types whose events an endpoint gets."""
    return "all types" if webhook.types == ["*"] else ", ".join(webhook.types)


def _since(webhook: Webhook) -> Markup:
    return long_ago(webhook.disabled_at)
