"""`webhook.call` against receivers that misbehave in every way."""

import asyncio
import json
import ssl
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from sdk.contexts import make_context
from sdk.handlers.receivers import LOOPBACK, Behaviour, answering, receiving
from standardwebhooks import Webhook
from waiting import wait_until

from millstream import Context, Dead, Discard, Snooze
from millstream.handlers import (
    HandlerSettings,
    ReportSettings,
    Shared,
    SmtpSettings,
    WebhookCall,
    WebhookSettings,
    builtin_app,
    call_webhook,
)
from millstream.handlers.mailer import Mailer
from millstream.handlers.webhook.caller import WebhookCaller
from millstream.handlers.webhook.webhook_call import NotAcceptedError
from millstream.outgoing.guarded_client import MAX_ANSWER_BYTES, GuardedClient, NoAnswerError
from millstream.outgoing.guarded_network import Resolve, resolve
from millstream_contracts import JobType, Queue, Tenant, new_job_id
from millstream_webhooks import GONE_REASON, RETRY_DELAYS_S, AddressError, Salt, WebhookKeys, parse_networks, sealed

KEY = "k" * 32
QUEUE = Queue(Tenant("t"), JobType("webhook.call"))


@asynccontextmanager
async def calling(
    *, within_s: float = 15.0, resolve: Resolve = resolve, networks: tuple[str, ...] = (LOOPBACK,)
) -> AsyncIterator[Context]:
    """Return the context of a delivery whose calls may go to loopback."""
    client = GuardedClient(parse_networks(networks), within_s=within_s, resolve=resolve)
    caller = WebhookCaller(WebhookSettings(key=KEY), client=client)
    try:
        ctx = make_context("webhook.call", Shared(Mailer(SmtpSettings()), ReportSettings(), caller))
        ctx.job_id = new_job_id(QUEUE)
        yield ctx
    finally:
        await caller.aclose()


async def test_call_is_delivered_signed_with_its_body_and_headers() -> None:
    """A receiver gets the JSON value, the id of the event, and a signature that its secret verifies."""
    async with receiving() as receiver, calling() as ctx:
        call = WebhookCall(
            url=receiver.url,
            body={"a": "ü"},
            content_type="application/cloudevents+json",
            headers={"X-Shop": "7", "webhook-id": "forged", "HOST": "forged"},
            event_id="evt_1",
            endpoint="whep_1",
            salts=[Salt("s")],
        )
        receipt = await call_webhook(sealed(call, WebhookKeys([KEY])), ctx)
    (got,) = receiver.received
    assert (receipt.status, receipt.answer, got.target) == (200, "ok", "/hook?a=1")
    assert json.loads(got.body) == {"a": "ü"}
    assert (got.headers["content-type"], got.headers["x-shop"]) == ("application/cloudevents+json", "7")
    assert (got.headers["host"], got.headers["webhook-id"]) == (f"127.0.0.1:{receiver.port}", "evt_1")
    Webhook(WebhookKeys([KEY]).secret("whep_1", "s")).verify(got.body, got.headers)


async def test_call_of_a_user_has_the_id_of_its_job_and_no_signature() -> None:
    """A call without an endpoint is known by its job, and is not signed."""
    async with receiving() as receiver, calling() as ctx:
        await call_webhook(WebhookCall(url=receiver.url), ctx)
    (got,) = receiver.received
    assert got.headers["webhook-id"] == ctx.job_id
    assert "webhook-signature" not in got.headers
    assert got.body == b"null"


async def test_calls_reuse_a_connection() -> None:
    """Calls to one receiver share a connection while it is open."""
    async with receiving() as receiver, calling() as ctx:
        for _ in range(3):
            await call_webhook(WebhookCall(url=receiver.url), ctx)
    assert (len(receiver.received), receiver.connections) == (3, 1)


@pytest.mark.parametrize("status", [300, 301, 302, 307, 308])
async def test_call_follows_no_redirect(status: int) -> None:
    """A redirect is a failure: where it leads was not asked for."""
    async with receiving() as other, receiving(answering(status, f"location: {other.url}")) as receiver:
        async with calling() as ctx:
            with pytest.raises(NotAcceptedError, match=str(status)):
                await call_webhook(WebhookCall(url=receiver.url), ctx)
        assert (len(receiver.received), other.received) == (1, [])


@pytest.mark.parametrize("status", [400, 401, 404, 500, 502, 503, 429])
async def test_call_fails_when_it_is_not_accepted(status: int) -> None:
    """Every status beyond 2xx is a failure that is tried again; the error quotes the answer."""
    async with receiving(answering(status, body="no\0pe")) as receiver, calling() as ctx:
        with pytest.raises(NotAcceptedError, match=f"the receiver answered {status}: no\ufffdpe"):
            await call_webhook(WebhookCall(url=receiver.url), ctx)


