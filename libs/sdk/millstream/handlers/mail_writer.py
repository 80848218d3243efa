"""Turns the payload of `email.send` into a message. No text in a payload can add a header or a recipient."""

import base64
import binascii
import re
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from typing import Annotated

from msgspec import Meta, Struct, field

from millstream.steering import Dead
from millstream_contracts import JobId

# No control character but the tab: a line break would end the header, others hide text from readers.
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")

_SPEC = r"[^\s<>@\"(),:;\\\[\]]+@[^\s<>@\"(),:;\\\[\]]+"
_MAILBOX = re.compile(rf"(?:(?P<name>\"[^\"]*\"|[^<>\",]*)<(?P<angle>{_SPEC})>|(?P<bare>{_SPEC}))")

_HEADER_NAME = re.compile(r"[!-9;-~]{1,76}")
_CONTENT_TYPE = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]*/[a-z0-9][a-z0-9!#$&^_.+-]*", re.IGNORECASE)

_OWN_HEADERS = frozenset(
    {"from", "sender", "to", "cc", "bcc", "reply-to", "subject", "date", "message-id", "mime-version"}
)
"""Headers that have fields of their own or are set here, like all that start with `Content-` or `Resent-`."""

Addresses = str | Annotated[list[str], Meta(max_length=100)]
"""One address or several, each as `name@host` or `Name <name@host>`."""


class Attachment(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A small file that goes with a mail."""

    filename: Annotated[str, Meta(min_length=1, max_length=255)]
    content_base64: str
    content_type: str = "application/octet-stream"


class Email(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One mail."""

    to: Addresses
    subject: Annotated[str, Meta(max_length=1000)]
    text: str
    html: str | None = None
    from_: str | None = field(name="from", default=None)
    """Default: `SmtpSettings.sender`."""
    cc: Addresses = []
    bcc: Addresses = []
    reply_to: Addresses = []
    headers: dict[str, str] = {}
    attachments: Annotated[list[Attachment], Meta(max_length=20)] = []


class Envelope(Struct, frozen=True):
    """A message, its sender and its recipients."""

    message: EmailMessage
    sender: str
    recipients: list[str]
    message_id: str


def write_mail(mail: Email, job_id: JobId, default_sender: str) -> Envelope:
    """Return the message of a job. The same job always has the same Message-ID.

    Raises: Dead, when the mail is wrong; a repetition would not help.
    """
    sender = _address("from", mail.from_ or default_sender)
    to, cc, bcc = (_addresses(name, getattr(mail, name)) for name in ("to", "cc", "bcc"))
    if not to:
        raise Dead("`to` has no address")
    message = EmailMessage(policy=SMTP)
    message["From"] = sender
    message["To"] = to
    if cc:
        message["Cc"] = cc
    if reply_to := _addresses("reply_to", mail.reply_to):
        message["Reply-To"] = reply_to
    message["Subject"] = _line("subject", mail.subject)
    message["Date"] = format_datetime(datetime.now(UTC))
    message["Message-ID"] = message_id = f"<{job_id}@{sender.domain}>"
    _add_headers(message, mail.headers)
    _add_body(message, mail)
    # An address that is named twice gets the mail once.
    recipients = list(dict.fromkeys(address.addr_spec for address in (*to, *cc, *bcc)))
    return Envelope(message, sender.addr_spec, recipients, message_id)


def _addresses(name: str, given: Addresses) -> list[Address]:
    texts = [given] if isinstance(given, str) else given
    return [_address(name, text) for text in texts]


def _address(name: str, text: str) -> Address:
    match = _MAILBOX.fullmatch(_line(name, text).strip())
    if match is None:
        raise Dead(f"`{name}`: {text!r} is no address; write name@host or Name <name@host>, one in each string")
    user, _, domain = (match["angle"] or match["bare"]).partition("@")
    return Address((match["name"] or "").strip().strip('"'), user, domain)


def _line(name: str, text: str) -> str:
    if _CONTROL.search(text):
        raise Dead(f"`{name}` has a line break or another control character in it")
    return text


def _add_headers(message: EmailMessage, headers: dict[str, str]) -> None:
    for name, value in headers.items():
        if not _HEADER_NAME.fullmatch(name):
            raise Dead(f"`headers`: {name!r} is no name of a header")
        if name.lower() in _OWN_HEADERS or name.lower().startswith(("content-", "resent-")):
            raise Dead(f"`headers`: {name} is not set there")
        message[name] = _line(f"headers.{name}", value)


def _add_body(message: EmailMessage, mail: Email) -> None:
    message.set_content(mail.text)
    if mail.html is not None:
        message.add_alternative(mail.html, subtype="html")
    for attachment in mail.attachments:
        main, _, sub = _content_type(attachment).partition("/")
        filename = _line("attachments.filename", attachment.filename)
        message.add_attachment(_content(attachment), maintype=main, subtype=sub, filename=filename)


def _content_type(attachment: Attachment) -> str:
    if not _CONTENT_TYPE.fullmatch(attachment.content_type) or attachment.content_type.startswith("multipart/"):
        raise Dead(f"`attachments`: {attachment.content_type!r} is no content type for a file")
    return attachment.content_type


def _content(attachment: Attachment) -> bytes:
    try:
        return base64.b64decode(attachment.content_base64, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Dead(f"`attachments`: the content of {attachment.filename!r} is no base64: {error}") from error
