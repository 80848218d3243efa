"""The transports send requests over the HTTP client that they are given or make."""

import ssl
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.abc
import httpx2
import pytest
from sdk.client.scripted_api import Connect, Either, Reply, ScriptedApi, job_body, problem

from millstream import Client, SyncClient, UnavailableError

NOTHING = httpx2.Response(200, headers={"content-type": "application/json"}, json={"items": []})


class AsyncRecorder:
    """An HTTP client that records its requests and responds from a list; an exception in it is raised."""

    def __init__(self, *answers: httpx2.Response | Exception) -> None:
        self.asked: list[dict[str, Any]] = []
        self.answers = list(answers)

    def answer(self, asked: dict[str, Any]) -> httpx2.Response:
        """Return or raise the next response, and the last one without an end."""
        self.asked.append(asked)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def request(self, **asked: Any) -> httpx2.Response:
        """Respond to one request."""
        return self.answer(asked)

    async def aclose(self) -> None:
        """Close nothing."""


class SyncRecorder(AsyncRecorder):
    """The recorder without an event loop."""

    def request(self, **asked: Any) -> httpx2.Response:  # type: ignore[override]
        """Respond to one request."""
        return self.answer(asked)

    def close(self) -> None:
        """Close nothing."""


@pytest.fixture(params=["async", "sync"])
def is_sync(request: pytest.FixtureRequest) -> bool:
    """Run a test with either client."""
    return request.param == "sync"


def recorded(is_sync: bool, *answers: httpx2.Response | Exception, **options: Any) -> tuple[Either, AsyncRecorder]:
    """Return a client, and the recorder that receives its requests."""
    http = (SyncRecorder if is_sync else AsyncRecorder)(*answers)
    client: Any = (SyncClient if is_sync else Client)("http://h", http=http, **options)
    return Either(client, is_sync), http


def all_errors(kind: type[httpx2.RequestError]) -> Iterator[type[httpx2.RequestError]]:
    """Yield the error classes of a request that have no subclass."""
    below = kind.__subclasses__()
    for one in below:
        yield from all_errors(one)
    if not below:
        yield kind


SURELY_NOT_SENT = {httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.ProxyError}
MISTAKES = {httpx2.LocalProtocolError, httpx2.UnsupportedProtocol}


@pytest.mark.parametrize("error", sorted(all_errors(httpx2.RequestError), key=str))
async def test_only_a_request_that_was_surely_not_sent_counts_as_not_done(
    is_sync: bool, error: type[httpx2.RequestError]
) -> None:
    """All errors of httpx2 except four leave open whether the server acted, so that an action is not repeated."""
    client, http = recorded(is_sync, error("broken"), NOTHING, retry_for_s=0)
    with pytest.raises(error if error in MISTAKES else UnavailableError, match="broken") as caught:
        await client.redrive(type="x")
    if error not in MISTAKES:
        assert ("may have been carried out" in str(caught.value)) is (error not in SURELY_NOT_SENT)
    assert len(http.asked) == 1


async def test_a_lost_socket_of_uvloop_counts_as_not_sent() -> None:
    """The AttributeError of anyio on uvloop, for a connection that is lost before its first use, counts as not sent."""
    lost = AttributeError("'NoneType' object has no attribute 'getpeername'", name="getpeername")
    client, http = recorded(False, lost, httpx2.Response(200, json={"done": 1, "refused": 0, "items": []}))
    assert (await client.redrive(type="x")).done == 1
    assert len(http.asked) == 2
    client, _ = recorded(False, AttributeError("a defect", name="other"))
    with pytest.raises(AttributeError, match="a defect"):
        await client.redrive(type="x")


@asynccontextmanager
async def closing_after(count: int) -> AsyncIterator[tuple[str, list[int]]]:
    """Serve connections that close after this many bytes. Yields: URL, bytes read of each connection."""
    read: list[int] = []

    async def serve(stream: anyio.abc.SocketStream) -> None:
        at = len(read)
        read.append(0)
        async with stream:
            while read[at] < count:
                read[at] += len(await stream.receive())

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    async with listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, serve)
        port = listener.extra(anyio.abc.SocketAttribute.local_port)
        yield f"http://127.0.0.1:{port}", read
        group.cancel_scope.cancel()


