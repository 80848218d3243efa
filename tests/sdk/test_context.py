"""A handler reads and reports through its context."""

import time
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import msgspec
import pytest
import structlog
from hostile_values import Recipe, recipes
from hypothesis import given
from sdk.contexts import make_context

from millstream import Context, Dead, Discard, NotBoundError, Retry, Snooze
from millstream.steering import Steering
from millstream_contracts import Backoff, JobId, JobSpec, Progress


async def test_progress_is_noted_within_bounds_awaited_or_not() -> None:
    """Progress may be awaited or not, and its percentage and note are brought into bounds."""
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
    """Progress with any values raises nothing, and can be stored."""
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
    """A percentage that is no number leaves the last one, and its note is recorded."""
    noted: list[Progress] = []
    ctx = make_context("a", on_progress=noted.append)
    ctx.progress(40)
    ctx.progress(percent, "on")
    assert noted[1] == Progress(shown, "on")


def test_tags_are_the_handlers_own() -> None:
    """A change of the tags of a context does not change the job."""
    spec = JobSpec(payload=msgspec.Raw(b"\xc0"), created_at_ms=1, tags={"a": "b"})
    ctx = Context(job_id=JobId("a_1"), job_type="a", attempt=1, fence=1, spec=spec, timeout_s=None)
    ctx.tags["c"] = "d"
    assert spec.tags == {"a": "b"}


async def test_submit_raises_when_there_is_no_submitter() -> None:
    """A submission through a context that a test has made by hand raises an error that says why."""
    with pytest.raises(NotBoundError, match="belongs to no running job"):
        await make_context("a").submit("b")


def test_submit_raises_at_once_when_no_loop_can_await_it() -> None:
    """A Context in a place without an event loop submits nothing, and says so at once and not by a warning."""
    with pytest.raises(NotBoundError, match=r"`ctx\.submit` of a Context is awaited, and no event loop runs"):
        make_context("a").submit("b")  # type: ignore[unused-coroutine]
    with pytest.raises(NotBoundError, match=r"`ctx\.submit_many` of a Context is awaited"):
        make_context("a").submit_many("b", [])  # type: ignore[unused-coroutine]


class Recorder:
    """A submitter that records the submissions of a handler."""

    def __init__(self) -> None:
        self.taken: list[Any] = []

    async def submit(self, type: str, payload: Any = None, **options: Any) -> str:
        """Record one job."""
        self.taken.append((type, payload, options))
        return "handle"

    async def submit_children(self, job: str, payloads: Iterable[Any], **options: Any) -> list[str]:
        """Record several jobs."""
        self.taken.append((job, list(payloads), options))
        return ["handle"]


async def test_context_has_what_is_known_of_the_delivery() -> None:
    """Each member of a context has its own value: attempt, fence, state, deadline and children."""
    children = Recorder()
    before = time.monotonic()
    ctx = Context(
        job_id=JobId("a_1"),
        job_type="a",
        attempt=2,
        fence=5,
        spec=JobSpec(payload=msgspec.Raw(b"\xc0"), created_at_ms=1, tags={"a": "b"}),
        timeout_s=30,
        state="pool",
        submitter=children,
    )
    assert (ctx.job_id, ctx.type, ctx.attempt, ctx.fence, ctx.state) == ("a_1", "a", 2, 5, "pool")
    assert (ctx.tags, ctx.timeout_s, ctx.cancelled) == ({"a": "b"}, 30, False)
    assert ctx.deadline is not None
    assert before + 30 <= ctx.deadline <= time.monotonic() + 30
    assert await ctx.submit("b", 1, delay=3) == "handle"
    assert await ctx.submit_many("b", (1, 2), priority="low") == ["handle"]
    assert children.taken == [("b", 1, {"delay": 3}), ("b", [1, 2], {"priority": "low"})]


def test_log_lines_of_a_context_name_the_delivery() -> None:
    """A log line of a context names the job, its type and the attempt."""
    with structlog.testing.capture_logs() as lines:
        make_context("a").log.info("begun", rows=3)
    (line,) = lines
    assert (line["event"], line["type"], line["attempt"], line["rows"]) == ("begun", "a", 1, 3)
    assert line["job_id"] == "a_0001890000000000000000000000"


def test_progress_that_is_no_number_is_zero_at_first() -> None:
    """A first percentage that is no number counts as zero."""
    noted: list[Progress] = []
    make_context("a", on_progress=noted.append).progress("a lot")  # type: ignore[arg-type]
    assert noted == [Progress(0.0, "")]


def test_deadline_is_absent_when_there_is_no_timeout() -> None:
    """A job without a timeout has no deadline."""
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
    """The text of an outcome request says what it asks for."""
    assert isinstance(raised, Exception)
    assert str(raised) == text


def test_steering_carries_what_the_worker_goes_by() -> None:
    """An outcome request has its delay in seconds and its reason as they were given."""
    assert (Retry.after(30).delay_s, Snooze(1.5).delay_s) == (30, 1.5)
    assert (Discard("not needed").reason, Dead("no such user").reason) == ("not needed", "no such user")


def test_retry_becomes_the_backoff_of_the_contract() -> None:
    """Each part of a `Retry` becomes a part of the policy."""
    retry = Retry(backoff="linear", base=2, cap=9, jitter=False)
    assert retry.to_backoff() == Backoff(kind="linear", base_s=2, cap_s=9, jitter=False)
    assert Retry().to_backoff() == Backoff(kind="exponential", base_s=1, cap_s=600, jitter=True)
