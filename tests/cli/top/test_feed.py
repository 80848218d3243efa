"""The feed of `top` keeps what it shows fresh, and goes on when the API was away."""

from collections.abc import Iterator

import pytest
from cli.top.snapshots import snapshot
from sdk.client.scripted_api import Reply, ScriptedApi, job_body
from waiting import wait_until

from millstream import SyncClient
from millstream_cli.top.feed import Feed
from millstream_cli.top.view import Wanted

EVERY_S = 0.01
EMPTY = Reply(200, {"items": [], "next_cursor": None})
AWAY = Reply(503, {"type": "x", "title": "away", "status": 503}, "application/problem+json")


@pytest.fixture
def api() -> Iterator[ScriptedApi]:
    """Yield an API that answers as its script says."""
    served = ScriptedApi()
    yield served
    served.close()


@pytest.fixture
def client(api: ScriptedApi) -> Iterator[SyncClient]:
    """Yield a client that repeats nothing."""
    with SyncClient(api.url, retry_for_s=0.0) as opened:
        yield opened


async def test_what_is_shown_is_read_again_and_again(api: ScriptedApi, client: SyncClient) -> None:
    """The feed reads queues and workers anew, says when the API is away, and goes on when it is back."""
    first = snapshot()
    api.script.extend([AWAY, AWAY])
    api.take = lambda _: EMPTY  # type: ignore[method-assign]
    with Feed(client, first, EVERY_S) as feed:
        await wait_until(lambda: feed.error == "reconnecting" or feed.snapshot is not first, "a read has failed")
        await wait_until(lambda: feed.snapshot is not first and not feed.error, "it goes on")
        assert feed.snapshot.queues == []
        assert feed.snapshot.past is first.past


async def test_a_pause_stops_reads_but_for_a_page_that_is_opened(api: ScriptedApi, client: SyncClient) -> None:
    """In a pause nothing is read anew, and the jobs of a row that is opened are read once."""
    first = snapshot()
    page = Reply(200, {"items": [job_body("a_1")], "next_cursor": None, "complete": True})
    api.take = lambda request: page if request.path == "/v1/jobs" else EMPTY  # type: ignore[method-assign]
    feed = Feed(client, first, EVERY_S)
    feed.follow(None, is_paused=True)
    with feed:
        feed.follow(Wanted("jobs", "a", None), is_paused=True)
        await wait_until(lambda: feed.jobs is not None, "the jobs are read")
        assert [job.id for job in feed.jobs or ()] == ["a_1"]
    assert feed.snapshot is first
    assert [request.path for request in api.received] == ["/v1/jobs"]


async def test_a_page_that_is_opened_is_read_at_once_and_leaving_waits_for_no_pass(
    api: ScriptedApi, client: SyncClient
) -> None:
    """A page is not put off to the next pass, and a feed that is left reads no more, whatever its interval."""
    api.take = lambda _: EMPTY  # type: ignore[method-assign]
    with Feed(client, snapshot(), every_s=3600.0) as feed:
        feed.follow(Wanted("jobs", "a", None), is_paused=False)
        await wait_until(lambda: feed.jobs is not None, "the jobs are read")
        assert feed.jobs == []
    await wait_until(lambda: not feed._thread.is_alive(), "the thread has ended")


async def test_a_refusal_is_shown_in_one_line(api: ScriptedApi, client: SyncClient) -> None:
    """What the API refuses is told as it says it, on one line, until a read goes well."""
    refused = Reply(403, {"type": "x", "title": "not\nallowed", "status": 403}, "application/problem+json")
    answers = [refused]
    api.take = lambda _: answers[-1]  # type: ignore[method-assign]
    with Feed(client, snapshot(), EVERY_S) as feed:
        await wait_until(lambda: feed.error, "the refusal is shown")
        assert "not" in feed.error
        assert "\n" not in feed.error
        answers.append(EMPTY)
        await wait_until(lambda: not feed.error, "it goes on")
