"""An app whose handlers misuse the process that runs them, and others that use it as they may."""

import asyncio
import decimal
import gc
import locale
import logging
import multiprocessing
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import anyio
import structlog
from hostile_values import Panic, Raising, circle
from opentelemetry import baggage
from opentelemetry.context import attach
from opentelemetry.trace import get_current_span
from workers.shop import Work

from millstream import App, Context, Dead, Discard, Retry, RetryAfter, Snooze

FOREVER_S = 600
who: ContextVar[str] = ContextVar("who", default="no tenant")


@asynccontextmanager
async def lifespan(app: App) -> AsyncIterator[dict[str, Any]]:
    """Yield the event loop that the lifespan runs on and a count of its turns, and attach baggage for every job."""
    turns = [0]
    attach(baggage.set_baggage("opened_by", "lifespan"))

    async def count() -> None:
        while True:
            turns[0] += 1
            await asyncio.sleep(0.001)

    counting = asyncio.create_task(count())
    yield {"loop": asyncio.get_running_loop(), "thread": threading.get_ident(), "turns": turns}
    counting.cancel()


app = App("intruders", lifespan=lifespan)
fragile = App("fragile", lifespan=lambda _: _broken_lifespan())


@asynccontextmanager
async def _broken_lifespan() -> AsyncIterator[None]:
    raise ConnectionError("no database")
    yield


@fragile.job("fragile", isolation="process")
def fragile_job() -> None:
    """Belong to an app whose lifespan fails, and so never run."""


def spawn(work: Work, *, session: bool = False) -> int:
    """Start a program that runs for long, and note its process id."""
    process = subprocess.Popen(["sleep", str(FOREVER_S)], start_new_session=session)
    with Path(work.folder, "spawned").open("a") as spawned:
        spawned.write(f"{process.pid}\n")
    return process.pid


def _shell(work: Work) -> None:
    subprocess.run(f"echo $$ >> {work.folder}/spawned; sleep {FOREVER_S}; true", shell=True, check=False)


def _program(work: Work) -> None:
    subprocess.run(["sh", "-c", f"echo $$ >> {work.folder}/spawned; exec sleep {FOREVER_S}"], check=False, stdout=None)


def _daemon(work: Work) -> None:
    """Start a program in a session of its own, whose parent ends at once, as daemons do."""
    script = f"setsid sh -c 'echo $$ >> {work.folder}/spawned; exec sleep {FOREVER_S}' & exit 0"
    subprocess.run(["sh", "-c", script], check=True)
    while not Path(work.folder, "spawned").exists():
        time.sleep(0.01)


def _sleep_in_another(folder: str) -> None:
    with Path(folder, "spawned").open("a") as spawned:
        spawned.write(f"{os.getpid()}\n")
    time.sleep(FOREVER_S)


def _multiprocessing(work: Work) -> None:
    process = multiprocessing.get_context("fork").Process(target=_sleep_in_another, args=(work.folder,))
    process.start()
    process.join()


SPAWNING: dict[str, Callable[[Work], Any]] = {
    "program": _program,
    "shell": _shell,
    "daemon": lambda work: (_daemon(work), time.sleep(FOREVER_S)),
    "multiprocessing": _multiprocessing,
    "left and slept": lambda work: (spawn(work), time.sleep(FOREVER_S)),
    "another session": lambda work: (spawn(work, session=True), time.sleep(FOREVER_S)),
    "deaf": lambda work: (spawn(work), _deaf()),
}


def _deaf() -> None:
    while True:
        try:
            time.sleep(FOREVER_S)
        except BaseException:  # noqa: BLE001
            continue


@app.job("spawn", isolation="process", retry=Retry(max_attempts=1))
def spawning(work: Work, ctx: Context) -> None:
    """Start programs in the way that the payload names, and keep running."""
    work.note(ctx, "started")
    SPAWNING[work.what](work)


@app.job("spawn.end", isolation="process", retry=Retry(max_attempts=1))
def spawning_and_ending(work: Work, ctx: Context) -> None:
    """Start a program, and end in the way that the payload names while it runs."""
    work.note(ctx, "started")
    _daemon(work)
    spawn(work)
    ENDINGS[work.what]()


ENDINGS: dict[str, Callable[[], Any]] = {
    "return": lambda: None,
    "raise": lambda: 1 // 0,
    "exit": lambda: os._exit(3),
    "segfault": lambda: os.kill(os.getpid(), signal.SIGSEGV),
    "abort": os.abort,
    "kill the guard": lambda: (os.kill(os.getppid(), signal.SIGKILL), time.sleep(FOREVER_S)),
}


