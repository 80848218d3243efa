"""Open pages are kept fresh: once for all who look at the same, and over restarts of what they read from."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing

import anyio
import pytest
from console.serving import Browser, running_console
from waiting import wait_until

from millstream import ApiError
from millstream_console.drawing.environment import Renderer
from millstream_console.live.frames import AWAY, TICK, Fragments
from millstream_console.live.hub import ENOUGH_FRAMES, Hub
from millstream_console.live.view import View
from millstream_console.settings import ConsoleSettings
from millstream_console.web.visit import Desk
from millstream_contracts import Problem

STREAM = {"accept": "text/html, text/event-stream"}


class Reader:
    """Reads pages of numbers, and counts how often."""

    def __init__(self) -> None:
        self.reads = 0
        self.is_away = False

    async def __call__(self, view: View, arguments: object) -> dict[str, object]:
        """Return how often pages were read. Raises: ApiError."""
        self.reads += 1
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


@pytest.fixture
def reader() -> Reader:
    """Return a reader of its own."""
    return Reader()


@pytest.fixture
async def hub(reader: Reader) -> AsyncIterator[Hub]:
    """Yield a hub that reads as fast as it can."""
    async with anyio.create_task_group() as tasks:
        hub = Hub(reader, Blocks(), tasks, every_s=0.01)
        yield hub
        hub.close()
        tasks.cancel_scope.cancel()


async def test_one_page_is_read_once_for_all_who_look_at_it(hub: Hub, reader: Reader) -> None:
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


async def test_pages_of_other_arguments_are_other_pages(hub: Hub) -> None:
    """The page of one type does not show another."""
    async with aclosing(hub.follow(VIEW, {"type": "a"})) as one, aclosing(hub.follow(VIEW, {"type": "b"})) as other:
        await anext(one)
        await anext(other)
        assert hub.views == 2


async def test_page_whose_source_is_away_says_so_and_goes_on(hub: Hub, reader: Reader) -> None:
    """The stream does not end: the browser shows how old its page is, until it is fresh again."""
    async with aclosing(hub.follow(VIEW, {})) as stream:
        await anext(stream)
        reader.is_away = True
        while await anext(stream) != AWAY:
            pass
        reader.is_away = False
        while (await anext(stream)) == AWAY:
            pass


async def test_viewer_that_takes_nothing_is_let_go(hub: Hub) -> None:
    """Memory is bounded; the browser connects again and gets everything."""
    async with aclosing(hub.follow(VIEW, {})) as stream, aclosing(hub.follow(VIEW, {})) as quick:
        await anext(stream)
        await anext(quick)
        while hub.viewers == 2:
            await anext(quick)
        seen = [frame async for frame in stream]
    assert len(seen) <= ENOUGH_FRAMES


async def test_stream_ends_when_the_console_stops(hub: Hub) -> None:
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
