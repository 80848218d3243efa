"""The handlers of the chaos suite, each of which leaves effects for its start and for its work."""

import os
import resource
import secrets
import signal
import time
from pathlib import Path

import anyio
from chaos import misdeeds
from chaos.effects import DOWN, FOLDER, leave
from chaos.task import GATHERED, SPLIT_PARTITIONS, Task

from millstream import App, Batch, Context, DurableContext, Retry, Snooze, SyncContext

app = App("chaos")
app.include(misdeeds.app)

SOON = Retry(max_attempts=6, base=0.1, cap=0.4)
TWICE = Retry(max_attempts=2, base=0.1, cap=0.2)
PATIENTLY = Retry(max_attempts=60, base=0.2, cap=0.5)
"""The retries of a handler that submits a child, which fails while Redis is away or full and counts as an attempt."""

SNOOZE_S = 0.2
LONGEST_SNOOZE_S = max(SNOOZE_S, misdeeds.SNOOZE_S)

STEP_S = 0.05
DRAW_S = 0.2
GATE_STEP_S = 0.5
GO = "go"
"""The name of the file beside the effects that gates wait for."""
OOM_ROOM_BYTES = 64 << 20
ENDLESS_TIMEOUT_S = 1.0


class NotYetError(Exception):
    """The error of an attempt that is meant to fail."""


@app.job("chaos.quick", retry=SOON)
async def quick(task: Task, ctx: Context) -> str:
    """End at once."""
    leave("started", ctx, task.key)
    leave("done", ctx, task.key)
    return task.key


@app.job("chaos.spread", retry=SOON, partitions=4)
async def spread(task: Task, ctx: Context) -> str:
    """End at once, on a queue of several partitions."""
    leave("started", ctx, task.key)
    leave("done", ctx, task.key)
    return task.key


@app.job("chaos.slow", retry=SOON)
async def slow(task: Task, ctx: Context) -> str:
    """Take some seconds."""
    leave("started", ctx, task.key)
    await anyio.sleep(task.seconds)
    leave("done", ctx, task.key)
    return task.key


@app.job("chaos.gate", retry=SOON)
async def gate(task: Task, ctx: Context) -> str:
    """Run until the suite lets it end."""
    leave("started", ctx, task.key)
    word = Path(os.environ[FOLDER]) / GO
    while not word.exists():  # noqa: ASYNC110 - the word comes from another process
        await anyio.sleep(GATE_STEP_S)
    leave("done", ctx, task.key)
    return task.key


@app.job("chaos.thread", retry=SOON)
def thread(task: Task, ctx: Context) -> str:
    """Take some seconds in a thread, which has to check whether it is stopped."""
    leave("started", ctx, task.key)
    ends_at = time.monotonic() + task.seconds
    while time.monotonic() < ends_at and not ctx.cancelled:
        time.sleep(STEP_S)
    if not ctx.cancelled:
        leave("done", ctx, task.key)
    return task.key


@app.job("chaos.process", retry=SOON, isolation="process")
def process(task: Task, ctx: Context) -> str:
    """Take some seconds in a process."""
    leave("started", ctx, task.key)
    time.sleep(task.seconds)
    leave("done", ctx, task.key)
    return task.key


@app.job("chaos.flaky", retry=SOON)
async def flaky(task: Task, ctx: Context) -> str:
    """Fail a few attempts."""
    leave("started", ctx, task.key)
    if ctx.attempt <= task.times:
        raise NotYetError(f"attempt {ctx.attempt} of {task.times} that fail")
    leave("done", ctx, task.key)
    return task.key


@app.job("chaos.unique", retry=SOON)
async def unique(task: Task, ctx: Context) -> str:
    """Take some time, and fail a few attempts, beside submissions with the same unique key."""
    leave("started", ctx, task.key)
    await anyio.sleep(task.seconds)
    if ctx.attempt <= task.times:
        raise NotYetError(f"attempt {ctx.attempt} of {task.times} that fail")
    leave("done", ctx, task.key)
    return task.key


@app.job("chaos.brittle", retry=PATIENTLY)
async def brittle(task: Task, ctx: Context) -> str:
    """Take some time, and fail while what it needs is away."""
    leave("started", ctx, task.key)
    await anyio.sleep(task.seconds)
    if Path(os.environ[FOLDER], DOWN).exists():  # noqa: ASYNC240 - the word comes from another process
        raise NotYetError("what it needs is away")
    leave("done", ctx, task.key)
    return task.key


@app.job("chaos.snoozer", retry=SOON)
async def snoozer(task: Task, ctx: Context) -> str:
    """Snooze a few times."""
    leave("started", ctx, task.key)
    if ctx.fence <= task.times:
        raise Snooze(SNOOZE_S)
    leave("done", ctx, task.key)
    return task.key


@app.job("chaos.told", retry=SOON)
async def told(task: Task, ctx: Context) -> str:
    """Be told a few times to come back later, and hold back its key and its type in turn."""
    leave("started", ctx, task.key)
    if ctx.fence <= task.times:
        raise Snooze(SNOOZE_S, gate="key" if ctx.fence % 2 else "type")
    leave("done", ctx, task.key)
    return task.key


