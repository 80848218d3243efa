"""`email.send` delivers mails to a real mail server on loopback."""

import base64
import email
import email.policy
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import aiosmtplib
import anyio
import msgspec
import pytest
from aiosmtpd.smtp import AuthResult, Envelope
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from sdk.contexts import make_context
from sdk.handlers.smtp_sink import SmtpSink
from speakers import speaker
from waiting import wait_until

from millstream import Context, Dead, HandlerError
from millstream.handlers import Attachment, Email, HandlerSettings, SmtpSettings, builtin_app, opened, send_email
from millstream.handlers import mailer as mailer_module
from millstream.handlers.mail_writer import write_mail
from millstream.handlers.mailer import KEEP_IDLE_S, Mailer


@asynccontextmanager
async def context_for(smtp: SmtpSettings) -> AsyncIterator[Context]:
    """Return a context whose state leads to this server."""
    async with opened(HandlerSettings(smtp=smtp)) as state:
        yield make_context("email.send", state)


def parsed(envelope: Envelope) -> EmailMessage:
    """Return a delivered mail."""
    assert isinstance(envelope.content, bytes)
    return email.message_from_bytes(envelope.content, policy=email.policy.default)  # type: ignore[return-value]


def mail(**fields: Any) -> Email:
    """Return a valid mail, changed by these fields."""
    return Email(**({"to": "a@example.org", "subject": "Hi", "text": "Hello"} | fields))


async def test_send_email_delivers_every_part(sink: SmtpSink, smtp: SmtpSettings) -> None:
    """Each field of the payload is delivered where mail programs look for it."""
    async with context_for(smtp) as ctx:
        receipt = await send_email(
            mail(
                to=["Ann Ö. <ann@example.org>", "bob@example.org"],
                subject="Grüße",
                text="Hello\n.\nbye",
                html="<p>Hello</p>",
                from_="Shop <orders@example.net>",
                cc="carl@example.org",
                bcc="dora@example.org",
                reply_to="help@example.org",
                headers={"X-Order": "7"},
                attachments=[
                    Attachment(filename="ü.txt", content_base64=base64.b64encode(b"\x00\xff").decode()),
                    Attachment(filename="a.pdf", content_base64="", content_type="application/pdf"),
                ],
            ),
            ctx,
        )
    (envelope,) = sink.mails
    message = parsed(envelope)
    recipients = ["ann@example.org", "bob@example.org", "carl@example.org", "dora@example.org"]
    assert (envelope.mail_from, envelope.rcpt_tos) == ("orders@example.net", recipients)
    assert (receipt.accepted, receipt.refused) == (recipients, {})
    assert [address.display_name for address in message["To"].addresses] == ["Ann Ö.", ""]
    assert (message["From"], message["Cc"]) == ("Shop <orders@example.net>", "carl@example.org")
    assert (message["Reply-To"], message["X-Order"], message["Subject"]) == ("help@example.org", "7", "Grüße")
    assert message["Bcc"] is None
    assert message["Date"].datetime.tzinfo is not None
    plain, html = message.get_body(("plain",)), message.get_body(("html",))
    assert plain is not None
    assert html is not None
    assert plain.get_content().splitlines() == ["Hello", ".", "bye"]
    assert html.get_content().strip() == "<p>Hello</p>"
    attachment, other = message.iter_attachments()
    assert (attachment.get_filename(), attachment.get_content()) == ("ü.txt", b"\x00\xff")
    assert attachment.get_content_type() == "application/octet-stream"
    assert (other.get_filename(), other.get_content_type()) == ("a.pdf", "application/pdf")


async def test_send_email_sends_one_copy_to_an_address_that_is_named_twice(sink: SmtpSink, smtp: SmtpSettings) -> None:
    """An address in `to`, `cc` and `bcc` is one recipient."""
    async with context_for(smtp) as ctx:
        await send_email(mail(to=["a@example.org", "A <a@example.org>"], cc="a@example.org", bcc="a@example.org"), ctx)
    assert sink.mails[0].rcpt_tos == ["a@example.org"]


