"""Each service handles signals, and the loss of its terminal, as a real process."""

import fcntl
import os
import pty
import signal
import subprocess
import termios
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import pytest
from cli.commands import environment, program
from waiting import wait_until

BEGUN = ("listening", "started", "worker started")
STACK = "most recent call first"
COMMANDS = {
    "ingest": ["ingest"],
    "dispatcher": ["dispatcher"],
    "worker": ["worker"],
    "reaper": ["reaper"],
    "pool": ["worker", "--processes", "2"],
}
SERVICES = list(COMMANDS)
SINGLE = [name for name in SERVICES if name != "pool"]

NOHUP = ["sh", "-c", 'trap "" HUP; exec "$@"', "sh"]
AS_PID_1 = ["unshare", "--pid", "--fork", "--kill-child"]
WITHOUT_STREAMS = ["sh", "-c", 'exec "$@" 0<&- 1>&- 2>&-', "sh"]


class Service:
    """A running service and its output so far."""

    def __init__(self, process: "subprocess.Popen[bytes]", log: Path) -> None:
        self.process = process
        self.log = log

    @property
    def said(self) -> str:
        """Return the output so far."""
        return self.log.read_text() if self.log.exists() else ""

    async def until_begun(self, processes: int = 1) -> None:
        """Wait until the service handles signals and works."""

        def has_begun() -> bool:
            return sum(self.said.count(f'"event":"{event}"') for event in BEGUN) >= processes

        await wait_until(has_begun, f"it has begun: {self.said}", 60)

    async def until_said(self, words: str, times: int = 1) -> None:
        """Wait until the service has written this so often."""
        try:
            await wait_until(lambda: self.said.count(words) >= times, f"it says {words!r}", 60)
        except AssertionError:
            raise AssertionError(f"it never says {words!r} {times} times, but: {self.said}") from None

    async def until_ended(self) -> int:
        """Wait for the end of the service. Returns: its exit code."""
        await wait_until(lambda: self.process.poll() is not None, "it ends", 60)
        return self.process.returncode


@pytest.fixture
def start(redis_url: str, namespace: str, tmp_path: Path) -> Iterator[Callable[..., Service]]:
    """Yield a function that starts a service in a session of its own, under another program if one is given."""
    started: list[subprocess.Popen[bytes]] = []
    settings = {
        "MILLSTREAM_REDIS_URL": redis_url,
        "MILLSTREAM_NAMESPACE": namespace,
        "MILLSTREAM_DRAIN_S": "0",
        "MILLSTREAM_REPORTS_FOLDER": str(tmp_path),
    }

    def begin(name: str, *, under: list[str] | None = None, output: int | None = None, **more: object) -> Service:
        log = tmp_path / "log"
        port = ["--port", "0"] if name == "ingest" else []
        with log.open("ab") as file:
            process = subprocess.Popen(
                [*(under or []), *program(*COMMANDS.get(name, [name]), *port)],
                env=environment(**settings),
                cwd=tmp_path,
                stdin=subprocess.DEVNULL,
                stdout=file if output is None else output,
                stderr=file if output is None else output,
                start_new_session=True,
                **more,
            )
        started.append(process)
        return Service(process, log)

    yield begin
    for process in started:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(30)


@contextmanager
def terminal() -> Iterator[tuple[int, Callable[[], None], Callable[[], str]]]:
    """Yield a terminal to run on, a function that closes it, and one that returns what it has shown so far.

    A program waits where a terminal is full that nothing reads.
    """
    master, slave = pty.openpty()
    os.set_blocking(master, False)
    is_open = True
    seen = bytearray()

    def close() -> None:
        nonlocal is_open
        if is_open:
            is_open = False
            os.close(master)

    def shown() -> str:
        with suppress(OSError):  # there is nothing more for now, or the program has ended
            while is_open and (chunk := os.read(master, 65_536)):
                seen.extend(chunk)
        return seen.decode(errors="replace")

    try:
        yield slave, close, shown
    finally:
        close()
        with suppress(OSError):
            os.close(slave)


def _is_stopped(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].startswith("T")


