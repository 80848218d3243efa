"""Open pages are kept fresh: once for all who look at the same, and over restarts of what they read from."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from anyio.abc import TaskGroup
from console.seeding import MAIL
from console.serving import Browser, running_console
from ingest.serving import Ingest
from msgspec.structs import replace
from streams.seeds import seed
from waiting import wait_until

from millstream import AccessError, ApiError
from millstream_console.drawing.environment import Renderer
from millstream_console.live import hub as hub_module
from millstream_console.live import view as views
from millstream_console.live.frames import AWAY, PULSE, SIGNED_OUT, TICK, Fragments
from millstream_console.live.hub import ENOUGH_FRAMES, Hub
from millstream_console.live.topic import AWAY_S, MOST_PAUSE_S, MOST_SHARE, STILL_S, Topic
from millstream_console.live.view import Moved, View
from millstream_console.settings import ConsoleSettings
from millstream_console.web.visit import Desk
from millstream_contracts import Problem
from millstream_streams import Broker

STREAM = {"accept": "text/html, text/event-stream"}


class Reader:
    """Reads pages of numbers, and counts how often."""

    def __init__(self) -> None:
        self.reads = 0
        self.is_away = False
        self.is_signed_out = False
        self.takes_s = 0.0

    async def __call__(self, view: View, arguments: object) -> dict[str, object]:
        """Return how often pages were read. Raises: ApiError."""
        self.reads += 1
        await anyio.sleep(self.takes_s)
        if self.is_signed_out:
            raise AccessError(Problem(type="/problems/x", title="no", status=401))
        if self.is_away:
            raise ApiError(Problem(type="/problems/x", title="away", status=503))
        return {"reads": self.reads}


class Blocks(Renderer):
    """Renders one live block: how often the page was read."""

    def __init__(self) -> None:
        """Need no templates."""

    def blocks(self, template, context):
        """Yield how often the page was read."""
        yield "live_x", f"<p>{context['reads']}</p>"


async def gather() -> dict[str, object]:
    """Gather nothing: the reader of the test does."""
    return {}


VIEW = View("a.html", gather, "a")


class SharedHub(Hub):
    """A hub whose pages are all read by one reader, where no test says otherwise."""

    def __init__(self, read: Reader, renderer: Blocks, tasks: TaskGroup, *, every_s: float, follow: Any = None) -> None:
        super().__init__(renderer, tasks, every_s=every_s)
        self._one = views.Reader("one", read, follow)

    def follow(
        self, page: View, arguments: views.Arguments, reader: views.Reader | None = None
    ) -> AsyncIterator[bytes]:
        """Yield the frames of a page."""
        return super().follow(page, arguments, reader or self._one)


@pytest.fixture
def reader() -> Reader:
    """Return a reader of its own."""
    return Reader()


@pytest.fixture
async def hub(reader: Reader) -> AsyncIterator[SharedHub]:
    """Yield a hub that reads as fast as it can."""
    async with anyio.create_task_group() as tasks:
        hub = SharedHub(reader, Blocks(), tasks, every_s=0.01)
        yield hub
        hub.close()
        tasks.cancel_scope.cancel()


async def test_one_page_is_read_once_for_all_who_look_at_it(hub: SharedHub, reader: Reader) -> None:
    """Five hundred who look at the same page cost what one does, and each gets what changes."""
    async with AsyncExitStack() as stack:
        streams = [await stack.enter_async_context(aclosing(hub.follow(VIEW, {}))) for _ in range(500)]
        firsts = [await anext(stream) for stream in streams]
        assert (hub.viewers, hub.views) == (500, 1)
        assert all(b'hx-target="#live_x"' in first for first in firsts)
        before = reader.reads
        for _ in range(3):
            for stream in streams:
                await anext(stream)
        assert reader.reads - before <= ENOUGH_FRAMES + 3
    await wait_until(lambda: hub.views == 0, "nothing is read that no page shows")


async def test_pages_of_other_arguments_are_other_pages(hub: SharedHub) -> None:
    """The page of one type does not show another."""
    async with aclosing(hub.follow(VIEW, {"type": "a"})) as one, aclosing(hub.follow(VIEW, {"type": "b"})) as other:
        await anext(one)
        await anext(other)
        assert hub.views == 2


async def test_pages_of_other_sessions_are_other_pages(hub: SharedHub, reader: Reader) -> None:
    """What is read with the rights of one session is sent to no other one, though both look at the same page."""
    other = Reader()
    other.reads = 100
    shared = views.Reader("other", other)
    async with aclosing(hub.follow(VIEW, {})) as one, aclosing(hub.follow(VIEW, {}, shared)) as another:
        assert b"<p>1</p>" in await anext(one)
        assert b"<p>101</p>" in await anext(another)
        assert (hub.viewers, hub.views) == (2, 2)


async def test_stream_of_a_session_that_has_ended_says_so_and_ends(hub: SharedHub, reader: Reader) -> None:
    """Once ingest refuses the session, the page is told once, and is read no more."""
    async with aclosing(hub.follow(VIEW, {})) as stream:
        await anext(stream)
        reader.is_signed_out = True
        parts = [part async for part in stream]
    assert parts[-1] == SIGNED_OUT
    assert parts.count(SIGNED_OUT) == 1
    await wait_until(lambda: hub.views == 0, "the page is read no more")


async def test_page_whose_source_is_away_says_so_and_goes_on(hub: SharedHub, reader: Reader) -> None:
    """The stream does not end: the browser shows how old its page is, until it is fresh again."""
    async with aclosing(hub.follow(VIEW, {})) as stream:
        await anext(stream)
        reader.is_away = True
        while await anext(stream) != AWAY:
            pass
        reader.is_away = False
        while (await anext(stream)) == AWAY:
            pass


async def test_viewer_that_takes_nothing_is_let_go(hub: SharedHub) -> None:
    """Memory is bounded; the browser connects again and gets everything."""
    async with aclosing(hub.follow(VIEW, {})) as stream, aclosing(hub.follow(VIEW, {})) as quick:
        await anext(stream)
        await anext(quick)
        while hub.viewers == 2:
            await anext(quick)
        seen = [frame async for frame in stream]
    assert len(seen) <= ENOUGH_FRAMES


async def test_stream_ends_when_the_console_stops(hub: SharedHub) -> None:
    """A browser connects to the next one, at once."""
    async with aclosing(hub.follow(VIEW, {})) as stream:
        await anext(stream)
        hub.close()
        assert [frame async for frame in stream][ENOUGH_FRAMES + 1 :] == []
    async with aclosing(hub.follow(VIEW, {})) as late:
        assert [frame async for frame in late] == []


def test_fragments_are_sent_when_they_change() -> None:
    """A page that stays as it is costs a tick; a newcomer gets all of it."""
    fragments = Fragments()
    assert fragments.all() == b""
    assert fragments.changed([("a", "1"), ("b", "2")]).count(b"hx-partial hx-target") == 2
    assert fragments.changed([("a", "1"), ("b", "2")]) == TICK
    changed = fragments.changed([("a", "1"), ("b", "3\n4")])
    assert b'hx-target="#b"' in changed
    assert b'hx-target="#a"' not in changed
    assert all(line.startswith((b"data: ", b"event: ")) for line in changed.splitlines() if line)
    assert fragments.all().count(b"hx-partial hx-target") == 2


def test_empty_lines_of_a_text_are_sent_too() -> None:
    """A text that keeps its lines, such as code in a `pre`, arrives with its empty ones."""
    sent = Fragments().changed([("a", "<pre>one\n\ntwo</pre>")])
    told = b"\n".join(line.removeprefix(b"data: ") for line in sent.partition(b"\n\nevent:")[0].split(b"\n"))
    assert b"<pre>one\n\ntwo</pre>" in told


async def test_what_changes_reaches_an_open_page(console: Browser, ingest) -> None:
    """The stream of a page has the page's own live parts, with what happened since."""
    async with console.http.stream("GET", "/queues", headers=STREAM) as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        await ingest.submit("mail.later", delay_s=3600)
        text = ""
        async for piece in stream.aiter_text():
            text += piece
            if "mail.later" in text:
                break
    assert '<hx-partial hx-target="#live_queues" hx-swap="innerMorph">' in text.replace("data: ", "")