async def test_call_is_discarded_when_its_receiver_is_gone() -> None:
    """A receiver that answers 410 wants no more calls."""
    async with receiving(answering(410)) as receiver, calling() as ctx:
        with pytest.raises(Discard) as caught:
            await call_webhook(WebhookCall(url=receiver.url), ctx)
    assert caught.value.reason == GONE_REASON


@pytest.mark.parametrize(
    ("status", "text", "pause_s"),
    [
        (429, "120", 120),
        (503, "0", 1),
        (503, "9999999999", 36_000),
        (429, "Thu, 31 Dec 2099 23:59:59 GMT", 36_000),
        (429, "Thu, 01 Jan 2026 00:00:00 GMT", 1),
    ],
)
async def test_call_snoozes_for_as_long_as_its_receiver_asks(status: int, text: str, pause_s: float) -> None:
    """`Retry-After` is a pause that costs no attempt, in seconds or as a date, of ten hours at most."""
    async with receiving(answering(status, f"retry-after: {text}")) as receiver, calling() as ctx:
        with pytest.raises(Snooze) as caught:
            await call_webhook(WebhookCall(url=receiver.url), ctx)
    assert caught.value.delay_s == pause_s


@pytest.mark.parametrize(("status", "text"), [(500, "120"), (429, "soon"), (429, "-1"), (503, "٣"), (503, "")])
async def test_call_fails_when_a_pause_is_asked_for_in_no_form_that_counts(status: int, text: str) -> None:
    """A pause counts beside 429 and 503 alone, and only when it can be read."""
    answer = f"HTTP/1.1 {status} x\r\ncontent-length: 0\r\nretry-after: {text}\r\n\r\n".encode()
    async with receiving(answer) as receiver, calling() as ctx:
        with pytest.raises((NotAcceptedError, NoAnswerError)):
            await call_webhook(WebhookCall(url=receiver.url), ctx)


async def test_call_fails_when_its_receiver_has_asked_for_pauses_for_days() -> None:
    """A receiver cannot put off a delivery for ever: after three days a pause counts as a failure."""
    async with receiving(answering(503, "retry-after: 60")) as receiver, calling() as ctx:
        ctx.job_id = new_job_id(QUEUE, round((time.time() - 73 * 3_600) * 1000))
        with pytest.raises(NotAcceptedError):
            await call_webhook(WebhookCall(url=receiver.url), ctx)


async def never(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer nothing."""
    await reader.read()


async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer a byte at a time, without end."""
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n")
    while True:
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.01)


async def informing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer that the answer will come, without end."""
    while True:
        writer.write(b"HTTP/1.1 103 Early Hints\r\n\r\n")
        await writer.drain()
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("behaviour", [never, drip, informing], ids=lambda one: one.__name__)
async def test_call_ends_in_time_when_its_receiver_does_not(behaviour: Behaviour) -> None:
    """The time of a call is bounded as a whole, however its receiver spends it."""
    async with receiving(behaviour=behaviour) as receiver, calling(within_s=0.2) as ctx:
        with pytest.raises(NoAnswerError, match=r"no whole answer within 0\.2 s"):
            await call_webhook(WebhookCall(url=receiver.url), ctx)


async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Close without an answer."""
    writer.close()


async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Reset the connection."""
    writer.transport.abort()


async def cut_off(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Close in the middle of the answer."""
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf")
    writer.close()


async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer what is no HTTP."""
    writer.write(b"220 mail.example.org ESMTP\r\n")
    writer.close()


async def long_header(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer with a header that is larger than any bound."""
    writer.write(b"HTTP/1.1 200 OK\r\nx: " + b"a" * (1 << 20))
    await writer.drain()


@pytest.mark.parametrize("behaviour", [hang_up, reset, cut_off, babble, long_header], ids=lambda one: one.__name__)
async def test_call_fails_without_a_whole_answer(behaviour: Behaviour) -> None:
    """A call whose answer breaks off or is none is a failure that is tried again."""
    async with receiving(behaviour=behaviour) as receiver, calling() as ctx:
        with pytest.raises(NoAnswerError):
            await call_webhook(WebhookCall(url=receiver.url), ctx)


async def test_call_fails_when_nothing_listens() -> None:
    """A receiver that is not there is a failure that is tried again."""
    async with receiving() as receiver:
        url = receiver.url
    async with calling() as ctx:
        with pytest.raises(NoAnswerError, match="ConnectError"):
            await call_webhook(WebhookCall(url=url), ctx)