@app.job("where", isolation="process", retry=Retry(max_attempts=1))
def where() -> dict[str, Any]:
    """Return facts about the process and its state."""
    return {
        "pid": os.getpid(),
        "folder": str(Path.cwd()),
        "umask": _umask(),
        "environment": dict(os.environ),
        "path": os.environ.get("PATH"),
        "locale": locale.setlocale(locale.LC_ALL),
        "zone": time.tzname[0],
        "handlers": [_name(signal.getsignal(number)) for number in sorted(signal.valid_signals())],
        "mask": sorted(int(number) for number in signal.pthread_sigmask(signal.SIG_BLOCK, ())),
        "limit": resource.getrlimit(resource.RLIMIT_NOFILE)[0],
        "threads": threading.active_count(),
        "recursion": sys.getrecursionlimit(),
        "timeout": socket.getdefaulttimeout(),
        "level": logging.getLogger().level,
        "who": who.get(),
        "precision": decimal.getcontext().prec,
        "bound": structlog.contextvars.get_contextvars().get("customer"),
    }


def _name(handler: Any) -> str:
    return getattr(handler, "__qualname__", str(handler))


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _many_environment() -> None:
    for name in list(os.environ):
        del os.environ[name]
    os.environ["PATH"] = "/nowhere"
    os.environ["PYTHONPATH"] = "/nowhere"


LIMIT_BEFORE = resource.getrlimit(resource.RLIMIT_NOFILE)

CHANGES: dict[str, Callable[[], Any]] = {
    "folder": lambda: os.chdir("/"),
    "environment": lambda: os.environ.update(PATH="/nowhere", PYTHONPATH="/nowhere", LEFT_BEHIND="1"),
    "no environment": _many_environment,
    "umask": lambda: os.umask(0o777),
    "zone": lambda: (os.environ.update(TZ="Asia/Tokyo"), time.tzset()),
    "zone left": lambda: (os.environ.update(TZ="Asia/Tokyo"), time.tzset(), os.environ.pop("TZ")),
    "handlers": lambda: [signal.signal(number, signal.SIG_IGN) for number in (signal.SIGUSR1, signal.SIGCHLD)],
    "mask": lambda: signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGUSR2}),
    "locale": lambda: locale.setlocale(locale.LC_ALL, "C.UTF-8"),
    # By one only: the worker of a test shares its process with all the files that other tests have open.
    "limits": lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (LIMIT_BEFORE[0] - 1, LIMIT_BEFORE[1])),
    "recursion": lambda: sys.setrecursionlimit(150),
    "sockets": lambda: socket.setdefaulttimeout(0.001),
    "threads": lambda: threading.Thread(target=time.sleep, args=(FOREVER_S,), daemon=True).start(),
    "files": lambda: [os.close(number) for number in (0, 1, 2)],
    "output": lambda: setattr(sys, "stderr", None),
    "logging": lambda: logging.getLogger().setLevel(logging.CRITICAL),
    "collector": gc.disable,
    "processes": lambda: subprocess.Popen(["sleep", str(FOREVER_S)]),
    "priority": lambda: os.nice(1),
}


@app.job("change", isolation="process", retry=Retry(max_attempts=1))
def change(work: Work) -> int:
    """Change the state of the process that the payload names, and do not restore it."""
    CHANGES[work.what]()
    return os.getpid()


@app.job("change.async", isolation="process", retry=Retry(max_attempts=1))
async def change_async(work: Work) -> int:
    """Change the state of the process or of its loop that the payload names, and do not restore it."""
    if work.what == "tasks":
        asyncio.get_running_loop().left = asyncio.create_task(asyncio.sleep(FOREVER_S))  # type: ignore[attr-defined]
    else:
        CHANGES[work.what]()
    return os.getpid()


@app.job("taint", isolation="process")
def taint() -> int:
    """Set context variables, and do not reset them."""
    who.set("another")
    structlog.contextvars.bind_contextvars(customer="another")
    decimal.getcontext().prec = 3
    return os.getpid()


@app.job("taint.async", isolation="process")
async def taint_async() -> int:
    """Set context variables, and do not reset them."""
    return taint()


@app.job("worker.change")
async def worker_change(work: Work) -> None:
    """Change the state of the worker, from a handler on its loop."""
    CHANGES[work.what]()


@app.job("worker.change.thread")
def worker_change_thread(work: Work) -> None:
    """Change the state of the worker, from a handler in one of its threads."""
    CHANGES[work.what]()


async def _answer() -> int:
    await asyncio.sleep(0)
    return 42


def _with_signal() -> int:
    heard = []
    before = signal.signal(signal.SIGUSR1, lambda *_: heard.append(42))
    os.kill(os.getpid(), signal.SIGUSR1)
    signal.signal(signal.SIGUSR1, before)
    return heard[0]


def _with_alarm() -> int:
    def ring(*_: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, 0.01)
    try:
        time.sleep(60)
    except TimeoutError:
        return 42
    finally:
        signal.signal(signal.SIGALRM, before)
    return 0


