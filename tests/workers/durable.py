"""An app whose durable handlers run in each isolation: the same work as `async def` and as `def`.

Each writes what it does, a line for each call of a step, to the file that its payload names.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from millstream import (
    App,
    DurableContext,
    JobFailedError,
    Retry,
    Signal,
    SignalTimeoutError,
    StepError,
    SyncDurableContext,
)

ISOLATIONS = ("loop", "thread", "process", "process.async")

app = App("durable")


class Approval(msgspec.Struct):
    """What a signal carries."""

    by: str


approved = Signal("approved", Approval)


class Work(msgspec.Struct):
    """A payload."""

    file: str
    seconds: float = 0.0


class Receipt(msgspec.Struct):
    """What a step gives."""

    number: int


def charge(work: Work, number: int) -> Receipt:
    """Note the call, and give a receipt."""
    with Path(work.file).open("a") as file:
        file.write(f"charge {number}\n")
    return Receipt(number)


def ship(work: Work, receipt: Receipt) -> str:
    """Note the call."""
    assert type(receipt) is Receipt
    with Path(work.file).open("a") as file:
        file.write(f"ship {receipt.number}\n")
    return f"shipped {receipt.number}"


def notify(work: Work) -> None:
    """Note the call."""
    with Path(work.file).open("a") as file:
        file.write("notify\n")


def in_all(name: str, run_async: Callable[..., Any], run: Callable[..., Any], attempts: int = 3) -> None:
    """Register the same work for each isolation."""
    retry = Retry(max_attempts=attempts, base=0.0)
    app.job(f"loop.{name}", retry=retry)(run_async)
    app.job(f"process.async.{name}", isolation="process", retry=retry)(run_async)
    app.job(f"thread.{name}", retry=retry)(run)
    app.job(f"process.{name}", isolation="process", retry=retry)(run)


# Steps that an attempt leaves behind it.


async def order_async(work: Work, ctx: DurableContext) -> list[Any]:
    """Fail behind each of two steps."""
    keys = [ctx.step_key("charge")]
    first = await ctx.step("charge", charge, work, 1)
    keys.append(ctx.step_key("charge"))
    second = await ctx.step("charge", charge, work, number=2)
    if ctx.attempt == 1:
        raise ConnectionError("between two steps")
    shipped = await ctx.step("ship", ship, work, second)
    if ctx.attempt == 2:
        raise ConnectionError("behind the last step")
    return [first, second, shipped, *keys]


def order(work: Work, ctx: SyncDurableContext) -> list[Any]:
    """Do the same."""
    keys = [ctx.step_key("charge")]
    first = ctx.step("charge", charge, work, 1)
    keys.append(ctx.step_key("charge"))
    second = ctx.step("charge", charge, work, number=2)
    if ctx.attempt == 1:
        raise ConnectionError("between two steps")
    shipped = ctx.step("ship", ship, work, second)
    if ctx.attempt == 2:
        raise ConnectionError("behind the last step")
    return [first, second, shipped, *keys]


in_all("order", order_async, order)


# Sleeps, which `except Exception` does not hold.


async def nap_async(work: Work, ctx: DurableContext) -> list[int]:
    """Sleep between two steps."""
    await ctx.step("charge", charge, work, 1)
    try:
        await ctx.sleep("nap", seconds=work.seconds)
    except Exception:  # noqa: BLE001 - that it holds nothing is the test
        await ctx.step("caught", notify, work)
    await ctx.step("ship", ship, work, Receipt(1))
    return [ctx.attempt, ctx.fence]


def nap(work: Work, ctx: SyncDurableContext) -> list[int]:
    """Do the same."""
    ctx.step("charge", charge, work, 1)
    try:
        ctx.sleep("nap", seconds=work.seconds)
    except Exception:  # noqa: BLE001 - as above
        ctx.step("caught", ship, work, Receipt(0))
    ctx.step("ship", ship, work, Receipt(1))
    return [ctx.attempt, ctx.fence]


in_all("nap", nap_async, nap, attempts=1)


# Signals, and those that do not come.


async def approval_async(work: Work, ctx: DurableContext) -> list[Any]:
    """Wait for two signals of a name, and for two that do not come."""
    one = await ctx.wait_for(approved)
    two = await ctx.wait_for("approved", timeout=60)
    three = await ctx.wait_for(approved, timeout=work.seconds, default="none")
    try:
        await ctx.wait_for("other", timeout=0)
    except SignalTimeoutError as error:
        return [one, two, three, str(error), ctx.attempt]
    raise AssertionError("a signal that was not sent has come")


def approval(work: Work, ctx: SyncDurableContext) -> list[Any]:
    """Do the same."""
    one = ctx.wait_for(approved)
    two = ctx.wait_for("approved", timeout=60)
    three = ctx.wait_for(approved, timeout=work.seconds, default="none")
    try:
        ctx.wait_for("other", timeout=0)
    except SignalTimeoutError as error:
        return [one, two, three, str(error), ctx.attempt]
    raise AssertionError("a signal that was not sent has come")


in_all("approval", approval_async, approval, attempts=1)


# What is refused.


async def wrong_async(ctx: DurableContext) -> str:
    """Return what is said of a step that cannot be stored."""
    try:
        await ctx.step("large", large)
    except StepError as error:
        return str(error)
    raise AssertionError("it was stored")


def wrong(ctx: SyncDurableContext) -> str:
    """Do the same."""
    try:
        ctx.step("large", large)
    except StepError as error:
        return str(error)
    raise AssertionError("it was stored")


def large() -> str:
    """Give more than is stored."""
    return "x" * 300_000


in_all("wrong", wrong_async, wrong, attempts=1)


# Calls of other jobs.


@app.job("called", retry=Retry(max_attempts=1))
async def called(receipt: Receipt) -> Receipt:
    """Give twice as much, or fail."""
    if receipt.number < 0:
        raise ValueError("no such number")
    return Receipt(receipt.number * 2)


async def calls_async(work: Work, ctx: DurableContext) -> list[Any]:
    """Call one job, several, none, and one that fails; fail in between."""
    one = await ctx.call("one", called, Receipt(1), tags={"from": "caller"})
    several = await ctx.map("several", called, [Receipt(number) for number in range(5)], at_once=3)
    none = await ctx.map("none", "called", [])
    if ctx.attempt == 1:
        raise ConnectionError("behind the calls")
    charge(work, 1)
    try:
        await ctx.call("failing", called, Receipt(-1))
    except JobFailedError as error:
        return [type(one) is Receipt, one, [receipt.number for receipt in several], none, error.job.state]
    raise AssertionError("it succeeded")


def calls(work: Work, ctx: SyncDurableContext) -> list[Any]:
    """Do the same."""
    one = ctx.call("one", called, Receipt(1), tags={"from": "caller"})
    several = ctx.map("several", called, [Receipt(number) for number in range(5)], at_once=3)
    none = ctx.map("none", "called", [])
    if ctx.attempt == 1:
        raise ConnectionError("behind the calls")
    charge(work, 1)
    try:
        ctx.call("failing", called, Receipt(-1))
    except JobFailedError as error:
        return [type(one) is Receipt, one, [receipt.number for receipt in several], none, error.job.state]
    raise AssertionError("it succeeded")


in_all("calls", calls_async, calls)
