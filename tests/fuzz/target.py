"""Runs an ingest in a process of its own as a target, and reads from outside what it accepts and stores."""

import json
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import redis
from listening import announced_url
from system.running import environment, millstream
from written import whole_lines

from millstream_cli.parent_watch import guarded

_CRASHED = "request crashed"
"""The log event of a 500."""

_PEAK = re.compile(r"VmHWM:\s+(\d+) kB")
_START_S = 60


class Target:
    """A running ingest and its part of Redis."""

    def __init__(self, process: "subprocess.Popen[bytes]", log: Path, store: redis.Redis, namespace: str) -> None:
        self._process = process
        self._log = log
        self.store = store
        self.namespace = namespace
        self.url = ""
        """The address, once the process listens."""
        self._lines_seen = 0

    @property
    def port(self) -> int:
        """Return the port."""
        return int(self.url.rpartition(":")[2])

    @property
    def is_alive(self) -> bool:
        """Return whether the process still runs."""
        return self._process.poll() is None

    @property
    def peak_bytes(self) -> int:
        """Return the largest memory of the process since its start, or since the last :meth:`forget_peak`."""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        found = _PEAK.search(status)
        assert found, "no VmHWM in this kernel's /proc"
        return int(found[1]) << 10

    def forget_peak(self) -> int:
        """Reset the peak to the present memory. Returns: that."""
        Path(f"/proc/{self._process.pid}/clear_refs").write_text("5")
        return self.peak_bytes

    def stored_keys(self) -> list[bytes]:
        """Return every key that its requests have stored, but for the heartbeat of the process and its audit trail.

        A refused change of dead jobs has its record there: it is what a refusal is meant to leave.
        """
        own = {f"{self.namespace}:{{fleet}}:services".encode(), f"{self.namespace}:{{audit}}:trail".encode()}
        return [key for key in self.store.scan_iter(match=f"{self.namespace}:*", count=1000) if key not in own]

    def stored_spec(self, job_id: str) -> bytes:
        """Return the stored spec of a job."""
        job_type = job_id.partition("_")[0]
        spec = self.store.hget(f"{self.namespace}:{{default/{job_type}/00}}:job:{job_id}", "spec")
        assert isinstance(spec, bytes), f"{job_id} is not stored"
        return spec

    def clean(self) -> None:
        """Delete every key that it has stored."""
        for key in self.stored_keys():
            self.store.delete(key)

    def crashes(self) -> list[dict[str, Any]]:
        """Return the log lines about requests that failed in the process, since the last time."""
        lines = whole_lines(self._log)
        fresh, self._lines_seen = lines[self._lines_seen :], len(lines)
        return [json.loads(line) for line in fresh if _CRASHED in line]

    def wait_listening(self) -> None:
        """Return once the process answers requests. Raises: AssertionError, when it does not."""
        for _ in range(_START_S * 50):
            if url := announced_url(self._log, "listening"):
                self.url = url
                return
            try:
                self._process.wait(0.02)
            except subprocess.TimeoutExpired:
                continue
            break
        raise AssertionError(f"ingest did not come up:\n{self._log.read_text()}")


@contextmanager
def running_target(redis_url: str, namespace: str, folder: Path, **more: str) -> Iterator[Target]:
    """Run an ingest that accepts jobs of any type, while the block lasts; `more` are settings beside."""
    settings = {
        "MILLSTREAM_REDIS_URL": redis_url,
        "MILLSTREAM_NAMESPACE": namespace,
        "MILLSTREAM_PORT": "0",
        "MILLSTREAM_UNKNOWN_TYPES": "accept",
        "MILLSTREAM_DRAIN_S": "0",
        **more,
    }
    log = folder / "ingest.log"
    with (
        log.open("wb") as output,
        redis.Redis.from_url(redis_url, protocol=2) as store,
        subprocess.Popen(
            guarded(millstream("ingest")),
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            env=environment(**settings),
        ) as process,
    ):
        target = Target(process, log, store, namespace)
        try:
            target.wait_listening()
            yield target
            process.terminate()
            assert process.wait(_START_S) == 0, log.read_text()[-4000:]
        finally:
            process.kill()
            target.clean()
