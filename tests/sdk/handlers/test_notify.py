"""`notify.send` and `sms.send` deliver over Apprise to a receiver on loopback."""

import json
from typing import Any

import anyio.to_thread
import pytest
from sdk.contexts import make_context
from sdk.handlers.receivers import answering, receiving

from millstream import Context, HandlerError
from millstream.handlers import (
    Notification,
    NotifySettings,
    ReportSettings,
    Shared,
    Sms,
    SmtpSettings,
    send_notification,
    send_sms,
)
from millstream.handlers.mailer import Mailer
from millstream.handlers.notify import apprise_sender
from millstream.handlers.notify.apprise_sender import CHAT_SCHEMES, SMS_SCHEMES, NotDeliveredError, check_scheme

# Apprise 2.3 looks for a module of the library that Python 3.13 no longer has.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")


def context(**settings: Any) -> Context:
    """Return a context whose worker has these URLs."""
    state = Shared(Mailer(SmtpSettings()), ReportSettings(), notify=NotifySettings(**settings))
    return make_context("notify.send", state)


async def test_notification_goes_to_every_url() -> None:
    """A message is posted to each service, with its title, its text and its kind."""
    async with receiving() as one, receiving() as other:
        ctx = context(urls=(f"json://127.0.0.1:{one.port}/a", f"json://127.0.0.1:{other.port}/b"))
        notification = Notification(title="Disk", body="is full: <b>now</b>", kind="failure")
        receipt = await anyio.to_thread.run_sync(send_notification, notification, ctx)
    assert receipt.services == 2
    for receiver in (one, other):
        (got,) = receiver.received
        body = json.loads(got.body)
        assert (body["title"], body["message"], body["type"]) == ("Disk", "is full: <b>now</b>", "failure")


async def test_notification_fails_when_a_service_does_not_accept_it() -> None:
    """A message that one service refuses is a failed attempt."""
    async with receiving() as one, receiving(answering(500)) as other:
        ctx = context(urls=(f"json://127.0.0.1:{one.port}/", f"json://127.0.0.1:{other.port}/"))
        with pytest.raises(NotDeliveredError, match="not every service accepted the message"):
            await anyio.to_thread.run_sync(send_notification, Notification(body="x"), ctx)


async def test_sms_goes_to_each_number_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A text goes to each number behind the URL of the gateway, which keeps its query."""
    monkeypatch.setattr("millstream.handlers.settings.SMS_SCHEMES", {"json"})
    async with receiving() as receiver:
        ctx = context(sms_url=f"json://127.0.0.1:{receiver.port}/gateway/?:from=shop")
        sms = Sms(to=["+491701234567", "+4915112345678", "+491701234567"], text="ready")
        receipt = await anyio.to_thread.run_sync(send_sms, sms, ctx)
    assert (receipt.accepted, receipt.refused) == (["+491701234567", "+4915112345678"], {})
    assert [got.target for got in receiver.received] == [
        "/gateway/%2B491701234567", "/gateway/%2B4915112345678"
    ] or [got.target for got in receiver.received] == ["/gateway/+491701234567", "/gateway/+4915112345678"]  # fmt: skip
    assert {json.loads(got.body)["message"] for got in receiver.received} == {"ready"}


async def test_sms_fails_when_the_gateway_accepts_no_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """A text that goes to no number is a failed attempt."""
    monkeypatch.setattr("millstream.handlers.settings.SMS_SCHEMES", {"json"})
    async with receiving(answering(503)) as receiver:
        ctx = context(sms_url=f"json://127.0.0.1:{receiver.port}/")
        with pytest.raises(NotDeliveredError, match="accepted no number"):
            await anyio.to_thread.run_sync(send_sms, Sms(to=["+491701234567"], text="x"), ctx)


def test_sms_needs_a_gateway() -> None:
    """Without a gateway the handler says which setting is missing."""
    with pytest.raises(HandlerError, match="MILLSTREAM_SMS_URL"):
        send_sms(Sms(to=["+491701234567"], text="x"), context())


@pytest.mark.parametrize("url", ["file:///etc/passwd", "dbus://", "syslog://x", "python://x", "no scheme", "exec://a"])
def test_url_of_another_scheme_is_refused(url: str) -> None:
    """Apprise knows schemes that reach into the machine: only listed ones are taken, and the URL is not repeated."""
    for schemes in (CHAT_SCHEMES, SMS_SCHEMES):
        with pytest.raises(HandlerError, match="expected one of"):
            check_scheme(url, schemes)
    with pytest.raises(HandlerError) as caught:
        NotifySettings(urls=("weird://token4711@host",))
    assert "token4711" not in str(caught.value)


def test_settings_show_no_url() -> None:
    """The URLs hold credentials and are in no text of the settings."""
    assert "token" not in repr(NotifySettings(urls=("slack://token/a/b/c",), sms_url="twilio://a:token@+1/"))


def test_url_that_apprise_cannot_read_is_an_error_without_its_text() -> None:
    """A broken URL is named by its scheme alone."""
    with pytest.raises(HandlerError, match="of the scheme slack") as caught:
        apprise_sender.send(["slack://secret"], title="", body="x")
    assert "secret" not in str(caught.value)
