"""The screen of `top` fits the terminal, and shows the text of users as text."""

import io

import pytest
from cli.top.snapshots import NOW, snapshot
from rich.console import Console

from millstream_cli.top.screen import BLOCKS, draw, freshness, sparkline
from millstream_cli.top.snapshot import Snapshot
from millstream_cli.top.view import View
from millstream_contracts import Job, JobId, JobState, JobType

LIVE = freshness(0.1, is_paused=False, error="")


def drawn(shown: Snapshot, *keys: str, height: int = 30, width: int = 100, jobs: list[Job] | None = None) -> list[str]:
    """Return the lines of the screen after some keys."""
    view = View()
    for key in keys:
        view.press(key, shown, len(jobs or ()))
    console = Console(file=io.StringIO(), width=width, height=height, force_terminal=False)
    console.print(draw(view, shown, jobs, LIVE, "http://a", height))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


@pytest.mark.parametrize("height", [24, 30, 60])
@pytest.mark.parametrize("size", [0, 3, 300])
def test_the_screen_is_no_higher_than_the_terminal(height: int, size: int) -> None:
    """However much there is, the screen has as many lines as the terminal at most, and the last one tells the keys."""
    lines = drawn(snapshot(size, size, size), height=height)
    assert len(lines) <= height
    assert lines[-1].startswith("j k move")


def test_the_selected_row_is_on_the_screen() -> None:
    """Of a table that is longer than its room the part with the selected row is shown."""
    lines = drawn(snapshot(queues=300), *["j"] * 150)
    [marked] = [line for line in lines if line.startswith("▸")]
    assert marked.split()[1] == "t.150"


def test_the_text_of_users_is_text() -> None:
    """Control characters, bidirectional marks and brackets in the text of users are shown as they are, or replaced."""
    text = "\n".join(drawn(snapshot(), width=160))
    assert "[bold]" in text
    assert not {"\x1b", "\u202e"} & set(text)
    for key in ("tab", "tab"):
        assert "\x1b" not in "\n".join(drawn(snapshot(), key, "enter", jobs=[]))


def test_a_page_of_jobs_says_when_there_are_none() -> None:
    """A page of jobs says that it is read, and that there are none."""
    assert any("reading" in line for line in drawn(snapshot(), "enter"))
    assert any("none" in line for line in drawn(snapshot(), "enter", jobs=[]))
    job = Job(id=JobId("t.0_1"), type=JobType("t.0"), state=JobState.QUEUED, created_at=NOW)
    assert any(line.startswith("▸ t.0_1  queued") for line in drawn(snapshot(), "enter", jobs=[job]))


def test_without_a_history_the_screen_says_so() -> None:
    """Without a history there is a word in place of the throughput, rates are not known, and no errors are listed."""
    lines = drawn(snapshot(has_past=False))
    assert any(line.startswith("no history") for line in lines)
    assert not any("Dead by error" in line for line in lines)
    assert any("\N{EN DASH}" in line for line in lines)


def test_rates_are_those_of_a_minute() -> None:
    """Rates are what ended and failed in the time of the statistics, by its minutes."""
    assert snapshot().rates_of("t.0") == (11.0, 1.0)
    assert snapshot().rates_of("t.1") == (0.0, 0.0)
    assert snapshot(has_past=False).rates_of("t.0") is None


def test_a_sparkline_has_a_block_for_each_number() -> None:
    """The largest number is the highest block, zero the lowest, and no other number looks like zero."""
    assert sparkline([0, 1, 1000]) == BLOCKS[0] + BLOCKS[1] + BLOCKS[-1]
    assert sparkline([0, 0]) == BLOCKS[0] * 2
    assert sparkline([]) == ""


def test_freshness_is_told_by_a_word() -> None:
    """What is shown is live, paused or old, by a shape and a word, and the colour is not needed."""
    assert LIVE.plain == "● live"
    assert freshness(41.0, is_paused=True, error="").plain == "○ paused, 41 s old"
    assert freshness(12.0, is_paused=False, error="reconnecting").plain == "■ reconnecting, 12 s old"