async def test_call_reads_the_beginning_of_a_huge_answer() -> None:
    """Of an answer without end a bounded part is read, and its status counts."""
    closed = asyncio.Event()

    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        try:
            while True:
                writer.write(b"10000\r\n" + b"x" * 65_536 + b"\r\n")
                await writer.drain()
        except ConnectionError:
            closed.set()

    async with receiving(behaviour=flood) as receiver:
        client = GuardedClient(parse_networks([LOOPBACK]))
        answer = await client.post(receiver.url, b"", {})
        assert (answer.status, len(answer.body), answer.is_cut) == (200, MAX_ANSWER_BYTES, True)
        await wait_until(closed.is_set, "the connection of the huge answer is closed")
        await client.aclose()


@pytest.mark.parametrize("host", ["127.0.0.1", "inside.example.org"])
async def test_a_refusal_names_the_setting_of_the_client(host: str) -> None:
    """A client whose networks have a setting of their own names that one, before and after a name is resolved."""

    async def private(_host: str, _port: int) -> list[str]:
        return ["10.0.0.1"]

    client = GuardedClient(setting="MILLSTREAM_OIDC_NETWORKS", resolve=private)
    with pytest.raises(AddressError, match="; MILLSTREAM_OIDC_NETWORKS names"):
        await client.get(f"https://{host}/", {})
    await client.aclose()


async def test_call_decompresses_nothing() -> None:
    """An answer that would grow when it is decompressed stays as it is."""
    async with receiving(answering(200, "content-encoding: gzip", body="\x1f\x8b")) as receiver, calling() as ctx:
        await call_webhook(WebhookCall(url=receiver.url), ctx)
    assert receiver.received[0].headers["accept-encoding"] == "identity"


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1/", "http://[::1]:1/", "http://169.254.169.254/latest", "http://2130706433:1/"]
)
async def test_call_is_dead_when_its_url_leads_to_a_private_address(url: str) -> None:
    """A call to a private address ends at once as dead, however the address is written."""
    async with calling(networks=()) as ctx:
        with pytest.raises(Dead, match="no public address"):
            await call_webhook(WebhookCall(url=url), ctx)


@pytest.mark.parametrize(
    "address", ["10.0.0.1", "::ffff:10.0.0.1", "64:ff9b::a00:1", "2002:a00:1::", "fe80::1%eth0", "224.0.0.1"]
)
async def test_call_is_dead_when_its_host_resolves_to_a_private_address(address: str) -> None:
    """A name counts as the addresses that it resolves to."""

    async def private(host: str, port: int) -> list[str]:
        return [address]

    async with calling(resolve=private) as ctx:
        with pytest.raises(Dead, match=r"hooks\.example: .* is no public address"):
            await call_webhook(WebhookCall(url="http://hooks.example/"), ctx)


async def test_call_is_dead_when_one_of_several_addresses_is_private() -> None:
    """All addresses of a host are judged, also those that the call would not have gone to."""

    async def mixed(host: str, port: int) -> list[str]:
        return ["127.0.0.1", "10.0.0.1"]

    async with receiving() as receiver, calling(resolve=mixed) as ctx:
        with pytest.raises(Dead, match=r"10\.0\.0\.1 is no public address"):
            await call_webhook(WebhookCall(url=f"http://hooks.example:{receiver.port}/"), ctx)
    assert receiver.connections == 0


async def test_call_connects_to_the_address_that_was_judged() -> None:
    """A name that resolves to another address the next moment is resolved once, and the judged address is taken."""
    answers = [["127.0.0.1"], ["10.0.0.1"]]

    async def rebinding(host: str, port: int) -> list[str]:
        return answers.pop(0)

    async with receiving() as receiver, calling(resolve=rebinding) as ctx:
        call = WebhookCall(url=f"http://hooks.example:{receiver.port}/")
        await call_webhook(call, ctx)
        assert receiver.received[0].headers["host"] == f"hooks.example:{receiver.port}"
        assert answers == [["10.0.0.1"]]
        # Another port is another connection, which is judged anew.
        with pytest.raises(Dead, match=r"10\.0\.0\.1"):
            await call_webhook(WebhookCall(url="http://hooks.example:1/"), ctx)


async def test_call_tries_the_next_address_of_a_host() -> None:
    """Where the first address does not answer, the call goes to the next one."""

    async def two(host: str, port: int) -> list[str]:
        return ["127.0.0.2", "127.0.0.1"]

    async with receiving() as receiver, calling(resolve=two, networks=("127.0.0.0/8",)) as ctx:
        await call_webhook(WebhookCall(url=f"http://hooks.example:{receiver.port}/"), ctx)
    assert len(receiver.received) == 1


@pytest.mark.parametrize("error", [OSError("no such name"), UnicodeError("label too long")])
async def test_call_fails_when_its_host_cannot_be_resolved(error: Exception) -> None:
    """A name that does not resolve may do so later, so the call is tried again."""

    async def failing(host: str, port: int) -> list[str]:
        raise error

    async with calling(resolve=failing) as ctx:
        with pytest.raises(NoAnswerError, match="cannot be resolved"):
            await call_webhook(WebhookCall(url="http://hooks.example/"), ctx)


