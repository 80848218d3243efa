"""Every job starts in the same clean context, whatever the jobs before and beside it have left in theirs."""

import asyncio
import decimal
from collections.abc import Callable
from contextvars import Context as ContextVars
from contextvars import ContextVar, copy_context
from typing import Any

import anyio
import pytest
import structlog
from opentelemetry import baggage
from opentelemetry.context import attach
from workers.floor import Floor

from millstream import App
from millstream_contracts import JobState
from millstream_workers.running.clean_context import CleanContext

WHO: ContextVar[str] = ContextVar("who", default="no tenant")

JOBS = 400


async def pause() -> None:
    """Let other tasks run, as a handler does that awaits."""
    await asyncio.sleep(0)


def bind_variable() -> None:
    """Set a context variable and never reset it, as an ORM does that stores its tenant."""
    WHO.set("another customer")


def bind_log() -> None:
    """Bind values to the log lines of this context."""
    structlog.contextvars.bind_contextvars(customer="another")


def attach_baggage() -> None:
    """Attach baggage and never detach it."""
    attach(baggage.set_baggage("customer", "another"))


def set_precision() -> None:
    """Change the decimal context in place."""
    decimal.getcontext().prec = 5


def see() -> dict[str, Any]:
    """Return the context that a job finds."""
    return {
        "who": WHO.get(),
        "log": structlog.contextvars.get_contextvars(),
        "baggage": dict(baggage.get_all()),
        "third": str(decimal.Decimal(1) / 3),
    }


CLEAN = {"who": "no tenant", "log": {}, "baggage": {}, "third": "0." + "3" * 28}


@pytest.mark.parametrize("leave", [bind_variable, bind_log, attach_baggage, set_precision])
@pytest.mark.parametrize("kind", ["loop", "thread"])
async def test_no_job_sees_what_others_leave_under_load(floor: Floor, kind: str, leave: Callable[[], None]) -> None:
    """No job sees the context of another while eight run side by side and every 40th of 400 leaves something behind."""
    app, seen = App("test"), []

    @app.job("loop")
    async def on_loop(number: int) -> None:
        seen.append(see())
        if number % 40 == 0:
            leave()
        await pause()

    @app.job("thread")
    def in_thread(number: int) -> None:
        seen.append(see())
        if number % 40 == 0:
            leave()

    # The worker's own context has had a decimal one since long: what shares it is changed in place.
    decimal.getcontext()
    await floor.hire(app, concurrency=8)
    for job_id in await floor.submit_many(kind, list(range(JOBS))):
        assert (await floor.settled(job_id)).state is JobState.SUCCEEDED
    assert [found for found in seen if found != CLEAN] == []
    assert len(seen) == JOBS


async def test_the_line_about_an_attempt_has_no_bindings_of_any_handler(
    floor: Floor, capsys: pytest.CaptureFixture[str]
) -> None:
    """The worker's line about an attempt carries the fields of its job and no values that a handler has bound."""
    app = App("test")

    @app.job("bind")
    async def bind() -> None:
        bind_log()
        bind_variable()

    structlog.configure(
        processors=[structlog.contextvars.merge_contextvars, structlog.processors.JSONRenderer()],
        cache_logger_on_first_use=False,
    )
    try:
        await floor.hire(app, concurrency=1)
        for job_id in await floor.submit_many("bind", [None] * 5):
            await floor.settled(job_id)
    finally:
        structlog.reset_defaults()
    lines = [line for line in capsys.readouterr().out.splitlines() if "attempt finished" in line]
    assert len(lines) == 5
    assert not any("customer" in line for line in lines)


def test_what_an_app_sets_before_the_first_job_is_there_for_all() -> None:
    """Context variables that an import or a lifespan sets are visible to every handler."""

    def start_twice() -> list[str]:
        WHO.set("the app")
        clean = CleanContext()
        WHO.set("set later")
        return [clean.run(WHO.get), clean.run(lambda: WHO.set("by a job") and WHO.get()), clean.run(WHO.get)]

    assert ContextVars().run(start_twice) == ["the app", "by a job", "the app"]


class Agrees:
    """A value that claims to equal every other."""

    def __eq__(self, _: object) -> bool:
        return True

    def __hash__(self) -> int:
        return 1


class Objects:
    """A value that cannot be compared, such as an array."""

    def __eq__(self, _: object) -> bool:
        raise ValueError("the truth value of an array is ambiguous")

    def __hash__(self) -> int:
        return 1


@pytest.mark.parametrize("value", [Agrees(), Objects()], ids=["agrees", "objects"])
def test_a_context_is_held_against_the_clean_one_by_identity(value: object) -> None:
    """Contexts are compared by the identity of their values, because a user's `__eq__` may raise or lie."""

    def compare() -> tuple[bool, bool]:
        holder: ContextVar[object] = ContextVar("holder")
        holder.set(Agrees())
        clean = CleanContext()
        before = clean.is_current()
        holder.set(value)
        return before, clean.is_current()

    assert ContextVars().run(compare) == (True, False)


def test_a_context_with_a_variable_more_or_less_is_not_the_clean_one() -> None:
    """A context with one variable more or less than the clean one counts as changed."""

    def compare() -> list[bool]:
        one: ContextVar[None] = ContextVar("one")
        other: ContextVar[None] = ContextVar("other")
        token = one.set(None)
        clean = CleanContext()
        found = [clean.is_current()]
        other.set(None)
        found.append(clean.is_current())
        one.reset(token)  # as many as before, and another
        found.append(clean.is_current())
        return found

    assert ContextVars().run(compare) == [True, False, False]


def test_settings_that_an_app_has_made_to_decimal_hold_for_its_jobs() -> None:
    """Each job begins with the decimal settings that the app has made, in a decimal context of its own."""

    def compare() -> tuple[str, str]:
        decimal.getcontext().prec = 7
        clean = CleanContext()
        first = clean.run(lambda: (str(decimal.Decimal(1) / 3), setattr(decimal.getcontext(), "prec", 3)))[0]
        return first, clean.run(lambda: str(decimal.Decimal(1) / 3))

    before = decimal.DefaultContext.prec
    try:
        assert ContextVars().run(compare) == ("0.3333333", "0.3333333")
    finally:
        decimal.DefaultContext.prec = before


async def test_a_task_made_in_the_clean_context_starts_with_a_copy_of_it() -> None:
    """A task made in the clean context starts with a copy: it sees no bindings of its starter, and passes none on."""
    clean, seen = CleanContext(), []

    async def look() -> None:
        seen.append(WHO.get())
        WHO.set("bound by the task")

    WHO.set("bound by the starter")
    async with anyio.create_task_group() as tasks:
        for _ in range(2):
            clean.run(tasks.start_soon, look)
    assert seen == ["no tenant", "no tenant"]
    assert copy_context()[WHO] == "bound by the starter"