@app.job("chaos.split", retry=SOON, partitions=SPLIT_PARTITIONS)
async def split(task: Task, ctx: Context) -> str:
    """Take some seconds, on a queue of several partitions."""
    leave("started", ctx, task.key)
    await anyio.sleep(task.seconds)
    leave("done", ctx, task.key)
    return task.key


@app.batch("chaos.gathered", size=GATHERED, wait=0.2, retry=SOON)
async def gathered(tasks: Batch[Task, str]) -> None:
    """Take some time for some jobs together, and fail a few attempts of each by its own count."""
    for item in tasks:
        leave("started", item, item.payload.key)
    await anyio.sleep(max(item.payload.seconds for item in tasks))
    for item in tasks.undecided:
        if item.attempt <= item.payload.times:
            item.fail(NotYetError(f"attempt {item.attempt} of {item.payload.times} that fail"))
        else:
            leave("done", item, item.payload.key)
            item.succeed(item.payload.key)


@app.job("chaos.parent", retry=PATIENTLY)
async def parent(task: Task, ctx: Context) -> str:
    """Submit a child, the same at each attempt, and leave an effect once it is accepted."""
    leave("started", ctx, task.key)
    child = await ctx.submit("chaos.child", Task(f"child of {task.key}"), idempotency_key="child")
    leave("submitted", ctx, task.key, child=child.id)
    leave("done", ctx, task.key)
    return str(child.id)


@app.job("chaos.process-parent", retry=PATIENTLY, isolation="process")
def process_parent(task: Task, ctx: SyncContext) -> str:
    """Do the same in a process, through the worker."""
    leave("started", ctx, task.key)
    child = ctx.submit("chaos.child", Task(f"child of {task.key}"), idempotency_key="child")
    leave("submitted", ctx, task.key, child=child.id)
    leave("done", ctx, task.key)
    return str(child.id)


@app.job("chaos.child", retry=SOON)
async def child(task: Task, ctx: Context) -> str:
    """End at once."""
    leave("started", ctx, task.key)
    leave("done", ctx, task.key)
    return task.key


@app.job("chaos.durable", retry=PATIENTLY)
async def durable(task: Task, ctx: DurableContext) -> str:
    """Take steps, sleep, wait for a signal, call a job, and leave what each delivery sees of its steps."""

    async def draw(step: str) -> str:
        drawn = f"{step}={secrets.token_hex(4)}"
        leave("given", ctx, task.key, step=drawn)
        # Time in which the worker is killed with what is given and not kept.
        await anyio.sleep(DRAW_S)
        return drawn

    leave("started", ctx, task.key)
    leave("kept", ctx, task.key, step=await ctx.step("first", draw, "first"))
    await ctx.sleep("nap", seconds=task.seconds)
    sent = await ctx.wait_for("go")
    if sent != ctx.job_id:
        raise ValueError(f"the signal carries {sent}")
    leave("kept", ctx, task.key, step=await ctx.step("second", draw, "second"))
    # Its partitions lie on all nodes of a cluster.
    await ctx.call("child", "chaos.spread", Task(f"child of {task.key}"))
    leave("kept", ctx, task.key, step=await ctx.step("third", draw, "third"))
    leave("done", ctx, task.key)
    return task.key


@app.job("chaos.hopeless", retry=TWICE)
async def hopeless(task: Task, ctx: Context) -> None:
    """Fail every attempt."""
    leave("started", ctx, task.key)
    raise NotYetError("it never will")


@app.job("chaos.segfault")
async def segfault(task: Task, ctx: Context) -> None:
    """Crash the worker, as a broken C extension does."""
    leave("started", ctx, task.key)
    os.kill(os.getpid(), signal.SIGSEGV)
    await anyio.sleep_forever()


@app.job("chaos.oom")
async def oom(task: Task, ctx: Context) -> None:
    """Take memory up to a bound, and die as by the kernel's out-of-memory killer."""
    leave("started", ctx, task.key)
    pages = int(open("/proc/self/statm", encoding="ascii").read().split()[0])  # noqa: ASYNC230, SIM115, PTH123
    bound = pages * os.sysconf("SC_PAGESIZE") + OOM_ROOM_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (bound, bound))
    held = []
    try:
        while True:
            held.append(bytearray(1 << 20))
    except MemoryError:
        os.kill(os.getpid(), signal.SIGKILL)
    await anyio.sleep_forever()


@app.job("chaos.hog")
async def hog(task: Task, ctx: Context) -> None:
    """Block the event loop without an end, until a liveness probe ends the process."""
    leave("started", ctx, task.key)
    while True:
        time.sleep(STEP_S)  # noqa: ASYNC251 - the fault itself


@app.job("chaos.endless", isolation="process", timeout=ENDLESS_TIMEOUT_S, retry=TWICE)
def endless(task: Task, ctx: Context) -> None:
    """Loop without an end, until a timeout ends it."""
    leave("started", ctx, task.key)
    while True:
        time.sleep(STEP_S)
