"""The clients repeat some failed calls over a real connection."""

from types import ModuleType

import httpx
import httpx2
import pytest
from sdk.client.scripted_api import Connect, Lost, Reply, ScriptedApi, problem

from millstream import (
    AccessError,
    ApiError,
    Client,
    ConflictError,
    JobErasedError,
    JobNotFoundError,
    SyncClient,
    UnavailableError,
)

FULL = problem(503, "Redis is full", headers={"Retry-After": "0"})


async def test_submit_makes_one_job_when_the_answer_is_lost(connect: Connect, api: ScriptedApi) -> None:
    """A submission that is repeated after a lost response carries the same key, and makes one job."""
    api.script.append(Lost())
    handle = await connect().submit("email.send", {"n": 1})
    first, second = api.received
    assert first.headers["idempotency-key"] == second.headers["idempotency-key"]
    assert first.content == second.content
    assert [job["id"] for job in api.stored.values()] == [handle.id]


@pytest.mark.parametrize("status", [429, 503, 502, 504])
async def test_submit_is_repeated_when_turned_away(connect: Connect, api: ScriptedApi, status: int) -> None:
    """A submission is repeated after 429 and 503, and after a proxy's 502 and 504."""
    api.script.append(problem(status, "Not now", headers={"Retry-After": "0"}))
    await connect().submit("x")
    assert [request.path for request in api.received] == ["/v1/jobs", "/v1/jobs"]


async def test_submit_raises_at_once_when_told_to_come_back_after_the_window(
    connect: Connect, api: ScriptedApi
) -> None:
    """A refusal is raised at once when its Retry-After lies beyond the retry window."""
    api.script.append(problem(429, "Over quota", headers={"Retry-After": "3600"}))
    with pytest.raises(UnavailableError, match="Over quota") as caught:
        await connect(retry_for_s=30).submit("x")
    assert caught.value.retry_after_s == 3600
    assert len(api.received) == 1


async def test_submit_is_not_repeated_when_the_window_is_zero(connect: Connect, api: ScriptedApi) -> None:
    """With `retry_for_s=0` the first refusal is raised."""
    api.script.append(FULL)
    with pytest.raises(UnavailableError):
        await connect(retry_for_s=0).submit("x")
    assert len(api.received) == 1


async def test_submit_raises_unavailable_without_a_server(connect: Connect, free_tcp_port: int) -> None:
    """The error of a client without a server names the address."""
    client = connect(f"http://127.0.0.1:{free_tcp_port}", retry_for_s=0)
    with pytest.raises(UnavailableError, match=f"No answer: http://127.0.0.1:{free_tcp_port}/v1/jobs") as caught:
        await client.submit("x")
    assert caught.value.problem.status == 0


@pytest.mark.parametrize("method", ["redrive", "discard"])
async def test_action_is_not_repeated_when_the_answer_is_lost(connect: Connect, api: ScriptedApi, method: str) -> None:
    """A bulk action is not repeated after a lost response, because it has no key."""
    api.script.append(Lost())
    with pytest.raises(UnavailableError, match="may have been carried out"):
        await getattr(connect(), method)(type="x")
    assert len(api.received) == 1


async def test_retry_is_not_repeated_when_the_answer_is_lost(connect: Connect, api: ScriptedApi) -> None:
    """A retry is not repeated after a lost response, because the job may have run and failed since."""
    api.script.append(Lost())
    with pytest.raises(UnavailableError, match="may have been carried out"):
        await connect().retry("x_1")
    assert len(api.received) == 1


async def test_cancel_is_repeated_when_the_answer_is_lost(connect: Connect, api: ScriptedApi) -> None:
    """A cancellation is repeated, because doing it twice changes nothing."""
    api.script.append(Lost())
    await connect().cancel("x_1")
    assert [request.path for request in api.received] == ["/v1/jobs/x_1/cancel"] * 2


async def test_action_is_repeated_when_surely_not_done(connect: Connect, api: ScriptedApi) -> None:
    """A bulk action is repeated after 503, which means that nothing was done."""
    api.script.extend([FULL, Reply(200, {"done": 1, "refused": 0, "items": []})])
    report = await connect().redrive(type="x")
    assert report.done == 1
    assert len(api.received) == 2


async def test_read_is_repeated_when_the_answer_is_lost(connect: Connect, api: ScriptedApi) -> None:
    """A read is repeated after a lost response."""
    api.script.append(Lost())
    await connect().get("x_1")
    assert len(api.received) == 2


@pytest.mark.parametrize(
    ("status", "error"),
    [(404, JobNotFoundError), (409, ConflictError), (412, ConflictError), (401, AccessError), (500, ApiError)],
)
async def test_call_raises_its_error_when_refused_for_good(
    connect: Connect, api: ScriptedApi, status: int, error: type[ApiError]
) -> None:
    """A final refusal is raised at once, as the error class of its status."""
    api.script.append(problem(status, "No", detail="because"))
    with pytest.raises(ApiError, match="No: because") as caught:
        await connect().cancel("x_1")
    assert type(caught.value) is error
    assert len(api.received) == 1