async def test_send_email_has_the_same_message_id_when_redelivered(sink: SmtpSink, smtp: SmtpSettings) -> None:
    """The Message-ID comes from the job's id, so that a mail that was sent twice can be recognised."""
    async with context_for(smtp) as ctx:
        receipts = [await send_email(mail(), ctx) for _ in range(2)]
    ids = {str(parsed(envelope)["Message-ID"]) for envelope in sink.mails}
    assert ids == {f"<{ctx.job_id}@example.org>"} == {receipt.message_id for receipt in receipts}


async def test_send_email_keeps_its_message_id_when_the_domain_is_long(sink: SmtpSink, smtp: SmtpSettings) -> None:
    """Folding a long header does not change the id."""
    domain = ".".join(["subdomain"] * 12) + ".example.org"
    async with context_for(smtp) as ctx:
        await send_email(mail(from_=f"a@{domain}"), ctx)
    content = sink.mails[0].content
    assert isinstance(content, bytes)
    assert f"<{ctx.job_id}@{domain}>".encode() in content


async def test_send_email_uses_few_connections_when_mails_are_many(sink: SmtpSink, smtp: SmtpSettings) -> None:
    """Mails share connections, at most as many as the settings say."""
    async with context_for(smtp) as ctx, anyio.create_task_group() as group:
        for number in range(40):
            group.start_soon(send_email, mail(to=f"n{number}@example.org"), ctx)
    assert len(sink.mails) == 40
    assert 1 <= sink.connections <= smtp.connections
    assert sorted(envelope.rcpt_tos for envelope in sink.mails) == sorted([f"n{n}@example.org"] for n in range(40))


async def test_send_email_is_dead_when_every_recipient_is_refused_for_good(sink: SmtpSink, smtp: SmtpSettings) -> None:
    """A mail is dead when the server answers 5xx for all recipients."""
    sink.refusals["a@example.org"] = "550 no such user"
    async with context_for(smtp) as ctx:
        with pytest.raises(Dead, match=r"every recipient was refused: a@example\.org 550 no such user"):
            await send_email(mail(), ctx)


async def test_send_email_fails_when_one_of_the_refusals_may_pass(sink: SmtpSink, smtp: SmtpSettings) -> None:
    """A mail is worth another attempt when the server answers 4xx for one of the recipients."""
    sink.refusals |= {"a@example.org": "550 no such user", "b@example.org": "450 greylisted"}
    async with context_for(smtp) as ctx:
        with pytest.raises(aiosmtplib.SMTPRecipientsRefused):
            await send_email(mail(to=["a@example.org", "b@example.org"]), ctx)


async def test_send_email_reports_who_was_refused_when_others_were_not(sink: SmtpSink, smtp: SmtpSettings) -> None:
    """A mail that one recipient received is not sent again, and the result names the refused ones."""
    sink.refusals["b@example.org"] = "550 no such user"
    async with context_for(smtp) as ctx:
        receipt = await send_email(mail(to=["a@example.org", "b@example.org"]), ctx)
    assert receipt.accepted == ["a@example.org"]
    assert receipt.refused == {"b@example.org": "550 no such user"}


async def test_send_email_is_dead_when_the_content_is_refused_for_good(sink: SmtpSink, smtp: SmtpSettings) -> None:
    """A mail is dead when the server answers 5xx to its content."""
    sink.data_answer = "554 looks like spam"
    async with context_for(smtp) as ctx:
        with pytest.raises(Dead, match="554 looks like spam"):
            await send_email(mail(), ctx)


@pytest.mark.parametrize(("answer", "error"), [("550 not you", Dead), ("451 not now", aiosmtplib.SMTPSenderRefused)])
async def test_send_email_is_dead_when_the_sender_is_refused_for_good(
    sink: SmtpSink, smtp: SmtpSettings, answer: str, error: type[Exception]
) -> None:
    """A mail whose sender is refused is dead at 5xx, and fails the attempt at 4xx."""
    sink.mail_answer = answer
    async with context_for(smtp) as ctx:
        with pytest.raises(error, match=answer[4:]):
            await send_email(mail(), ctx)


