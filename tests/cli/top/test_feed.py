"""The feed of `top` keeps what it shows fresh, and goes on when the API was away."""

from collections.abc import Iterator, Sequence

import pytest
from cli.top.snapshots import snapshot
from sdk.client.scripted_api import Received, Reply, ScriptedApi, job_body
from waiting import wait_until

from millstream import SyncClient
from millstream_cli.top.feed import PAST_EVERY_S, Feed
from millstream_cli.top.snapshot import read_jobs, read_past
from millstream_cli.top.view import Wanted
from millstream_contracts import Job

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


def test_what_is_shown_is_asked_for_with_its_time(api: ScriptedApi, client: SyncClient) -> None:
    """The history is asked for an hour of statistics, five minutes by type and a day of errors; a row for its jobs."""
    span = {"from": "2026-03-27T03:00:00Z", "to": "2026-03-27T04:00:00Z", "step_s": 60}
    answers = {
        "/v1/stats": Reply(200, {**span, "points": []}),
        "/v1/stats/types": Reply(200, {**span, "items": []}),
        "/v1/dead/groups": Reply(200, {"items": [], "complete": True}),
        "/v1/jobs": Reply(200, {"items": [], "next_cursor": None, "complete": True}),
    }
    api.take = lambda request: answers[request.path]  # type: ignore[method-assign]
    assert read_past(client) is not None
    assert read_jobs(client, "a.b", None) == read_jobs(client, "a.b", "state:dead") == []
    asked = {one.path: one.query for one in api.received[:3]}
    assert (asked["/v1/stats"]["from"], asked["/v1/stats/types"]["from"]) == (["3600s"], ["300s"])
    assert asked["/v1/dead/groups"]["since"] == ["86400s"]
    assert [one.query for one in api.received[3:]] == [
        {"type": ["a.b"], "limit": ["200"]},
        {"q": ["state:dead"], "limit": ["200"]},
    ]


async def test_the_history_is_not_asked_at_each_look(
    api: ScriptedApi, client: SyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The history is asked once in `PAST_EVERY_S`, which is some seconds, however often queues are read."""
    assert 5.0 <= PAST_EVERY_S <= 60.0
    api.take = lambda _: EMPTY  # type: ignore[method-assign]
    with Feed(client, snapshot(), EVERY_S):
        await wait_until(lambda: len(api.received) >= 6, "three looks were taken")
    assert {one.path for one in api.received} == {"/v1/queues", "/v1/workers"}
    monkeypatch.setattr("millstream_cli.top.feed.PAST_EVERY_S", 0.0)
    with Feed(client, snapshot(), EVERY_S):
        await wait_until(lambda: any("/v1/stats" in one.path for one in api.received), "the history is asked")


async def test_what_is_shown_in_a_pause_is_as_old_as_it_is(api: ScriptedApi, client: SyncClient) -> None:
    """Reads of a page in a pause do not make the rest of the screen any fresher."""
    page = Reply(200, {"items": [], "next_cursor": None, "complete": True})
    api.take = lambda _: page  # type: ignore[method-assign]
    feed = Feed(client, snapshot(), EVERY_S)
    read_at = feed.read_at
    feed.follow(Wanted("jobs", "a", None), is_paused=True)
    with feed:
        await wait_until(lambda: feed.jobs is not None, "the jobs are read")
    assert feed.read_at == read_at


async def test_jobs_of_a_page_that_was_left_meanwhile_are_not_shown(api: ScriptedApi, client: SyncClient) -> None:
    """The answer for a page that was left while it was read is not taken for the page that is open now."""
    page = {"next_cursor": None, "complete": True}
    answers = {name: Reply(200, {"items": [job_body(f"{name}_1")], **page}) for name in ("a", "b")}
    feed = Feed(client, snapshot(), every_s=3600.0)

    def take(request: Received) -> Reply:
        if request.path != "/v1/jobs":
            return EMPTY
        (name,) = request.query["type"]
        if name == "a":
            feed.follow(Wanted("jobs", "b", None), is_paused=True)
        return answers[name]

    api.take = take  # type: ignore[method-assign]
    seen: list[Sequence[Job] | None] = []
    with feed:
        feed.follow(Wanted("jobs", "a", None), is_paused=True)
        await wait_until(lambda: seen.append(feed.jobs) or feed.jobs, "the jobs of the second page are read")
    assert [job.id for job in feed.jobs or ()] == ["b_1"]
    assert not any(job.id == "a_1" for jobs in seen for job in jobs or ())
