"""Both clients send tokens, and ask a function for another one before theirs ends and when it is refused."""

import json
import time
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator, Callable, Iterator

import anyio
import pytest
from sdk.client.scripted_api import Reply, ScriptedApi, problem

from millstream import AccessError, Client, SyncClient
from millstream.client.token_source import RENEW_BEFORE_S

ME = {"tenant": "default", "scopes": [], "subject": "ann", "issuer": "https://login.example.com/"}
REFUSED = problem(401, "The request needs a valid credential")


@pytest.fixture
def api() -> Iterator[ScriptedApi]:
    """Serve a scripted API."""
    server = ScriptedApi()
    yield server
    server.close()


def ending_in(seconds: float, name: str = "a") -> str:
    """Return what looks like a token that ends in this time."""
    claims = json.dumps({"exp": time.time() + seconds, "jti": name}).encode()
    return f"e30.{urlsafe_b64encode(claims).rstrip(b'=').decode()}.{name}"


def sent(api: ScriptedApi) -> list[str]:
    """Return the credentials that were received."""
    return [request.headers["authorization"].removeprefix("Bearer ") for request in api.received]


Use = Callable[[object, int], list[str]]


@pytest.fixture(params=["async", "sync"])
def use(request: pytest.FixtureRequest, api: ScriptedApi) -> Use:
    """Return a function that makes requests with a token, by one client or the other, and returns what was sent."""

    def by_sync(token: object, requests: int) -> list[str]:
        with SyncClient(api.url, token=token, retry_for_s=0) as client:
            for _ in range(requests):
                assert client.principal().subject == "ann"
        return sent(api)

    async def by_async(token: object, requests: int) -> None:
        async with Client(api.url, token=token, retry_for_s=0) as client:
            for _ in range(requests):
                assert (await client.principal()).subject == "ann"

    def through_a_loop(token: object, requests: int) -> list[str]:
        anyio.run(by_async, token, requests)
        return sent(api)

    return by_sync if request.param == "sync" else through_a_loop


def test_token_goes_with_every_request(api: ScriptedApi, use: Use):
    """A token that is a text is sent as it is, and a function is asked once while its token lasts."""
    api.script += [Reply(200, ME)] * 2
    assert use("a.b.c\n", 2) == ["a.b.c"] * 2
    given = iter([ending_in(3_600), "another"])
    api.script += [Reply(200, ME)] * 2
    assert len(set(use(lambda: next(given), 2)[2:])) == 1


def test_token_is_replaced_before_it_ends(api: ScriptedApi, use: Use, monkeypatch: pytest.MonkeyPatch):
    """A token that ends within `RENEW_BEFORE_S` is replaced by the next request, without a refusal."""
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now)
    first, second = ending_in(10 * RENEW_BEFORE_S), ending_in(20 * RENEW_BEFORE_S, "b")
    given = iter([first, second])

    def later(_: object) -> Reply:
        monkeypatch.setattr(time, "time", lambda: now + 9.5 * RENEW_BEFORE_S)
        return Reply(200, ME)

    api.script += [later, Reply(200, ME)]
    assert use(lambda: next(given), 2) == [first, second]


def test_refused_token_is_replaced_once(api: ScriptedApi, use: Use):
    """After a 401 the function is asked for another token, with which the request is sent again, once."""
    given = iter(["first", "second", "third", "fourth"])
    api.script += [Reply(200, ME), REFUSED, Reply(200, ME), Reply(200, ME)]
    assert use(lambda: next(given), 3) == ["first", "first", "second", "second"]
    api.script += [REFUSED, REFUSED]
    with pytest.raises(AccessError):
        use(lambda: next(given), 1)


async def test_function_may_be_a_coroutine_function_and_is_asked_once_by_many_tasks(api: ScriptedApi):
    """Tasks that begin together wait for one token."""
    asked: list[int] = []

    async def give() -> str:
        asked.append(1)
        await anyio.lowlevel.checkpoint()
        return ending_in(3_600)

    api.script += [Reply(200, ME)] * 5
    async with Client(api.url, token=give) as client, anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(client.principal)
    assert len(asked) == 1


async def test_stream_goes_on_with_another_token(api: ScriptedApi):
    """A stream that is refused because its token has ended is opened again with another one."""
    given = iter(["first", "second"])
    begun = Reply(200, b": hello\n\n", "text/event-stream")
    api.script += [REFUSED, begun, problem(403, "Forbidden")]

    async def events(client: Client) -> AsyncIterator[object]:
        async for event in client.events():
            yield event

    async with Client(api.url, token=lambda: next(given), retry_for_s=0) as client:
        with pytest.raises(AccessError):
            async for _ in events(client):
                pass
    assert sent(api) == ["first", "second", "second"]


@pytest.mark.parametrize("token", ["", "two words", "é", "a\nb", lambda: "two words"])
def test_what_is_no_token_is_refused_without_being_quoted(token: object):
    """A token that no header can carry is a ValueError that does not quote it, before anything is sent."""
    with (
        pytest.raises(ValueError, match="is no token") as caught,
        SyncClient("http://127.0.0.1:1", token=token) as client,
    ):
        client.principal()
    assert "words" not in str(caught.value)


def test_key_and_token_are_not_given_together():
    """A request carries one credential, so a client takes one."""
    with pytest.raises(ValueError, match="`api_key` or `token`"):
        Client("http://127.0.0.1:1", api_key="ms_a", token="a.b.c")
    with pytest.raises(TypeError, match="no text"), SyncClient("http://127.0.0.1:1", token=lambda: None) as client:
        client.principal()