async def test_call_knows_no_proxy_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy would resolve names itself, so that no address could be judged: none is used."""
    async with receiving() as proxy, receiving() as receiver, calling() as ctx:
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{proxy.port}")
        monkeypatch.setenv("ALL_PROXY", f"http://127.0.0.1:{proxy.port}")
        await call_webhook(WebhookCall(url=receiver.url), ctx)
    assert (len(receiver.received), proxy.connections) == (1, 0)


def make_certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """Return the certificate of a host, and its key."""
    cert, key = folder / "cert.pem", folder / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    subject = ["-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}"]
    subprocess.run([*command, "-keyout", key, "-out", cert, "-days", "2", *subject], check=True, capture_output=True)
    return cert, key


async def test_call_keeps_the_name_for_tls_when_it_connects_to_an_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TLS verifies the name of the URL, not the address, and refuses another name."""
    cert, key = make_certificate(tmp_path, "hooks.example")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    names: list[str | None] = []
    context.sni_callback = lambda _socket, name, _context: names.append(name)
    monkeypatch.setenv("SSL_CERT_FILE", str(cert))

    async def loopback(host: str, port: int) -> list[str]:
        return ["127.0.0.1"]

    async with receiving() as receiver:
        server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0, ssl=context)
        port = server.sockets[0].getsockname()[1]
        async with server, calling(resolve=loopback) as ctx:
            await call_webhook(WebhookCall(url=f"https://hooks.example:{port}/"), ctx)
            with pytest.raises(NoAnswerError, match="ConnectError"):
                await call_webhook(WebhookCall(url=f"https://other.example:{port}/"), ctx)
    assert names == ["hooks.example", "other.example"]
    assert len(receiver.received) == 1


async def test_call_is_dead_when_its_seal_does_not_fit() -> None:
    """A call that asks for the signature of an endpoint without a right to it is not sent."""
    async with receiving() as receiver, calling() as ctx:
        with pytest.raises(Dead, match="seal does not fit"):
            await call_webhook(WebhookCall(url=receiver.url, endpoint="whep_1", salts=[Salt("s")], seal="0"), ctx)
    assert receiver.connections == 0


async def test_call_has_a_span_whose_context_the_receiver_gets(monkeypatch: pytest.MonkeyPatch) -> None:
    """The receiver can continue the trace of the delivery; the span shows its host and not its path."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "get_tracer", provider.get_tracer)
    async with receiving() as receiver, calling() as ctx:
        await call_webhook(WebhookCall(url=receiver.url), ctx)
    (span,) = exporter.get_finished_spans()
    attributes: dict[str, Any] = dict(span.attributes or {})
    assert (attributes["http.response.status_code"], attributes["server.address"]) == (
        200,
        f"127.0.0.1:{receiver.port}",
    )
    assert "hook" not in str(attributes)
    assert format(span.context.trace_id, "032x") in receiver.received[0].headers["traceparent"]


def test_builtin_app_retries_calls_by_the_schedule() -> None:
    """A delivery is tried eight times within 27 hours, without jitter."""
    policy = builtin_app(HandlerSettings()).handlers["webhook.call"].registration().policy
    assert (policy.max_attempts, tuple(policy.delays_s or ())) == (8, RETRY_DELAYS_S)
    assert RETRY_DELAYS_S == (5, 300, 1_800, 7_200, 18_000, 36_000, 36_000)


def test_settings_of_webhooks_show_no_key() -> None:
    """The key is in no text of the settings."""
    assert KEY not in repr(HandlerSettings(webhooks=WebhookSettings(key=KEY, key_before=KEY)))


async def test_call_is_put_off_while_its_receiver_has_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """A silent receiver holds a bounded number of slots; calls to others go on, and it is called again afterwards."""
    monkeypatch.setattr("millstream.handlers.webhook.rooms.AT_ONCE", 2)
    async with receiving(behaviour=never) as silent, receiving() as other, calling() as ctx:
        async with anyio.create_task_group() as tasks:
            for _ in range(2):
                tasks.start_soon(call_webhook, WebhookCall(url=silent.url), ctx)
            await wait_until(lambda: len(silent.received) == 2, "both calls are under way")
            with pytest.raises(Snooze) as caught:
                await call_webhook(WebhookCall(url=silent.url), ctx)
            assert 1 <= caught.value.delay_s <= 5
            await call_webhook(WebhookCall(url=other.url), ctx)
            tasks.cancel_scope.cancel()
        silent.behaviour = None
        await call_webhook(WebhookCall(url=silent.url), ctx)