async def test_action_is_not_repeated_when_the_server_closes_after_half_of_its_body(connect: Connect) -> None:
    """An action is not repeated when the server closes in the middle of its body."""
    ids = [f"email.send_{number:026d}" for number in range(40_000)]
    async with closing_after(700_000) as (url, read):
        with pytest.raises(UnavailableError, match="may have been carried out"):
            await connect(url).redrive(ids=ids)
    assert len(read) == 1
    assert read[0] >= 700_000


async def test_submission_is_repeated_when_the_server_closes_after_half_of_its_body(connect: Connect) -> None:
    """A submission is repeated by its key when the server closes in the middle of its body."""
    async with closing_after(700_000) as (url, read):
        with pytest.raises(UnavailableError):
            await connect(url, retry_for_s=0.3).submit("x", "y" * 1_400_000)
    assert len(read) > 1


async def test_pauses_are_slept_and_in_seconds(is_sync: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The client sleeps for `Retry-After` seconds and at most 0.1 s more before it repeats a request."""
    slept: list[float] = []

    async def note(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr(anyio, "sleep", note)
    monkeypatch.setattr(time, "sleep", slept.append)
    full = httpx2.Response(
        503, headers={"retry-after": "7", "content-type": "application/problem+json"}, json={"title": "Full"}
    )
    client, http = recorded(is_sync, full, NOTHING)
    assert await client.queues() == []
    assert len(http.asked) == 2
    assert [7 <= seconds <= 7.1 for seconds in slept] == [True]


async def test_every_request_has_its_limits_of_time(is_sync: bool) -> None:
    """A connection may take 5 s, a response `timeout_s` and the time of its long poll, and the pool any time."""
    job = httpx2.Response(200, json=job_body(state="succeeded"))
    client, http = recorded(is_sync, NOTHING, job)
    await client.queues()
    await client.wait("x_1", 12)
    client, other = recorded(is_sync, job, timeout_s=3)
    await client.get("x_1")
    assert [asked["timeout"] for asked in other.asked] == [(5.0, 3, 3, None)]
    assert http.asked[0]["timeout"] == (5.0, 30.0, 30.0, None)
    connect_s, read_s, write_s, pool_s = http.asked[1]["timeout"]
    assert (connect_s, write_s, pool_s) == (5.0, read_s, None)
    assert 41 < read_s <= 42


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_a_service_of_this_machine_is_not_behind_the_proxy(
    connect: Connect, api: ScriptedApi, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    """A client of a service on this machine ignores `HTTP_PROXY`."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    for name in ("NO_PROXY", "no_proxy", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    await connect(api.url.replace("127.0.0.1", host), retry_for_s=0).submit("x")
    assert len(api.received) == 1


async def test_a_service_elsewhere_is_reached_through_the_proxy(
    connect: Connect, api: ScriptedApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client of a service on another machine uses the proxy that `HTTP_PROXY` names."""
    monkeypatch.setenv("HTTP_PROXY", api.url)
    for name in ("NO_PROXY", "no_proxy", "http_proxy"):
        monkeypatch.delenv(name, raising=False)
    await connect("http://jobs.example", retry_for_s=0).submit("x")
    assert api.received[0].headers["host"] == "jobs.example"


async def test_client_leaves_the_query_of_its_url_out(connect: Connect, api: ScriptedApi) -> None:
    """Query and fragment of the client's URL are left out of requests."""
    await connect(f"{api.url}/base?token=1#top").submit("x")
    assert (api.received[0].path, api.received[0].query) == ("/base/v1/jobs", {})


async def test_certificates_of_a_service_are_checked(
    connect: Connect, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An `https` service needs a certificate of an authority that the system or the given HTTP client trusts."""
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate)
    api = ScriptedApi(tls)
    try:
        with pytest.raises(UnavailableError, match="certificate"):
            await connect(api.url, retry_for_s=0).submit("x")
        assert not api.received
        tls_client = ssl.create_default_context(cafile=certificate)
        async with httpx2.AsyncClient(verify=tls_client) as http, Client(api.url, http=http) as client:
            await client.submit("x")
        assert len(api.received) == 1
    finally:
        api.close()


async def test_submission_keeps_its_own_key_in_every_request(connect: Connect, api: ScriptedApi) -> None:
    """A given key is sent with each repetition."""
    api.script.extend([problem(503, "Full", headers={"Retry-After": "0"}), Reply(202, job_body())])
    await connect().submit("x", idempotency_key="order-7")
    assert [request.headers["idempotency-key"] for request in api.received] == ["order-7", "order-7"]
