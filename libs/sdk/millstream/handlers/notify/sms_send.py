"""`sms.send`: a short text to telephone numbers, over the gateway that the worker has, at least once."""

from typing import Annotated

from msgspec import Meta, Struct

from millstream.context import SyncContext
from millstream.errors import HandlerError
from millstream.handlers.notify.apprise_sender import NotDeliveredError, send
from millstream.handlers.shared import Shared, shared

PhoneNumber = Annotated[str, Meta(pattern=r"^\+[1-9][0-9]{6,14}$")]
"""A number as E.164 has it: `+491701234567`."""


class Sms(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A short text."""

    to: Annotated[list[PhoneNumber], Meta(min_length=1, max_length=100)]
    text: Annotated[str, Meta(min_length=1, max_length=1_600)]


class SmsReceipt(Struct, frozen=True):
    """What the gateway did with a text."""

    accepted: list[str]
    refused: dict[str, str]
    """Numbers that it did not accept, with what it said, while it accepted others."""


def send_sms(sms: Sms, ctx: SyncContext[Shared]) -> SmsReceipt:
    """Send a short text. Raises: HandlerError; NotDeliveredError, when the gateway accepted no number."""
    url = shared(ctx).notify.sms_url
    if url is None:
        raise HandlerError("this worker has no gateway for SMS: set MILLSTREAM_SMS_URL")
    accepted: list[str] = []
    refused: dict[str, str] = {}
    for number in dict.fromkeys(sms.to):
        try:
            send([_addressed(url, number)], title="", body=sms.text)
        except NotDeliveredError as error:
            refused[number] = str(error)
        else:
            accepted.append(number)
    if not accepted:
        raise NotDeliveredError(f"the gateway accepted no number: {next(iter(refused.values()))}")
    return SmsReceipt(accepted, refused)


def _addressed(url: str, number: str) -> str:
    """Return the URL of the gateway with a number behind its path."""
    address, divider, query = url.partition("?")
    return f"{address.rstrip('/')}/{number}{divider}{query}"
