"""`email.send`: delivers one mail over SMTP.

A mail may be delivered twice when a worker is lost between the server's answer and the commit; its
Message-ID, which comes from the job's id, is then the same.
"""

from collections.abc import Iterable

import aiosmtplib
from msgspec import Struct

from millstream.context import Context
from millstream.handlers.mail_writer import Email, write_mail
from millstream.handlers.shared import Shared, shared
from millstream.steering import Dead

# Refusals of the mail itself: a repetition gets the same answer. Refusals of the connection, the greeting or the login
# concern the state of the server or the settings, which can be mended, so they are retried.
_ABOUT_THE_MAIL = (aiosmtplib.SMTPSenderRefused, aiosmtplib.SMTPRecipientRefused, aiosmtplib.SMTPDataError)


class EmailReceipt(Struct, frozen=True):
    """What the server did with a mail."""

    message_id: str
    accepted: list[str]
    refused: dict[str, str]
    """Refused recipients, with the answer of the server, while others were accepted."""


async def send_email(mail: Email, ctx: Context[Shared]) -> EmailReceipt:
    """Send one mail over SMTP.

    Raises: Dead, when the mail is wrong or refused for good; aiosmtplib.SMTPException, OSError otherwise.
    """
    mailer = shared(ctx).mailer
    envelope = write_mail(mail, ctx.job_id, mailer.sender)
    try:
        refused = await mailer.send(envelope.message, envelope.sender, envelope.recipients)
    except aiosmtplib.SMTPRecipientsRefused as error:
        if all(_is_permanent(refusal) for refusal in error.recipients):
            raise Dead(f"every recipient was refused: {_words(error.recipients)}") from error
        raise
    except _ABOUT_THE_MAIL as error:
        if _is_permanent(error):
            raise Dead(f"the server refused the mail: {error.code} {error.message}") from error
        raise
    except aiosmtplib.SMTPNotSupported as error:
        raise Dead(f"the server cannot take the mail: {error}") from error
    accepted = [address for address in envelope.recipients if address not in refused]
    return EmailReceipt(message_id=envelope.message_id, accepted=accepted, refused=refused)


def _is_permanent(error: aiosmtplib.SMTPResponseException) -> bool:
    return 500 <= error.code < 600


def _words(refusals: Iterable[aiosmtplib.SMTPRecipientRefused]) -> str:
    return "; ".join(f"{refusal.recipient} {refusal.code} {refusal.message}" for refusal in refusals)
