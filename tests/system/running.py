"""Runs the whole product in real processes, started by `millstream up` as a user does."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
from waiting import wait_until
from written import whole_lines

from millstream import Client
from millstream_cli.parent_watch import guarded
from millstream_contracts import Job

TESTS = Path(__file__).parents[1]
README = TESTS.parent / "README.md"
EXAMPLES_FOLDER = TESTS.parent / "examples"
EXAMPLES = (
    "batch_handlers",
    "batches",
    "children",
    "dependencies",
    "durable",
    "first_handler",
    "idempotency",
    "payloads_and_results",
    "progress_and_logs",
    "retries",
    "schedules",
    "shared_state",
    "threads_and_processes",
    "timeouts_and_cancellation",
    "workflows",
)
"""Modules of `examples/` whose apps run beside the others."""

APPS = ("millstream.handlers:app", "millstream_cli.demo.jobs:app", "system.chores:app")

LEASE_S = 3.0
PATIENT = {"MILLSTREAM_REDIS_TIMEOUT_S": "30", "MILLSTREAM_HISTORY_TIMEOUT_S": "30"}
"""An ingest that waits longer for Redis and the history than a busy machine makes it wait."""

SHORT = {
    "MILLSTREAM_LEASE_S": str(LEASE_S),
    "MILLSTREAM_RENEW_EVERY_S": "0.4",
    "MILLSTREAM_INTERVAL_S": "1",
    "MILLSTREAM_GAUGES_EVERY_S": "1",
    "MILLSTREAM_GRACE_S": "0.3",
}
"""Short intervals and limits, so that tests are short; not shorter, because a system that idles beside other tests
looks at each of its queues as often."""

REAPER_IN_A_HURRY = """
import os
from millstream_reaper.settings import ReaperSettings
from millstream_reaper.service import run_reaper
run_reaper(ReaperSettings(redis_url=os.environ["MILLSTREAM_REDIS_URL"], worker_silent_s=7.0, sweep_every_s=0.5))
"""
"""A reaper that takes a worker off the list after seven seconds; workers send a heartbeat every five."""

PATIENT_DISPATCHER = """
import os
from millstream_dispatcher.settings import DispatcherSettings
from millstream_dispatcher.service import run_dispatcher
where = {"redis_url": os.environ["MILLSTREAM_REDIS_URL"], "namespace": os.environ["MILLSTREAM_NAMESPACE"]}
run_dispatcher(DispatcherSettings(**where, release_every_s=3600.0, gauges_every_s=3600.0))
"""
"""A dispatcher that checks its queues once an hour, unless a hint wakes it."""

_START_S = 120
_STOP_S = 60
_LOG_CHARS = 6_000
_METRICS = re.compile(r"metrics of (\S+)\s+(http://\S+)/metrics")


def environment(**more: str) -> dict[str, str]:
    """Return an environment without variables of this machine for Millstream and traces; ingests are patient in it."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("MILLSTREAM_", "OTEL_")) and not name.lower().endswith("_proxy")
    }
    path = os.pathsep.join(filter(None, (str(TESTS), os.environ.get("PYTHONPATH"))))
    return {**inherited, "PYTHONPATH": path, **PATIENT, **more}


def millstream(*words: str) -> list[str]:
    """Return the command line of the installed program."""
    return [str(Path(sys.executable).with_name("millstream")), *words]