async def test_send_email_is_dead_when_the_server_cannot_take_the_address(sink: SmtpSink) -> None:
    """A mail to an address beyond ASCII is dead on a server without SMTPUTF8."""
    async with sink.serving(enable_SMTPUTF8=False) as port, context_for(SmtpSettings(port=port)) as ctx:
        with pytest.raises(Dead, match="cannot take the mail"):
            await send_email(mail(to="jürgen@example.org"), ctx)


async def test_mailer_uses_a_connection_again_only_when_it_was_idle_for_a_short_time(
    sink: SmtpSink, smtp: SmtpSettings
) -> None:
    """A connection that was idle for `KEEP_IDLE_S` is closed, and the next mail uses a fresh one."""
    now = 1000.0
    mailer = Mailer(smtp, clock=lambda: now)
    envelope = write_mail(mail(), make_context("email.send").job_id, smtp.sender)
    almost = KEEP_IDLE_S - 0.1
    for idle_s, connections in ((0, 1), (almost, 1), (almost, 1), (KEEP_IDLE_S, 2), (almost, 2)):
        now += idle_s
        await mailer.send(envelope.message, envelope.sender, envelope.recipients)
        assert sink.connections == connections
    await wait_until(lambda: len(sink.open) == 1, "the old connection to be closed")
    await mailer.aclose()


async def test_mailer_takes_leave_on_every_connection_when_it_closes(sink: SmtpSink, smtp: SmtpSettings) -> None:
    """Closing the mailer sends QUIT on each idle connection, and leaves none open."""
    all_are_there = anyio.Event()

    async def meet() -> None:
        if sink.connections == 3:
            all_are_there.set()
        await all_are_there.wait()

    sink.before_data = meet
    async with context_for(smtp) as ctx, anyio.create_task_group() as group:
        for number in range(3):
            group.start_soon(send_email, mail(to=f"n{number}@example.org"), ctx)
    assert (sink.connections, sink.quits, sink.names) == (3, 3, {socket.gethostname()})
    await wait_until(lambda: not sink.open, "all connections to be closed")


