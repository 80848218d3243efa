"""An app whose handlers submit children in each isolation: the same work as `async def` and as `def`."""

import asyncio
import os
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import msgspec

from millstream import (
    App,
    ConflictError,
    Context,
    Handler,
    InvalidError,
    MillstreamError,
    Retry,
    SyncContext,
)
from millstream_contracts import limits

ISOLATIONS = ("loop", "thread", "process", "process.async")

app = App("family")


class Order(msgspec.Struct):
    """A payload of a child."""

    n: int
    text: str = ""


class Receipt(msgspec.Struct):
    """A result of a child."""

    n: int


@app.job("child")
async def child(order: Order) -> Receipt:
    """Return the number of the order."""
    return Receipt(order.n)


@app.job("sibling")
async def sibling(order: Order) -> Receipt:
    """Do as a child, as another type."""
    return Receipt(order.n)


@app.job("failing", retry=Retry(max_attempts=1))
async def failing(order: Order) -> Receipt:
    """Fail."""
    raise ValueError(f"no {order.n}")


def in_all(name: str, run_async: Callable[..., Any], run: Callable[..., Any]) -> None:
    """Register the same work for each isolation."""
    retry = Retry(max_attempts=2, base=0.0)
    app.job(f"loop.{name}", retry=retry)(run_async)
    app.job(f"process.async.{name}", isolation="process", retry=retry)(run_async)
    app.job(f"thread.{name}", retry=retry)(run)
    app.job(f"process.{name}", isolation="process", retry=retry)(run)


# One child, and what its handle tells.


async def follow_async(payload: Order, ctx: Context) -> list[Any]:
    """Submit a child, and wait for it."""
    job = await ctx.submit(child, payload, priority="high", tags={"from": "parent"})
    receipt = await job.result(timeout=60)
    return [job.id, receipt.n, (await job.status()).state, type(receipt) is Receipt]


def follow(payload: Order, ctx: SyncContext) -> list[Any]:
    """Submit a child, and wait for it."""
    job = ctx.submit(child, payload, priority="high", tags={"from": "parent"})
    receipt = job.result(timeout=60)
    return [job.id, receipt.n, job.status().state, type(receipt) is Receipt]


in_all("follow", follow_async, follow)


# What a handle tells of a child that does not succeed.


async def trouble_async(ctx: Context) -> list[str]:
    """Return the errors of a child that fails, of one that does not run in time, and of one that has ended."""
    told = []
    later = await ctx.submit(child, Order(1), delay=3600)
    for call in ((await ctx.submit(failing, Order(2))).result, lambda: later.result(timeout=0.01), later.result):
        try:
            await call()
        except MillstreamError as error:
            told.append(f"{type(error).__name__}: {error}".replace(later.id, "it"))
        if len(told) == 2:
            told.append((await later.cancel()).state)
    done = await ctx.submit(child, Order(3))
    await done.result()
    with suppress(ConflictError):
        await done.cancel()
        told.append("cancelled although it had ended")
    return told


def trouble(ctx: SyncContext) -> list[str]:
    """Return the same errors."""
    told = []
    later = ctx.submit(child, Order(1), delay=3600)
    for call in (ctx.submit(failing, Order(2)).result, lambda: later.result(timeout=0.01), later.result):
        try:
            call()
        except MillstreamError as error:
            told.append(f"{type(error).__name__}: {error}".replace(later.id, "it"))
        if len(told) == 2:
            told.append(later.cancel().state)
    done = ctx.submit(child, Order(3))
    done.result()
    with suppress(ConflictError):
        done.cancel()
        told.append("cancelled although it had ended")
    return told


in_all("trouble", trouble_async, trouble)


# Batches, larger than any frame between a worker and its processes.


def orders(payload: Order) -> Iterable[Order]:
    """Return payloads as a generator, as handlers write them."""
    return (Order(n, payload.text * (limits.MAX_PAYLOAD_BYTES - 100)) for n in range(payload.n))


async def many_async(payload: Order, ctx: Context) -> list[str]:
    """Submit children in one call."""
    return [job.id for job in await ctx.submit_many(child, orders(payload), delay=3600)]


def many(payload: Order, ctx: SyncContext) -> list[str]:
    """Submit children in one call."""
    return [job.id for job in ctx.submit_many(child, orders(payload), delay=3600)]


in_all("many", many_async, many)


# Members of the batch of the parent.


