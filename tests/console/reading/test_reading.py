"""What pages read: several things at once, some of them seldom, and charts of what happened."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import anyio
import pytest
from msgspec.structs import replace

from millstream import ApiError, Client, StatPoint, Stats
from millstream_console.reading.at_once import AtOnce
from millstream_console.reading.flow import MAX_MARKS, gaps_of, marks_of, throughput_chart, told_points
from millstream_console.reading.kept import is_remembered, kept, remember
from millstream_console.reading.past import Absence, unless_absent
from millstream_console.reading.ranges import RANGES
from millstream_contracts import Problem, StatGap, StatRelease

NOW = datetime(2026, 11, 26, 14, 0, 10, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
FOREVER_S = 1e9


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    """Yield a client that is never asked."""
    async with Client("http://127.0.0.1:9") as opened:
        yield opened


def refusal(slug: str) -> ApiError:
    """Return a refusal of the API."""
    return ApiError(Problem(type=f"/problems/{slug}", title="told", status=422))


def stats(minutes: int, gaps: list[StatGap] | None = None) -> Stats:
    """Return statistics of the last minutes, with 120 jobs in each; the last has begun ten seconds ago."""
    begin = NOW.replace(second=0) - (minutes - 1) * MINUTE
    points = [StatPoint(at=begin + n * MINUTE, submitted=120, succeeded=60) for n in range(minutes)]
    return Stats(begin=begin, end=begin + minutes * MINUTE, step_s=60, points=points, gaps=gaps or [])


async def test_requests_are_made_at_once() -> None:
    """Each begins before the first has ended, and the block ends with all answers."""
    met = [anyio.Event(), anyio.Event()]

    async def meet(mine: int) -> int:
        met[mine].set()
        await met[1 - mine].wait()
        return mine

    with anyio.fail_after(30):
        async with AtOnce() as reads:
            first, second = reads.begin(meet(0)), reads.begin(meet(1))
    assert (first.value, second.value) == (0, 1)


async def test_a_refusal_among_requests_is_raised_as_it_is() -> None:
    """A page answers for the refusal of the API, and not for a group of errors."""

    async def refuse() -> None:
        raise refusal("not-found")

    async def read_both() -> None:
        async with AtOnce() as reads:
            reads.begin(refuse())
            reads.begin(anyio.sleep_forever())

    with pytest.raises(ApiError, match="told"):
        await read_both()


async def test_two_refusals_at_once_are_one() -> None:
    """Requests that are refused in the same moment, before one of them cancels the other, raise one error."""
    together = anyio.Event()

    async def refuse() -> None:
        await together.wait()
        raise refusal("not-found")

    async def read_both() -> None:
        async with AtOnce() as reads:
            reads.begin(refuse())
            reads.begin(refuse())
            await anyio.wait_all_tasks_blocked()
            together.set()

    with pytest.raises(ApiError, match="told"):
        await read_both()


async def test_what_is_kept_is_read_once(client: Client) -> None:
    """An answer is given again while it is young, to the same client and key only; an error is not kept."""
    asked: list[int] = []

    async def read() -> int:
        asked.append(1)
        if len(asked) == 1:
            raise refusal("not-found")
        return len(asked)

    with pytest.raises(ApiError):
        await kept(client, "a", FOREVER_S, read)
    assert [await kept(client, "a", FOREVER_S, read) for _ in range(3)] == [2, 2, 2]
    assert await kept(client, "b", FOREVER_S, read) == 3
    assert await kept(client, "a", 0.0, read) == 4
    async with Client("http://127.0.0.1:9") as other:
        assert await kept(other, "a", FOREVER_S, read) == 5
        remember(other, "fact")
        assert is_remembered(other, "fact")
    assert not is_remembered(client, "fact")


@pytest.mark.parametrize(("slug", "absence"), [("no-history", Absence.NONE), ("history-unavailable", Absence.AWAY)])
async def test_a_history_that_is_missing_is_an_answer(slug: str, absence: Absence) -> None:
    """That there is no history, or that it does not answer, is told to the page; any other refusal is raised."""

    async def refuse(kind: str) -> int:
        raise refusal(kind)

    assert await unless_absent(refuse(slug)) is absence
    with pytest.raises(ApiError):
        await unless_absent(refuse("store-unreachable"))


def test_a_step_that_has_hardly_begun_is_not_drawn() -> None:
    """The last point is left out while less than half of its step is over: it would look like a fall."""
    found = stats(5)
    assert told_points(found, NOW) == found.points[:4]
    assert told_points(found, NOW + timedelta(seconds=25)) == found.points


def test_lost_events_are_shaded_where_they_are_missing() -> None:
    """A gap stands at its time in steps of the chart, and is wide enough to be seen; one outside is not drawn."""
    at = NOW.replace(second=0)
    lost = [
        StatGap(begin=at - 30 * MINUTE, end=at - 27 * MINUTE),
        StatGap(begin=at - 20 * MINUTE, end=at - 20 * MINUTE),
        StatGap(begin=at - timedelta(days=2), end=at - timedelta(days=1)),
    ]
    found = stats(61, lost)
    first, second = gaps_of(found, told_points(found, NOW))
    assert (first.begin, first.width) == (30.0, 3.0)
    assert "13:30 to 13:33" in first.title
    assert second.width > 0
    assert throughput_chart("Flow", found, RANGES["1h"], NOW).count('class="gap"') == 2


def test_a_chart_says_what_it_shows_in_the_unit_that_suits_it() -> None:
    """The sentence for screen readers has the last rates, per second where there is one in a second."""
    said = throughput_chart("Flow", stats(5), RANGES["1h"], NOW)
    assert 'aria-label="Flow of the last hour, at its end a second: 2 submitted, 1 succeeded, 0 died"' in said
    assert "1 failed" not in said


def test_releases_are_marks_in_steps_of_the_chart() -> None:
    """A release stands at its moment, one outside of the points nowhere, and of many the newest stand there."""
    found = stats(10)
    points = told_points(found, NOW)
    begin = points[0].at
    times = (begin - MINUTE, begin + 2.5 * MINUTE, begin + 90 * MINUTE)
    marked = replace(found, releases=[StatRelease(at=at, release=f"shop {n}") for n, at in enumerate(times)])
    [mark] = marks_of(marked, points)
    assert mark.at == 2.5
    assert mark.title.startswith("Release shop 1 at ")
    many = replace(found, releases=[StatRelease(at=begin, release=str(n)) for n in range(MAX_MARKS + 5)])
    assert [mark.title.split()[1] for mark in marks_of(many, points)] == [str(n) for n in range(5, MAX_MARKS + 5)]