def _get_event_loop() -> int:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return asyncio.get_event_loop().run_until_complete(_answer())


def _no_loop() -> int:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return 42
    return 0


def _terminate() -> int:
    process = multiprocessing.get_context("fork").Process(target=time.sleep, args=(FOREVER_S,))
    process.start()
    process.terminate()
    process.join(60)
    return 42 if process.exitcode == -signal.SIGTERM else 0


def _pool() -> int:
    with multiprocessing.get_context("fork").Pool(1) as pool:
        return pool.apply(int, ("42",))


SCRIPTS: dict[str, Callable[[], int]] = {
    "asyncio.run": lambda: asyncio.run(_answer()),
    "anyio.run": lambda: anyio.run(_answer),
    "get_event_loop": _get_event_loop,
    "no running loop": _no_loop,
    "main thread": lambda: 42 * (threading.current_thread() is threading.main_thread()),
    "signal": _with_signal,
    "alarm": _with_alarm,
    "pool": _pool,
    "terminate": _terminate,
    "subprocess": lambda: int(subprocess.run(["echo", "42"], capture_output=True, check=True).stdout),
}


@app.job("script", isolation="process", retry=Retry(max_attempts=1))
def script(work: Work) -> int:
    """Use what scripts use: signals, a loop of their own, a process pool."""
    return SCRIPTS[work.what]()


@app.job("bound", isolation="process")
async def bound(ctx: Context) -> list[bool]:
    """Return whether this is the loop and the thread of the lifespan, and its task still runs."""
    before = ctx.state["turns"][0]
    await asyncio.sleep(0.05)
    same = (ctx.state["loop"] is asyncio.get_running_loop(), ctx.state["thread"] == threading.get_ident())
    return [*same, ctx.state["turns"][0] > before]


class OddDiscard(Discard):
    """A Discard whose constructor does not set what a Discard has."""

    def __init__(self) -> None:
        pass


class OddSnooze(Snooze):
    """A Snooze whose delay is no number."""

    def __init__(self, delay_s: Any) -> None:
        self.delay_s = delay_s


class OddReason(Dead):
    """A Discard whose reason cannot be read."""

    @property
    def reason(self) -> Any:
        """Raise an error."""
        raise Panic

    def __init__(self) -> None:
        pass


class Own(BaseException):
    """An exception that is a BaseException and no Exception."""


def _raise(error: Any) -> Any:
    raise error


def _chain() -> None:
    try:
        _raise(KeyError("cause"))
    except KeyError as cause:
        error = ValueError("effect")
        error.add_note("a note")
        raise error from cause


def _recurse() -> None:
    _recurse()


def _fork(*, raising: bool) -> str:
    pid = os.fork()
    if raising and pid == 0:
        raise ValueError("in the child")
    return "returned"


def _closed_channel() -> str:
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    return "returned"


def _replaced_channel() -> str:
    """Close all files and give their numbers to others.

    A worker with many open files has high file numbers.
    """
    highest = max(int(file.name) for file in Path("/dev/fd").iterdir())
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    kept = [os.open(os.devnull, os.O_RDWR) for _ in range(3, highest + 1)]
    return f"returned with {len(kept)} files"


async def _child_task(error: BaseException) -> None:
    async def fail() -> None:
        raise error

    asyncio.create_task(fail())  # noqa: RUF006
    await asyncio.sleep(FOREVER_S)


def _raw_output() -> str:
    for number in (1, 2):
        os.write(number, b"\x00\x00\x00\x01\xff raw\n")
    return "returned"


RAISES: dict[str, Callable[[], Any]] = {
    "SystemExit": sys.exit,
    "SystemExit text": lambda: sys.exit("a text"),
    "SystemExit 0": lambda: sys.exit(0),
    "KeyboardInterrupt": lambda: _raise(KeyboardInterrupt()),
    "GeneratorExit": lambda: _raise(GeneratorExit()),
    "CancelledError": lambda: _raise(asyncio.CancelledError("of its own")),
    "Own": lambda: _raise(Own("no Exception")),
    "Panic": lambda: _raise(Panic()),
    "group": lambda: _raise(ExceptionGroup("several", [ValueError("one"), TypeError("two")])),
    "base group": lambda: _raise(BaseExceptionGroup("several", [Own("one"), SystemExit(2)])),
    "chain": _chain,
    "circle": lambda: _raise(circle()),
    "recursion": _recurse,
    "retry": lambda: _raise(Retry.after(7)),
    "odd retry": lambda: _raise(RetryAfter(decimal.Decimal("1.5"))),  # type: ignore[arg-type]
    "odd discard": lambda: _raise(OddDiscard()),
    "odd snooze": lambda: _raise(OddSnooze("soon")),
    "odd reason": lambda: _raise(OddReason()),
    "exit 3": lambda: os._exit(3),
    "abort": os.abort,
    "killed": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "real time": lambda: os.kill(os.getpid(), signal.SIGRTMIN + 3),
    "exec": lambda: os.execvp("sh", ["sh", "-c", "exit 4"]),
    "fork": lambda: _fork(raising=False),
    "fork raising": lambda: _fork(raising=True),
    "closed channel": _closed_channel,
    "replaced channel": _replaced_channel,
    "raw output": _raw_output,
    "unstorable": lambda: Raising(Panic()),
    "an error": circle,
}