@pytest.mark.parametrize("name", SINGLE)
async def test_a_service_outlives_every_signal_that_is_no_order(start: Callable[..., Service], name: str) -> None:
    """A service ignores a signal that is no order, logs its name or shows its stacks, and works on."""
    service = start(name)
    await service.until_begun()
    for times, number in enumerate((signal.SIGUSR1, signal.SIGQUIT, signal.SIGUSR1), start=1):
        service.process.send_signal(number)
        # Its last line: a signal that comes while one is answered is answered with it.
        await service.until_said("in <module>", times)
    assert STACK in service.said
    for number in (signal.SIGPIPE, signal.SIGALRM, signal.SIGWINCH):
        service.process.send_signal(number)
    service.process.send_signal(signal.SIGSTOP)
    await wait_until(partial(_is_stopped, service.process.pid), "it is stopped")
    service.process.send_signal(signal.SIGCONT)
    service.process.send_signal(signal.SIGUSR2)
    await service.until_said("signal ignored")
    assert service.process.poll() is None
    service.process.terminate()
    assert await service.until_ended() == 0
    assert '"signal":"SIGTERM","event":"stopping"' in service.said


@pytest.mark.parametrize("name", SERVICES)
async def test_a_hang_up_stops_a_service_in_order(start: Callable[..., Service], name: str) -> None:
    """SIGHUP stops a service as SIGTERM does, and a second SIGHUP hurries nothing."""
    service = start(name)
    await service.until_begun(2 if name == "pool" else 1)
    service.process.send_signal(signal.SIGHUP)
    with suppress(ProcessLookupError):
        service.process.send_signal(signal.SIGHUP)
    assert await service.until_ended() == 0
    assert "hurrying" not in service.said
    assert "stopped" in service.said


@pytest.mark.parametrize("name", SERVICES)
async def test_a_hang_up_that_was_ignored_from_the_start_stays_so(start: Callable[..., Service], name: str) -> None:
    """A service under `nohup` ignores SIGHUP."""
    service = start(name, under=NOHUP)
    await service.until_begun(2 if name == "pool" else 1)
    os.killpg(service.process.pid, signal.SIGHUP)
    service.process.send_signal(signal.SIGUSR2)
    await service.until_said("ignored")
    assert service.process.poll() is None
    service.process.terminate()
    assert await service.until_ended() == 0


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGQUIT])
async def test_a_pool_has_its_processes_show_their_stacks(
    start: Callable[..., Service], number: signal.Signals
) -> None:
    """A pool passes the signal for stacks on to each of its processes."""
    service = start("pool")
    await service.until_begun(2)
    service.process.send_signal(number)
    for name in ("worker-1", "worker-2"):
        await wait_until(
            lambda name=name: any(name in line and STACK in line for line in service.said.splitlines()),
            f"{name} shows its stacks",
        )
    service.process.terminate()
    assert await service.until_ended() == 0


@pytest.mark.parametrize(
    ("name", "number"),
    [*((name, signal.SIGHUP) for name in SERVICES), ("reaper", signal.SIGTERM), ("reaper", signal.SIGINT)],
)
async def test_the_first_process_of_a_container_is_stopped_too(
    start: Callable[..., Service], name: str, number: signal.Signals
) -> None:
    """A service as the first process of a container is stopped by SIGTERM."""
    _require_namespaces()
    service = start(name, under=AS_PID_1)
    await service.until_begun(2 if name == "pool" else 1)
    first = _only_child(service.process.pid)
    os.kill(first, signal.SIGUSR1)
    await service.until_said(STACK)
    os.kill(first, number)
    assert await service.until_ended() == 0


def _require_namespaces() -> None:
    if subprocess.run([*AS_PID_1, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this user may not make a namespace of processes")


def _only_child(pid: int) -> int:
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])


@pytest.mark.parametrize("name", SERVICES)
async def test_a_terminal_that_closes_stops_a_service_in_order(start: Callable[..., Service], name: str) -> None:
    """A terminal that closes stops a service in order, though its output has no reader."""
    with terminal() as (window, close, _):
        service = start(name, output=window, preexec_fn=partial(os.login_tty, os.dup(window)), under=_with_log())
        await service.until_begun(2 if name == "pool" else 1)
        close()
        assert await service.until_ended() == 0


def _with_log() -> list[str]:
    """Return a command that runs a program with its standard error in a file."""
    return ["sh", "-c", 'exec "$@" 2>>log', "sh"]