async def test_streams_do_not_keep_a_console_from_stopping(ingest) -> None:
    """A rolling restart does not wait for people to close their tabs."""
    async with running_console(ConsoleSettings(url=str(ingest.http.base_url))) as console:
        desk: Desk = console.desk
        context = console.http.stream("GET", "/queues", headers=STREAM)
        stream = await context.__aenter__()
        await wait_until(lambda: desk.hub.viewers == 1, "the stream is open")
    assert desk.hub.viewers == 0
    await stream.aclose()


class Teller:
    """Tells a hub of events, and counts who listens."""

    def __init__(self) -> None:
        self.moved: list[Moved] = []
        self.error: ApiError | None = None
        self.calls = 0

    async def __call__(self, view: View, arguments: object, moved: Moved) -> None:
        """Take what is to be called at each event. Raises: ApiError."""
        self.calls += 1
        if self.error:
            raise self.error
        self.moved.append(moved)
        try:
            await anyio.sleep_forever()
        finally:
            self.moved.remove(moved)


TOLD = replace(VIEW, follow=lambda *_: anyio.lowlevel.checkpoint())
LONG_S = 3600.0


@asynccontextmanager
async def telling_hub(reader: Reader, teller: Teller, every_s: float = LONG_S) -> AsyncIterator[SharedHub]:
    """Yield a hub that hears of events, and reads by the clock after so long."""
    async with anyio.create_task_group() as tasks:
        yield SharedHub(reader, Blocks(), tasks, every_s=every_s, follow=teller)
        tasks.cancel_scope.cancel()