async def members_async(payload: Order, ctx: Context) -> list[str]:
    """Add members to the batch, and fail the first time."""
    one = await ctx.batch.submit(child, payload, delay=3600, idempotency_key="one")
    some = await ctx.batch.submit_many(child, [Order(n) for n in range(payload.n)], delay=3600, idempotency_key="some")
    if ctx.attempt == 1:
        raise ConnectionError("once more")
    return [one.id, *(job.id for job in some)]


def members(payload: Order, ctx: SyncContext) -> list[str]:
    """Do the same."""
    one = ctx.batch.submit(child, payload, delay=3600, idempotency_key="one")
    some = ctx.batch.submit_many(child, [Order(n) for n in range(payload.n)], delay=3600, idempotency_key="some")
    if ctx.attempt == 1:
        raise ConnectionError("once more")
    return [one.id, *(job.id for job in some)]


in_all("members", members_async, members)


async def intruding_async(ctx: Context) -> str:
    """Say why no member can be added."""
    try:
        await ctx.batch.submit(child, Order(1))
    except MillstreamError as error:
        return f"{type(error).__bases__[0].__name__}: {error}"
    return ""


def intruding(ctx: SyncContext) -> str:
    """Do the same."""
    try:
        ctx.batch.submit(child, Order(1))
    except MillstreamError as error:
        return f"{type(error).__bases__[0].__name__}: {error}"
    return ""


in_all("intruding", intruding_async, intruding)


# Keys.


async def keyed_async(payload: Order, ctx: Context) -> list[str]:
    """Submit children under keys, and fail the first time."""
    one = await ctx.submit(child, Order(payload.n, str(ctx.attempt)), idempotency_key="one", delay=3600)
    same = await ctx.submit(child, Order(payload.n, str(ctx.attempt)), idempotency_key="one", delay=3600)
    other = await ctx.submit(sibling, payload, idempotency_key="one", delay=3600)
    numbers = [2, 1, 1] if ctx.attempt == 1 else [1, 3, 1, 2]
    each = await ctx.submit_many(child, [Order(n) for n in numbers], idempotency_key="each", delay=3600)
    if ctx.attempt == 1:
        raise ConnectionError
    return [one.id, same.id, other.id, *(job.id for job in each)]


def keyed(payload: Order, ctx: SyncContext) -> list[str]:
    """Submit children under keys, and fail the first time."""
    one = ctx.submit(child, Order(payload.n, str(ctx.attempt)), idempotency_key="one", delay=3600)
    same = ctx.submit(child, Order(payload.n, str(ctx.attempt)), idempotency_key="one", delay=3600)
    other = ctx.submit(sibling, payload, idempotency_key="one", delay=3600)
    numbers = [2, 1, 1] if ctx.attempt == 1 else [1, 3, 1, 2]
    each = ctx.submit_many(child, [Order(n) for n in numbers], idempotency_key="each", delay=3600)
    if ctx.attempt == 1:
        raise ConnectionError
    return [one.id, same.id, other.id, *(job.id for job in each)]


in_all("keyed", keyed_async, keyed)


# What is refused: each of these is (job, payload, options).

REFUSED: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "type": ("No Type", None, {}),
    "unknown": ("unhandled.type", None, {}),
    "schema": ("child", {"n": "one"}, {}),
    "option": (child, Order(1), {"dealy": 3}),
    "value": (child, Order(1), {"delay": -1}),
    "payload": (child, object(), {}),
    "too large": (child, Order(1, "x" * (limits.MAX_PAYLOAD_BYTES + 1)), {}),
    "beyond a frame": (child, Order(1, "x" * (5 << 20)), {}),
    "key": (child, Order(1), {"idempotency_key": "ä"}),
}


def told(error: Exception) -> list[Any]:
    """Return what a handler sees of an error."""
    fields = [field.pointer for field in error.problem.errors] if isinstance(error, InvalidError) else []
    return [type(error).__module__, type(error).__qualname__, str(error), fields]


async def refused_async(what: str, ctx: Context) -> list[Any]:
    """Return the error of a child that is refused."""
    job, payload, options = REFUSED[what]
    try:
        await ctx.submit_many(job, [Order(1), payload], **options)
    except Exception as error:  # noqa: BLE001 - the test asks for whatever it is
        return told(error)
    return []


def refused(what: str, ctx: SyncContext) -> list[Any]:
    """Return the error of a child that is refused."""
    job, payload, options = REFUSED[what]
    try:
        ctx.submit_many(job, [Order(1), payload], **options)
    except Exception as error:  # noqa: BLE001 - the test asks for whatever it is
        return told(error)
    return []


in_all("refused", refused_async, refused)


