"""What a handler sees and says."""

import pytest
from sdk.contexts import make_context

from millstream import Dead, Discard, NotBoundError, Retry, Snooze
from millstream.steering import Steering
from millstream_contracts import Progress


async def test_progress_is_noted_within_bounds_awaited_or_not() -> None:
    """One method serves `async def` and `def` handlers, and nonsense is brought into bounds."""
    noted: list[Progress] = []
    ctx = make_context("a", on_progress=noted.append)
    ctx.progress(50, "half")
    await ctx.progress(250)
    await ctx.progress(-1, "x" * 1000)
    assert [progress.percent for progress in noted] == [50, 100, 0]
    assert noted[0].note == "half"
    assert len(noted[2].note) == 200


async def test_submit_raises_when_there_is_no_submitter() -> None:
    """A handler in a process of its own cannot submit, and is told so."""
    with pytest.raises(NotBoundError, match="process of its own"):
        await make_context("a").submit("b")


def test_deadline_is_absent_when_there_is_no_timeout() -> None:
    """Without a timeout there is no deadline."""
    assert make_context("a").deadline is None


@pytest.mark.parametrize(
    ("raised", "text"),
    [
        (Retry.after(30), "retry after 30 s"),
        (Snooze(1.5), "snooze for 1.5 s"),
        (Discard("not needed"), "not needed"),
        (Dead("no such user"), "no such user"),
    ],
)
def test_steering_says_what_it_wants(raised: Steering, text: str) -> None:
    """A wish is an exception whose text is for people."""
    assert isinstance(raised, Exception)
    assert str(raised) == text
