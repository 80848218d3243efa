"""Runs workers as processes, for tests that send signals to a worker, freeze it or kill it."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from waiting import wait_until
from workers.floor import Floor
from written import whole_lines

TESTS = Path(__file__).parent.parent


def python_path() -> str:
    """Return a PYTHONPATH with which a process finds `workers.shop`."""
    return os.pathsep.join([str(TESTS), *filter(None, [os.environ.get("PYTHONPATH")])])


def notes(folder: Path, event: str = "") -> list[dict[str, Any]]:
    """Return the notes that the handlers of `workers.shop` wrote, of one kind or of all."""
    found = [json.loads(line) for line in whole_lines(folder / "notes")]
    return [note for note in found if event in {"", note["event"]}]


def runs(pid: int) -> bool:
    """Return whether a process runs; a process that has ended and was not collected does not count."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


class Machine:
    """A worker that runs as a process."""

    def __init__(self, process: "subprocess.Popen[bytes]", log: Path) -> None:
        self.process = process
        self._log = log

    @property
    def pid(self) -> int:
        """Return its process id."""
        return self.process.pid

    @property
    def log(self) -> list[dict[str, Any]]:
        """Return the lines that the worker has logged."""
        return [json.loads(line) for line in whole_lines(self._log) if line.startswith("{")]

    @property
    def text(self) -> str:
        """Return all that the worker and its handlers have written."""
        return self._log.read_text()

    def has_logged(self, event: str) -> bool:
        """Return whether the worker has logged this event."""
        return any(line["event"] == event for line in self.log)

    def send(self, number: signal.Signals) -> None:
        """Send the worker a signal."""
        self.process.send_signal(number)

    async def ended(self) -> int:
        """Return the exit status of the worker once it has ended."""
        await wait_until(lambda: self.process.poll() is not None, "the worker process ends")
        return self.process.returncode


class Plant:
    """Starts worker processes, and ends those that still run when it is closed."""

    def __init__(self, floor: Floor, redis_url: str, folder: Path) -> None:
        self.floor = floor
        self.folder = folder
        self._redis_url = redis_url
        self._machines: list[Machine] = []

    @property
    def payload(self) -> dict[str, str]:
        """Return the payload with which the handlers of `workers.shop` find this folder."""
        return {"folder": str(self.folder)}

    def let_go(self) -> None:
        """Write the `go` file, at which the waiting handlers end."""
        (self.folder / "go").touch()

    def launch(self, **settings: Any) -> Machine:
        """Start a worker with these settings, and do not wait until it works; `app_ref` names its app."""
        app_ref = settings.pop("app_ref", "workers.shop:app")
        settings = {
            "redis_url": self._redis_url,
            "namespace": self.floor.broker.keys.namespace,
            "concurrency": 10,
            "log_level": "info",
            **settings,
        }
        log = self.folder / f"worker-{len(self._machines)}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "millstream_cli.main", "worker", app_ref],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=_environment(settings),
            )
        machine = Machine(process, log)
        self._machines.append(machine)
        return machine

    async def start(self, **settings: Any) -> Machine:
        """Start a worker with these settings; return once it works."""
        machine = self.launch(**settings)

        async def is_listed() -> bool:
            assert machine.process.poll() is None, machine.log
            names = [worker.name for worker in await self.floor.broker.registry.workers()]
            return any(name.split(":")[1] == str(machine.pid) for name in names)

        await wait_until(is_listed, "the worker beats")
        return machine

    async def started(self, count: int) -> list[dict[str, Any]]:
        """Return the notes of `count` handlers that have started."""
        await wait_until(lambda: len(notes(self.folder, "started")) >= count, f"{count} handlers have started")
        return notes(self.folder, "started")

    def close(self) -> None:
        """End the workers that still run."""
        for machine in self._machines:
            if machine.process.poll() is None:
                machine.send(signal.SIGCONT)
                machine.process.kill()
            machine.process.wait(timeout=20.0)


def _environment(settings: dict[str, Any]) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("MILLSTREAM_")}
    ours = {f"MILLSTREAM_{name.upper()}": str(value) for name, value in settings.items()}
    return {**inherited, **ours, "PYTHONPATH": python_path()}


@contextmanager
def open_plant(floor: Floor, redis_url: str, folder: Path) -> Iterator[Plant]:
    """Yield a plant on the namespace of this floor."""
    plant = Plant(floor, redis_url, folder)
    try:
        yield plant
    finally:
        plant.close()