# One key for two payloads.


async def reused_async(ctx: Context) -> list[Any]:
    """Return the error of a key that is used for another payload."""
    await ctx.submit(child, Order(1), idempotency_key="one", delay=3600)
    try:
        await ctx.submit(child, Order(2), idempotency_key="one", delay=3600)
    except InvalidError as error:
        return told(error)
    return []


def reused(ctx: SyncContext) -> list[Any]:
    """Return the error of a key that is used for another payload."""
    ctx.submit(child, Order(1), idempotency_key="one", delay=3600)
    try:
        ctx.submit(child, Order(2), idempotency_key="one", delay=3600)
    except InvalidError as error:
        return told(error)
    return []


in_all("reused", reused_async, reused)


# `ref.submit` from wherever a handler may call it. An entry is an id, or an error.


async def _id_of(job: Handler[Order, Receipt]) -> str:
    return (await job.submit(Order(1), delay=3600)).id


def _id_or_error(call: Callable[[], Any]) -> str:
    try:
        return str(call())
    except MillstreamError as error:
        return f"{type(error).__name__}: {error}"


def _in_thread(call: Callable[[], Any]) -> str:
    heard: list[str] = []
    thread = threading.Thread(target=lambda: heard.append(_id_or_error(call)))
    thread.start()
    thread.join()
    return heard[0]


async def places_async(ctx: Context) -> dict[str, str]:
    """Submit by the reference from each place of an async handler."""
    return {
        "here": await _id_of(child),
        "its receipt": str((await child.submit_many([Order(1)], delay=3600)).items[0].id),
        "a thread of asyncio": await asyncio.to_thread(_id_or_error, lambda: child.submit(Order(1))),
        "a loop in a thread of asyncio": await asyncio.to_thread(asyncio.run, _id_of(child)),
        "its own thread": await asyncio.to_thread(_in_thread, lambda: child.submit(Order(1))),
        "context in a thread": await asyncio.to_thread(_id_or_error, lambda: ctx.submit(child, Order(1))),
    }


def places(ctx: SyncContext) -> dict[str, str]:
    """Submit from each place of a `def` handler."""

    async def block() -> str:
        return ctx.submit(child, Order(1), delay=3600).id

    with ThreadPoolExecutor(1) as threads:
        return {
            "here": _id_or_error(lambda: child.submit(Order(1))),
            "its batch": _id_or_error(lambda: child.submit_many([Order(1)])),
            "a loop of its own": asyncio.run(_id_of(child)),
            "context": ctx.submit(child, Order(1), delay=3600).id,
            "context in its own thread": threads.submit(lambda: ctx.submit(child, Order(1), delay=3600)).result().id,
            "context in a loop of its own": asyncio.run(block()),
            "its own thread": _in_thread(lambda: child.submit(Order(1))),
        }


in_all("places", places_async, places)


# A fork.


def fork(ctx: SyncContext) -> str:
    """Submit from a process that the handler forks, and return what it hears."""
    ours, theirs = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(theirs, _id_or_error(lambda: ctx.submit(child, Order(1))).encode())
        os._exit(0)
    os.close(theirs)
    heard = os.read(ours, 10_000).decode()
    os.close(ours)
    os.waitpid(pid, 0)
    return heard


app.job("process.fork", isolation="process")(fork)
app.job("thread.fork")(fork)


# Waiting in the last slot.


async def nested_async(payload: Order, ctx: Context) -> int:
    """Wait for a child of the same kind, as deep as the payload says."""
    if payload.n == 0:
        return 0
    return 1 + int(await (await ctx.submit(f"{_kind(ctx)}.nested", Order(payload.n - 1))).result(timeout=20))


def nested(payload: Order, ctx: SyncContext) -> int:
    """Wait for a child of the same kind, as deep as the payload says."""
    if payload.n == 0:
        return 0
    return 1 + int(ctx.submit(f"{_kind(ctx)}.nested", Order(payload.n - 1)).result(timeout=20))


def _kind(ctx: Context | SyncContext) -> str:
    return ctx.type.rpartition(".")[0]


in_all("nested", nested_async, nested)


# A wait that is stopped.


async def patient_async(ctx: Context) -> None:
    """Wait for a child that does not run."""
    await (await ctx.submit(child, Order(1), delay=3600, tags={"of": ctx.job_id})).result(timeout=60)


def patient(ctx: SyncContext) -> None:
    """Wait for a child that does not run."""
    ctx.submit(child, Order(1), delay=3600).result(timeout=60)


in_all("patient", patient_async, patient)