class System:
    """A running system."""

    def __init__(self, banner: str, log: Path) -> None:
        self.banner = banner
        self.url = re.search(r"is up at (\S+)", banner)[1]
        self.port = int(self.url.rpartition(":")[2])
        found = re.search(r"console\s+(http://\S+)/\n", banner)
        self.console_url = found[1] if found else ""
        self.admin_urls: Mapping[str, str] = dict(_METRICS.findall(banner))
        """Of health and metrics, by process."""
        self.redis_url = re.search(r"rediss?(?:\+\w+)?://\S+", banner)[0]
        self.log = log

    def client(self) -> Client:
        """Return a client of the API."""
        return Client(self.url)

    def http(self) -> httpx2.AsyncClient:
        """Return a plain HTTP client of the system."""
        return httpx2.AsyncClient(base_url=self.url, trust_env=False, timeout=60)

    async def worker_pids(self) -> set[int]:
        """Return the process ids of the listed workers."""
        async with self.client() as client:
            return {int(worker.name.split(":")[1]) for worker in await client.workers()}

    async def wait_all_ready(self) -> None:
        """Wait until each process is ready."""
        async with httpx2.AsyncClient(trust_env=False, timeout=10) as http:
            for name, url in self.admin_urls.items():
                await wait_until(lambda url=url: _answers(http, f"{url}/readyz"), f"{name} is ready", _START_S)

    def restarts(self) -> list[str]:
        """Return the lines of the supervisor about processes that ended without a stop."""
        return [line for line in whole_lines(self.log) if line.startswith("supervisor") and "ended" in line]


@contextmanager
def running_system(
    folder: Path,
    *,
    apps: Sequence[str] = APPS,
    redis_url: str = "",
    environ: Mapping[str, str] = {},
    workers: int = 2,
    embeds_history: bool = False,
    has_console: bool = False,
) -> Iterator[System]:
    """Run a system while the block lasts, with its data, reports and log in a folder."""
    banner, log = folder / "banner", folder / "services.log"
    settings = {"MILLSTREAM_REPORTS_FOLDER": str(folder / "reports"), **SHORT}
    if redis_url:  # as a deployment gives it that keeps its secrets in files
        (folder / "redis-url").write_text(redis_url)
        settings["MILLSTREAM_REDIS_URL_FILE"] = str(folder / "redis-url")
    options = ("--port", "0", "--workers", str(workers), "--data", str(folder / "data"))
    history = () if embeds_history else ("--no-history",)
    console = ("--console-port", "0") if has_console else ("--no-console",)
    with (
        banner.open("wb") as out,
        log.open("wb") as err,
        subprocess.Popen(
            guarded(millstream("up", *apps, *options, *history, *console)),
            stdin=subprocess.PIPE,
            stdout=out,
            stderr=err,
            env=environment(**{**settings, **environ}),
            cwd=folder,
        ) as process,
    ):
        try:
            yield System(_wait_for_banner(process, banner, log), log)
            process.send_signal(signal.SIGTERM)
            assert process.wait(_STOP_S) == 0, log.read_text()[-_LOG_CHARS:]
        finally:
            process.kill()


@contextmanager
def python_process(code: str, folder: Path, **environ: str) -> Iterator["subprocess.Popen[bytes]"]:
    """Run Python code in a process while the block lasts; its output is in `process.log`."""
    command = guarded([sys.executable, "-c", code])
    with (
        (folder / "process.log").open("wb") as log,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=log, env=environment(**environ)) as process,
    ):
        try:
            yield process
            process.terminate()
            process.wait(_STOP_S)
        finally:
            process.kill()


def _wait_for_banner(process: "subprocess.Popen[bytes]", banner: Path, log: Path) -> str:
    text = ""
    while "Try: " not in text:
        try:
            code = process.wait(0.02)
        except subprocess.TimeoutExpired:
            text = banner.read_text()
        else:
            raise AssertionError(f"the system ended with {code}:\n{log.read_text()[-_LOG_CHARS:]}")
    return text


async def _answers(http: httpx2.AsyncClient, url: str) -> bool:
    try:
        return (await http.get(url)).status_code == 200
    except httpx2.HTTPError:
        return False


def notes(folder: Path, event: str = "") -> list[dict[str, Any]]:
    """Return the notes of handlers in a folder, of one kind or of all."""
    found = [json.loads(line) for line in whole_lines(folder / "notes")]
    return [note for note in found if event in {"", note["event"]}]


async def started(folder: Path, count: int = 1) -> list[dict[str, Any]]:
    """Return the notes of this many handlers once they have begun."""
    await wait_until(lambda: len(notes(folder, "started")) >= count, f"{count} handlers have begun", 60)
    return notes(folder, "started")


async def settled(client: Client, ids: Sequence[str]) -> list[Job]:
    """Return jobs once all have settled."""
    return [await client.wait(job_id, 120) for job_id in ids]
