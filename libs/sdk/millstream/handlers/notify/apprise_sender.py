"""Sends messages by Apprise, which blocks: its handlers run in threads.

The URLs hold credentials, so they come from settings alone, and their schemes from a list: Apprise also knows some that
start programs or write files.
"""

from collections.abc import Iterable, Sequence
from typing import Literal

from millstream.errors import HandlerError

CHAT_SCHEMES = frozenset(
    {
        "discord", "gotify", "gotifys", "json", "jsons", "lark", "mailto", "mailtos", "matrix", "matrixs", "mmost",
        "mmosts", "msteams", "ntfy", "ntfys", "opsgenie", "pagerduty", "pover", "pushbullet", "rocket", "rockets",
        "signal", "signals", "signl4", "slack", "splunk", "tgram", "webex", "workflows", "wxteams", "zulip",
    }
)  # fmt: skip
"""The schemes that `notify.send` uses."""

SMS_SCHEMES = frozenset(
    {
        "bulksms", "burstsms", "clickatell", "clicksend", "d7sms", "kavenegar", "messagebird", "msg91", "nexmo",
        "plivo", "seven", "signal", "signals", "sinch", "sns", "threema", "twilio", "voipms", "vonage",
    }
)  # fmt: skip
"""The schemes that `sms.send` uses."""

Kind = Literal["info", "success", "warning", "failure"]
Format = Literal["text", "markdown", "html"]


class NotDeliveredError(Exception):
    """A service did not accept a message."""


def check_scheme(url: str, allowed: Iterable[str]) -> None:
    """Raise HandlerError for a URL whose scheme is not allowed; its text has the scheme alone."""
    scheme, divider, _ = url.partition("://")
    if not divider or scheme.lower() not in allowed:
        shown = scheme if divider and scheme.isalnum() else "one without a scheme"
        raise HandlerError(f"no messages go to a URL such as {shown}: expected one of {', '.join(sorted(allowed))}")


def send(urls: Sequence[str], *, title: str, body: str, kind: Kind = "info", format: Format = "text") -> None:
    """Send a message to all of these URLs, and return once each service has accepted it.

    Raises: HandlerError, without Apprise or for a URL that it cannot read; NotDeliveredError.
    """
    try:
        import apprise  # noqa: PLC0415 - an extra of its own
    except ModuleNotFoundError:
        raise HandlerError("this handler needs Apprise: pip install 'millstream[notify]'") from None
    sender = apprise.Apprise()
    for url in urls:
        if not sender.add(url):
            raise HandlerError(f"Apprise cannot read one of the URLs, of the scheme {url.partition('://')[0]}")
    with apprise.LogCapture(level=apprise.logging.WARNING) as said:  # type: ignore[no-untyped-call]
        accepted = sender.notify(body=body, title=title, notify_type=kind, body_format=format)
        if not accepted:
            raise NotDeliveredError(f"not every service accepted the message: {_last_line(said.getvalue())}")


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1][:200] if lines else "no reason was given"