@pytest.mark.parametrize(("slug", "error"), [("erased", JobErasedError), ("job-forgotten", ApiError)])
async def test_an_erased_job_has_an_error_of_its_own(
    connect: Connect, api: ScriptedApi, slug: str, error: type[ApiError]
) -> None:
    """Of the problems with the status 410 only that of an erased job says that a job is not found."""
    api.script.append(problem(410, "No", type=f"/problems/{slug}"))
    with pytest.raises(ApiError, match="No") as caught:
        await connect().get("x_1")
    assert type(caught.value) is error
    assert isinstance(caught.value, JobNotFoundError) == (slug == "erased")


async def test_call_raises_clear_error_when_a_proxy_answers_in_html(connect: Connect, api: ScriptedApi) -> None:
    """The error about an HTML page shows its beginning, and a 404 with one is no missing job."""
    api.script.append(Reply(404, b"<html>\n  <h1>nginx: no such site</h1>", "text/html"))
    with pytest.raises(ApiError, match=r"404 Not Found: .* no answer of a Millstream API: .*nginx: no such") as caught:
        await connect().get("x_1")
    assert type(caught.value) is ApiError


@pytest.mark.parametrize(
    "reply",
    [
        Reply(200, b"<html>welcome</html>", "text/html"),
        Reply(200, b"\xc1", "application/vnd.msgpack"),
        Reply(200, {"id": 3}, "application/json"),
        Reply(200, b"", ""),
    ],
)
async def test_call_raises_api_error_when_a_good_answer_cannot_be_read(
    connect: Connect, api: ScriptedApi, reply: Reply
) -> None:
    """A 200 whose body is not that of the API raises ApiError."""
    api.script.append(reply)
    with pytest.raises(ApiError, match="cannot be read"):
        await connect().get("x_1")


@pytest.mark.parametrize("library", [httpx2, httpx])
async def test_client_uses_the_http_client_that_is_given_and_leaves_it_open(
    api: ScriptedApi, library: ModuleType
) -> None:
    """A caller's own HTTP client, of httpx2 or of httpx, carries the requests and stays open."""
    async with library.AsyncClient(headers={"x-mine": "yes"}) as async_http:
        async with Client(api.url, http=async_http) as client:
            await client.submit("x")
        assert not async_http.is_closed
    with library.Client(headers={"x-mine": "yes"}) as http:
        with SyncClient(api.url, http=http) as client:
            client.submit("x")
        assert not http.is_closed
    assert [request.headers["x-mine"] for request in api.received] == ["yes", "yes"]


@pytest.mark.parametrize("library", [httpx2, httpx])
async def test_errors_of_a_given_http_client_mean_the_same_in_either_library(
    api: ScriptedApi, free_tcp_port: int, library: ModuleType
) -> None:
    """A refused connection and a lost response are distinguished with a given client of httpx2 and of httpx."""
    with library.Client() as http:
        with pytest.raises(UnavailableError) as refused:
            SyncClient(f"http://127.0.0.1:{free_tcp_port}", http=http, retry_for_s=0).redrive(type="x")
        assert "may have been carried out" not in str(refused.value)
        api.script.append(Lost())
        with pytest.raises(UnavailableError, match="may have been carried out"):
            SyncClient(api.url, http=http).redrive(type="x")
        with pytest.raises(library.LocalProtocolError):
            SyncClient(api.url, http=http, headers={"x": "a\nb"}).queues()


@pytest.mark.parametrize("is_sync", [False, True])
async def test_client_closes_the_connections_that_it_made(api: ScriptedApi, is_sync: bool) -> None:
    """A client closes the HTTP client that it made, after which no call is possible."""
    if is_sync:
        with SyncClient(api.url) as sync_client:
            sync_client.submit("x")
        with pytest.raises(RuntimeError, match="closed"):
            sync_client.submit("x")
    else:
        async with Client(api.url) as client:
            await client.submit("x")
        with pytest.raises(RuntimeError, match="closed"):
            await client.submit("x")


@pytest.mark.parametrize("url", ["localhost:8000", "ftp://host", "http://", "http://[::1"])
async def test_client_raises_value_error_when_url_is_none(connect: Connect, url: str) -> None:
    """A client refuses a wrong URL when it is made."""
    with pytest.raises(ValueError, match="is no"):
        connect(url)


async def test_client_keeps_the_path_of_its_url(connect: Connect, api: ScriptedApi) -> None:
    """A client keeps the path prefix of its URL, and sends the caller's headers."""
    await connect(f"{api.url}/jobs-api/", headers={"authorization": "Bearer t"}).submit("x")
    assert api.received[0].path == "/jobs-api/v1/jobs"
    assert api.received[0].headers["authorization"] == "Bearer t"