@app.job("raise", isolation="process", retry=Retry(max_attempts=1))
def raising(work: Work, ctx: Context) -> Any:
    """Write to the log, and end in the way that the payload names."""
    ctx.progress(99, "nearly")
    return RAISES[work.what]()


@app.job("raise.async", isolation="process", retry=Retry(max_attempts=1))
async def raising_async(work: Work, ctx: Context) -> Any:
    """Write to the log, and end in the way that the payload names."""
    ctx.progress(99, "nearly")
    if work.what.startswith("task "):
        return await _child_task({"task exit": SystemExit(3), "task own": Own("x")}[work.what])
    return RAISES[work.what]()


@app.job("clean", isolation="process", retry=Retry(max_attempts=1))
def cleaning(work: Work, ctx: Context) -> str:
    """Wait, and clean up when the handler is stopped, in the way that the payload names."""
    work.note(ctx, "started")
    try:
        WAITS[work.what.partition(" ")[0]]()
    finally:
        work.note(ctx, "cleaning", cancelled=ctx.cancelled)
        time.sleep(0.2)
        work.note(ctx, "cleaned")
        if "returning" in work.what:
            return "salvaged"  # noqa: B012
        if "raising" in work.what:
            raise ValueError("while cleaning up")
        if "lingering" in work.what:
            time.sleep(FOREVER_S)


def _spin() -> None:
    while True:
        pass


def _log_for_long() -> None:
    while True:
        logging.getLogger("busy").info("busy")
        structlog.get_logger().info("busy")


def _wait_for_a_peer() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.recv(1)


WAITS: dict[str, Callable[[], Any]] = {
    "sleep": lambda: time.sleep(FOREVER_S),
    "spin": _spin,
    "lock": lambda: threading.Event().wait(FOREVER_S),
    "program": lambda: subprocess.run(["sleep", str(FOREVER_S)], check=False),
    "socket": _wait_for_a_peer,
    "loop": lambda: asyncio.run(asyncio.sleep(FOREVER_S)),
    "log": _log_for_long,
}


@app.job("clean.async", isolation="process", retry=Retry(max_attempts=1))
async def cleaning_async(work: Work, ctx: Context) -> str:
    """Wait, and clean up when the handler is stopped."""
    work.note(ctx, "started")
    try:
        await asyncio.sleep(FOREVER_S)
    finally:
        work.note(ctx, "cleaning", cancelled=ctx.cancelled)
        await asyncio.sleep(0.2)
        work.note(ctx, "cleaned")
        if "returning" in work.what:
            return "salvaged"  # noqa: B012
        if "lingering" in work.what:
            time.sleep(FOREVER_S)  # noqa: ASYNC251


@app.job("say", isolation="process")
def saying(ctx: Context) -> None:
    """Log through each kind of logger."""
    say(ctx)


@app.job("say.async", isolation="process")
async def saying_async(ctx: Context) -> None:
    """Log through each kind of logger."""
    say(ctx)


@app.job("say.loop")
async def saying_on_the_loop(ctx: Context) -> None:
    """Log through each kind of logger, on the worker's loop."""
    say(ctx)


@app.job("say.thread")
def saying_in_a_thread(ctx: Context) -> None:
    """Log through each kind of logger, in a thread."""
    say(ctx)


def say(ctx: Context) -> None:
    """Log through `ctx.log`, structlog, a library's logger, a warning and `print`."""
    ctx.log.debug("said quietly")
    ctx.log.info("said by ctx", payload={"card": "4111"})
    structlog.get_logger().info("said by structlog")
    logging.getLogger("some.library").info("said by %s", "logging")
    warnings.warn(f"said by warnings of {ctx.type}", stacklevel=1)
    print("said by print")  # noqa: T201


@app.job("traced", isolation="process")
def traced() -> dict[str, Any]:
    """Return which span is current, with its trace state and the baggage beside it."""
    span = get_current_span().get_span_context()
    return {
        "trace_id": f"{span.trace_id:032x}",
        "span_id": f"{span.span_id:016x}",
        "tracestate": span.trace_state.to_header(),
        "baggage": dict(baggage.get_all()),
    }