async def test_page_is_read_at_once_when_something_happens(reader: Reader) -> None:
    """An event reaches all who look at the page, by one reading and one stream of events, before the clock says so."""
    teller = Teller()
    async with telling_hub(reader, teller) as hub, AsyncExitStack() as stack:
        streams = [await stack.enter_async_context(aclosing(hub.follow(TOLD, {}))) for _ in range(500)]
        for stream in streams:
            await anext(stream)
        await wait_until(lambda: teller.moved, "events are heard")
        teller.moved[0]()
        assert all([b"<p>2</p>" in await anext(stream) for stream in streams])
        assert (reader.reads, teller.calls) == (2, 1)


async def test_events_are_not_heard_for_a_page_that_is_closed(reader: Reader) -> None:
    """When the last viewer has gone, no stream of events is left."""
    teller = Teller()
    async with telling_hub(reader, teller, every_s=0.01) as hub:
        async with aclosing(hub.follow(TOLD, {})) as stream:
            await anext(stream)
            await wait_until(lambda: teller.moved, "events are heard")
        await wait_until(lambda: hub.views == 0 and not teller.moved, "events are not heard any more")


@pytest.mark.parametrize(("status", "calls"), [(404, 1), (503, 3)])
async def test_page_without_events_is_read_by_the_clock(
    reader: Reader, monkeypatch: pytest.MonkeyPatch, status: int, calls: int
) -> None:
    """Where events are refused the page goes on; they are asked for again only where that can help."""
    monkeypatch.setattr(hub_module, "AGAIN_S", 0.0)
    teller = Teller()
    teller.error = ApiError(Problem(type="/problems/x", title="no", status=status))
    async with telling_hub(reader, teller, every_s=0.01) as hub, aclosing(hub.follow(TOLD, {})) as stream:
        while reader.reads < 5:
            await anext(stream)
        assert min(teller.calls, 3) == calls


def test_page_that_takes_long_to_read_is_read_seldom() -> None:
    """Reading takes no more than a tenth of the time, however long one takes; a page that is away is tried sooner."""
    topic = Topic(VIEW, {}, views.Reader("one", Reader()))
    for took_s, pause_s in ((0.01, 2.0), (0.5, 4.5), (3.0, 27.0), (60.0, MOST_PAUSE_S)):
        topic.note_reading(took_s, is_away=False)
        assert topic.pause_s(2.0) == pytest.approx(pause_s)
        assert took_s / (took_s + pause_s) <= MOST_SHARE + 1e-9 or pause_s == MOST_PAUSE_S
    topic.note_reading(60.0, is_away=True)
    assert topic.pause_s(2.0) == AWAY_S


def test_page_of_which_nothing_moves_is_read_seldom_while_events_are_heard() -> None:
    """An ended job moves by events alone; soon after one, its page is read as any other, since the history lags."""
    topic = Topic(VIEW, {}, views.Reader("one", Reader()))
    topic.note_reading(0.01, is_away=False)
    topic.is_still = True
    assert topic.pause_s(2.0) == 2.0
    topic.hears_events = True
    assert topic.pause_s(2.0) == STILL_S
    topic.note_event()
    assert topic.pause_s(2.0) == 2.0


async def test_stream_is_heard_while_a_page_is_not_read(reader: Reader) -> None:
    """Between two readings a browser hears that the stream is there, and not that the page is fresh."""
    teller = Teller()
    async with telling_hub(reader, teller, every_s=0.01) as hub, aclosing(hub.follow(TOLD, {})) as stream:
        await anext(stream)
        await wait_until(lambda: teller.moved, "events are heard")
        reader.takes_s = 0.05
        while (frame := await anext(stream)) != PULSE:
            assert frame.endswith(TICK)
        reads = reader.reads
        assert (await anext(stream)) == PULSE
        assert reader.reads == reads


async def test_moving_job_is_shown_at_once(broker: Broker, ingest: Ingest) -> None:
    """The page of a job follows its events, whatever the clock of the console says."""
    settings = ConsoleSettings(url=str(ingest.http.base_url), console_refresh_s=60.0)
    [job_id] = await seed(broker, MAIL)
    await broker.registry.add_queues([MAIL])
    async with (
        running_console(settings) as console,
        console.http.stream("GET", f"/jobs/{job_id}", headers=STREAM) as page,
    ):
        pieces = page.aiter_text()
        text = await anext(pieces)
        assert "No live worker handles" in text
        await wait_until(lambda: ingest.services.events.count == 1, "ingest is listened to")
        await console.desk.client.cancel(job_id)
        async for piece in pieces:
            if "It was cancelled" in piece:
                break
