"""`webhook.call`: sends one JSON value to a URL, signed at the moment of sending.

A receiver gets a call at least once, each time with the same `webhook-id` and the same body.
"""

import time

from msgspec import Struct

from millstream.context import Context
from millstream.handlers.shared import Shared, shared
from millstream.handlers.webhook.pause import pause_s
from millstream.outgoing.guarded_client import Answer
from millstream.steering import Dead, Discard, Snooze
from millstream_contracts import made_at_ms
from millstream_webhooks import GONE_REASON, PAUSES_WITHIN_S, WebhookCall, WebhookError

GONE = 410

_SHOWN_CHARS = 500


class WebhookReceipt(Struct, frozen=True):
    """What the receiver answered."""

    status: int
    answer: str
    """The beginning of the answer."""
    duration_ms: int


class NotAcceptedError(Exception):
    """The receiver did not accept a call; the text says what it answered."""


async def call_webhook(call: WebhookCall, ctx: Context[Shared]) -> WebhookReceipt:
    """Send one signed POST to a URL.

    Raises: Dead, when the call can never be made; Discard, when the receiver is gone; Snooze, when it asks for a pause;
    NoAnswerError, NotAcceptedError, which are tried again.
    """
    began = time.monotonic()
    try:
        answer = await shared(ctx).webhooks.send(call, ctx.job_id)
    except WebhookError as error:
        raise Dead(str(error)) from error
    if 200 <= answer.status < 300:
        return WebhookReceipt(answer.status, _text(answer), round((time.monotonic() - began) * 1000))
    if answer.status == GONE:
        raise Discard(GONE_REASON)
    pause = pause_s(answer)
    if pause is not None and time.time() - made_at_ms(ctx.job_id) / 1000 < PAUSES_WITHIN_S:
        raise Snooze(pause)
    raise NotAcceptedError(f"the receiver answered {answer.status}: {_text(answer)}".rstrip(": "))


def _text(answer: Answer) -> str:
    # A NUL could be stored in no database.
    return answer.body[: 4 * _SHOWN_CHARS].decode(errors="replace")[:_SHOWN_CHARS].replace("\0", "\ufffd")