async def test_mailer_closes_although_the_server_answers_no_quit(
    sink: SmtpSink, smtp: SmtpSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Closing the mailer waits at most `QUIT_WITHIN_S` for the response to QUIT."""
    monkeypatch.setattr(mailer_module, "QUIT_WITHIN_S", 0.05)
    sink.before_quit = anyio.sleep_forever
    with anyio.fail_after(5):
        async with context_for(smtp) as ctx:
            await send_email(mail(), ctx)
    assert sink.quits == 1


async def test_mailer_closes_although_the_server_is_gone(sink: SmtpSink) -> None:
    """Closing the mailer raises no error when the server has closed or breaks the connection."""

    async def hang_up() -> None:
        for transport in sink.open:
            transport.abort()

    sink.before_quit = hang_up
    async with sink.serving() as port, context_for(SmtpSettings(port=port)) as ctx:
        await send_email(mail(), ctx)
    assert sink.quits == 1


async def test_send_email_fails_when_the_server_says_nothing() -> None:
    """A server that does not greet fails the attempt after `timeout_s`."""
    with speaker(None) as port:
        async with context_for(SmtpSettings(port=port, timeout_s=0.1)) as ctx:
            with anyio.fail_after(5), pytest.raises(aiosmtplib.SMTPTimeoutError):
                await send_email(mail(), ctx)


async def test_sending_has_a_span_that_names_the_server(smtp: SmtpSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    """The client span of a mail has the host and the port of the server."""
    spans = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    monkeypatch.setattr(trace, "get_tracer", provider.get_tracer)
    async with context_for(smtp) as ctx:
        await send_email(mail(), ctx)
    (span,) = spans.get_finished_spans()
    assert (span.name, span.kind) == ("smtp send", trace.SpanKind.CLIENT)
    assert span.attributes == {"server.address": "127.0.0.1", "server.port": smtp.port}


async def test_send_email_fails_and_then_succeeds_when_refused_for_now(sink: SmtpSink, smtp: SmtpSettings) -> None:
    """A mail whose content is refused with 4xx fails the attempt, and succeeds at the next on a fresh connection."""
    sink.data_answer = "451 try later"
    async with context_for(smtp) as ctx:
        with pytest.raises(aiosmtplib.SMTPDataError):
            await send_email(mail(), ctx)
        sink.data_answer = "250 kept"
        await send_email(mail(), ctx)
    assert len(sink.mails) == 1
    assert sink.connections == 2


async def test_send_email_fails_without_a_server(free_tcp_port: int) -> None:
    """A mail without a server fails the attempt, and is not dead."""
    async with context_for(SmtpSettings(port=free_tcp_port, timeout_s=5)) as ctx:
        with pytest.raises(aiosmtplib.SMTPConnectError):
            await send_email(mail(), ctx)


async def test_send_email_leaves_no_half_used_connection_when_cancelled(sink: SmtpSink, smtp: SmtpSettings) -> None:
    """A connection that was cut off in the middle of a mail is not used for the next."""
    in_data = anyio.Event()

    async def hang() -> None:
        in_data.set()
        await anyio.sleep_forever()

    sink.before_data = hang
    async with context_for(smtp) as ctx:
        async with anyio.create_task_group() as group:
            group.start_soon(send_email, mail(), ctx)
            await in_data.wait()
            group.cancel_scope.cancel()
        sink.before_data = None
        await send_email(mail(subject="second"), ctx)
    assert [parsed(envelope)["Subject"] for envelope in sink.mails] == ["second"]
    assert sink.connections == 2


OWN_HEADERS = (
    *("From", "Sender", "To", "Cc", "Bcc", "Reply-To", "Subject", "Date", "Message-ID", "MIME-Version"),
    *("Content-Disposition", "Resent-To", "RESENT-FROM"),
)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"to": "a@example.org\r\nBcc: evil@example.org"}, "`to` has a line break"),
        ({"cc": "a@example.org\nX: y"}, "`cc` has a line break"),
        ({"from_": "a@example.org\rX: y"}, "`from` has a line break"),
        ({"subject": "Hi\nBcc: evil@example.org"}, "`subject` has a line break"),
        ({"subject": "Hi\x00"}, "control character"),
        ({"subject": "Hi\x7f"}, "control character"),
        ({"headers": {"X" * 77: "a"}}, "no name of a header"),
        *(({"headers": {name: "a"}}, "is not set there") for name in OWN_HEADERS),
        (
            {"attachments": [Attachment(filename="a", content_base64="", content_type="multipart/mixed")]},
            "no content type",
        ),
        ({"headers": {"X-A": "b\r\nBcc: evil@example.org"}}, "`headers.X-A` has a line break"),
        ({"headers": {"X-A: b\r\nBcc": "evil@example.org"}}, "no name of a header"),
        ({"headers": {"bCC": "evil@example.org"}}, "bCC is not set there"),
        ({"headers": {"Content-Type": "text/html"}}, "Content-Type is not set there"),
        ({"to": []}, "has no address"),
        ({"to": "nowhere"}, "is no address"),
        ({"to": "a@example.org, evil@example.org"}, "is no address"),
        ({"to": "a@example.org> SIZE=1"}, "is no address"),
        ({"to": "a@"}, "is no address"),
        ({"to": ""}, "is no address"),
        ({"attachments": [Attachment(filename="a", content_base64="no base64!")]}, "is no base64"),
        ({"attachments": [Attachment(filename="a\r\nb", content_base64="")]}, "line break"),
        ({"attachments": [Attachment(filename="a", content_base64="", content_type="x\r\ny: z")]}, "no content type"),
    ],
)
async def test_send_email_is_dead_when_the_mail_is_wrong(
    sink: SmtpSink, smtp: SmtpSettings, fields: dict[str, Any], message: str
) -> None:
    """A mail that is wrong by itself is dead at once, without a connection to the server."""
    async with context_for(smtp) as ctx:
        with pytest.raises(Dead, match=message):
            await send_email(mail(**fields), ctx)
    assert sink.connections == 0


async def test_send_email_raises_when_the_state_is_not_ours() -> None:
    """The handler without the lifespan of `builtin_app` raises an error that says what is missing."""
    with pytest.raises(HandlerError, match="builtin_app"):
        await send_email(mail(), make_context("email.send"))


def check_login(_server: Any, _session: Any, _envelope: Any, _mechanism: str, data: Any) -> AuthResult:
    """Accept a client that knows the password."""
    return AuthResult(success=data.password == b"right", handled=False)


async def test_send_email_speaks_tls_from_the_first_byte(sink: SmtpSink, certificate: Path) -> None:
    """With `tls` the connection is encrypted before the server greets, and its certificate is checked."""
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate)
    async with sink.serving(tls) as port:
        async with context_for(SmtpSettings(port=port, tls="tls", ca_file=str(certificate))) as ctx:
            await send_email(mail(), ctx)
        async with context_for(SmtpSettings(port=port, tls="tls", timeout_s=5)) as ctx:
            with pytest.raises((ssl.SSLError, aiosmtplib.SMTPException, OSError)):
                await send_email(mail(), ctx)
    assert len(sink.mails) == 1


async def test_send_email_sends_nothing_in_clear_when_asked_for_tls(sink: SmtpSink, smtp: SmtpSettings) -> None:
    """With `starttls` a server that offers no encryption gets no mail."""
    async with context_for(msgspec.structs.replace(smtp, tls="starttls")) as ctx:
        with pytest.raises(aiosmtplib.SMTPException):
            await send_email(mail(), ctx)
    assert not sink.mails


async def test_send_email_logs_in_over_tls(sink: SmtpSink, certificate: Path) -> None:
    """With `starttls` the connection is encrypted and verified before the password goes over it."""
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate)
    rules = {"require_starttls": True, "auth_required": True, "authenticator": check_login}
    async with sink.serving(tls_context=tls, **rules) as port:
        known = SmtpSettings(port=port, tls="starttls", username="u", password="right", ca_file=str(certificate))
        async with context_for(known) as ctx:
            await send_email(mail(), ctx)
        wrong = SmtpSettings(port=port, tls="starttls", username="u", password="wrong", ca_file=str(certificate))
        async with context_for(wrong) as ctx:
            # Not Dead: the mail is all right, and the settings can be mended.
            with pytest.raises(aiosmtplib.SMTPAuthenticationError):
                await send_email(mail(), ctx)
        stranger = SmtpSettings(port=port, tls="starttls", username="u", password="right")
        async with context_for(stranger) as ctx:
            with pytest.raises((ssl.SSLError, aiosmtplib.SMTPException, OSError)):
                await send_email(mail(), ctx)
    assert len(sink.mails) == 1


def test_settings_refuse_credentials_in_clear() -> None:
    """Settings with a password and without encryption are refused, and show no password."""
    with pytest.raises(ValueError, match="in clear"):
        SmtpSettings(username="u", password="secret")
    assert "secret" not in repr(HandlerSettings(smtp=SmtpSettings(username="u", password="secret", tls="tls")))


def test_builtin_app_registers_its_handlers_with_schemas() -> None:
    """The built-in app registers its handlers with strict schemas."""
    registrations = {handler.type: handler.registration() for handler in builtin_app(HandlerSettings())}
    assert set(registrations) == {
        "data.export",
        "email.send",
        "file.process",
        "notify.send",
        "report.generate",
        "sms.send",
        "webhook.call",
    }
    schema = registrations["email.send"].payload_schema
    assert schema is not None
    assert schema["$defs"]["Email"]["additionalProperties"] is False
    assert {"to", "subject", "text"} == set(schema["$defs"]["Email"]["required"])
    assert "from" in schema["$defs"]["Email"]["properties"]
