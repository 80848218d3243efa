"""`tail` prints an event as a line that nothing in it can break."""

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from datetime import UTC, datetime

import pytest
from cli.commands import run

from millstream_cli.client.tail_command import line_of
from millstream_contracts import JobId, JobType, LiveEvent

ID = JobId("email.send_0001JD3YQ8Z7M4T6V0RXKBN5C2WA")
AT = datetime(2026, 11, 27, 9, 5, 7, 42_000, tzinfo=UTC)


@pytest.mark.parametrize(
    ("more", "line"),
    [
        ({"kind": "succeeded", "state": "succeeded", "worker": "vm:1"}, "succeeded  vm:1"),
        ({"kind": "submitted", "state": "queued"}, "submitted, queued"),
        (
            {"kind": "dead", "state": "dead", "worker": "vm:1", "detail": "no\x1b[2J\nway"},
            "dead  vm:1: no\ufffd[2J\ufffdway",
        ),
    ],
)
def test_a_line_says_when_which_job_what_and_why(more: dict[str, str], line: str) -> None:
    """A line has the time, the id and what happened; the state only where the word for the event does not tell it."""
    event = LiveEvent(id=ID, type=JobType("email.send"), version=1, at=AT, **more)
    assert line_of(event) == f"09:05:07.042  {ID}  {line}"


class Missing:
    """A client whose events have a gap."""

    def events(self, *, on_gap: Callable[[], None], **_: object) -> Iterator[LiveEvent]:
        """Yield an event behind a gap."""
        on_gap()
        yield LiveEvent(id=ID, type=JobType("email.send"), version=1, at=AT, kind="dead", state="dead")


def test_a_gap_is_told_between_the_events(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where events were lost it is said on stderr, so that what is printed is not taken for everything."""
    monkeypatch.setattr("millstream_cli.client.tail_command.connect", lambda *_, **__: nullcontext(Missing()))
    for words in ((), ("--json",)):
        result = run("tail", *words)
        assert result.stderr == "millstream: events are missing here\n"
        assert len(result.stdout.splitlines()) == 1
