"""What a handler sees and says."""

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hostile_values import Recipe, recipes
from hypothesis import given
from sdk.contexts import make_context

from millstream import Context, Dead, Discard, NotBoundError, Retry, Snooze
from millstream.steering import Steering
from millstream_contracts import JobId, JobSpec, Progress


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


@given(percent=recipes(), note=recipes())
def test_progress_never_raises_and_can_always_be_stored(percent: Recipe, note: Recipe) -> None:
    """Nonsense leaves the percentage where it was, and a note without a text says that it has none."""
    noted: list[Progress] = []
    ctx = make_context("a", on_progress=noted.append)
    ctx.progress(40, "begun")
    ctx.progress(percent.make(), note.make())
    assert 0 <= noted[1].percent <= 100
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(noted[1]), type=Progress) == noted[1]


@pytest.mark.parametrize(
    ("percent", "shown"),
    [
        (None, 40),
        (float("nan"), 40),
        ("a lot", 40),
        (10**400, 40),
        (Decimal("NaN"), 40),
        (Decimal("41.5"), 41.5),
        ("42", 42),
        (True, 1),
        (float("inf"), 100),
        (float("-inf"), 0),
    ],
)
def test_progress_that_is_no_number_stays_where_it_was(percent: Any, shown: float) -> None:
    """Its note is taken all the same."""
    noted: list[Progress] = []
    ctx = make_context("a", on_progress=noted.append)
    ctx.progress(40)
    ctx.progress(percent, "on")
    assert noted[1] == Progress(shown, "on")


def test_tags_are_the_handlers_own() -> None:
    """What a handler does to them does not change the job."""
    spec = JobSpec(payload=msgspec.Raw(b"\xc0"), created_at_ms=1, tags={"a": "b"})
    ctx = Context(job_id=JobId("a_1"), job_type="a", attempt=1, fence=1, spec=spec, timeout_s=None)
    ctx.tags["c"] = "d"
    assert spec.tags == {"a": "b"}


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