@pytest.mark.parametrize("name", SERVICES)
async def test_output_that_nothing_takes_any_more_does_not_end_a_service(
    start: Callable[..., Service], name: str
) -> None:
    """A service whose log has lost its reader loses lines, works on and ends well."""
    reading, writing = os.pipe()
    service = start(name, output=writing)
    os.close(writing)
    with os.fdopen(reading, "rb") as reader:
        _read_until_begun(reader, 2 if name == "pool" else 1)
    for _ in range(20):
        service.process.send_signal(signal.SIGUSR2)
        service.process.send_signal(signal.SIGUSR1)
    await wait_until(partial(_leads_nowhere, service.process.pid), "it writes nowhere")
    assert service.process.poll() is None
    service.process.terminate()
    assert await service.until_ended() == 0


def _read_until_begun(reader: Iterable[bytes], processes: int) -> None:
    seen = 0
    for line in reader:
        seen += any(f'"event":"{event}"'.encode() in line for event in BEGUN)
        if seen == processes:
            return


def _leads_nowhere(pid: int, number: int = 2) -> bool:
    """Return whether a stream of the process leads nowhere."""
    return Path(f"/proc/{pid}/fd/{number}").readlink() == Path(os.devnull)


@pytest.mark.parametrize("name", SERVICES)
async def test_a_terminal_that_went_without_a_word_does_not_end_a_service(
    start: Callable[..., Service], name: str
) -> None:
    """A service that ignores SIGHUP works on when writes to its terminal fail."""
    with terminal() as (window, close, _):
        service = start(name, output=window, under=NOHUP)
        await wait_until(partial(_heeds_signals, service.process.pid), "it heeds signals", 60)
        close()
        service.process.send_signal(signal.SIGUSR2)
        await wait_until(partial(_leads_nowhere, service.process.pid), "it writes nowhere")
        assert service.process.poll() is None
        service.process.terminate()
        assert await service.until_ended() == 0


def _heeds_signals(pid: int) -> bool:
    """Return whether the process handles SIGTERM by now."""
    status = Path(f"/proc/{pid}/status").read_text()
    caught = int(status.partition("SigCgt:")[2].split()[0], 16)
    return bool(caught >> (signal.SIGTERM - 1) & 1)


@pytest.mark.parametrize("name", SERVICES)
async def test_a_service_without_any_stream_runs_and_ends_well(start: Callable[..., Service], name: str) -> None:
    """A service that starts without any standard stream works and ends well."""
    service = start(name, under=WITHOUT_STREAMS)
    await wait_until(partial(_heeds_signals, service.process.pid), "it heeds signals", 60)
    assert all(_leads_nowhere(service.process.pid, number) for number in (0, 1, 2))
    service.process.terminate()
    assert await service.until_ended() == 0


@pytest.mark.parametrize("command", ["up", "demo"])
@pytest.mark.parametrize("closes", [False, True], ids=["signal", "terminal"])
async def test_a_whole_system_that_is_hung_up_leaves_nothing_behind(tmp_path: Path, command: str, closes: bool) -> None:
    """A SIGHUP to `up` ends its services and its Redis in order, without a traceback."""
    words = ["up", "--port", "0", "--data", "data"] if command == "up" else ["demo"]
    words.append("--no-history")
    log = tmp_path / "log"
    begun = "Millstream is up" if command == "up" else "jobs submitted"
    with terminal() as (window, close, shown), _on(window, words, log) as process:

        def has_begun() -> bool:
            said = shown()
            assert process.poll() is None, log.read_text() + said
            return begun in log.read_text()

        await wait_until(has_begun, "it has begun", 180)
        if closes:
            close()
        else:
            process.send_signal(signal.SIGHUP)
        await wait_until(lambda: process.poll() is not None, "it ends", 60)
    assert process.returncode == (0 if command == "up" else 1)
    assert "Traceback" not in log.read_text()
    await wait_until(partial(_nothing_runs_in, tmp_path), "nothing of it runs any more")


@contextmanager
def _on(window: int, words: list[str], log: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """Run the program on a terminal, with its standard output in a file."""
    with log.open("wb") as said:
        process = subprocess.Popen(
            program(*words),
            env=environment(),
            cwd=log.parent,
            stdin=window,
            stdout=said,
            stderr=window,
            start_new_session=True,
            preexec_fn=partial(fcntl.ioctl, window, termios.TIOCSCTTY, 0),  # noqa: PLW1509 - no other way to a terminal
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait(30)


def _nothing_runs_in(folder: Path) -> bool:
    """Return whether no process uses this folder."""
    for entry in Path("/proc").glob("[0-9]*/cwd"):
        with suppress(OSError):
            if entry.readlink().is_relative_to(folder):
                return False
    return True
