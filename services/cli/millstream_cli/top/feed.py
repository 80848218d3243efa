"""Reads snapshots behind the screen, so that keys are answered while the API is slow or away."""

import threading
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from millstream import MillstreamError, SyncClient, UnavailableError
from millstream_cli.top.snapshot import Past, Snapshot, read_jobs, read_past, read_snapshot
from millstream_cli.top.view import Wanted
from millstream_contracts import Job, one_line

PAST_EVERY_S = 10.0
"""How often the history is asked: its numbers are those of minutes."""

LEAVES_WITHIN_S = 1.0


class Feed:
    """A thread that reads what the screen shows; a context manager. Its attributes may be read from any thread."""

    def __init__(self, client: SyncClient, first: Snapshot, every_s: float) -> None:
        self.snapshot = first
        self.jobs: Sequence[Job] | None = None
        """The rows of the page of jobs that is open; None until they are read."""
        self.error = ""
        """Why the last read failed, `reconnecting` while the API is away; empty when it went well."""
        self.read_at = time.monotonic()
        """When a read last went well."""
        self._client = client
        self._every_s = every_s
        self._wanted: Wanted | None = None
        self._is_paused = False
        self._past_at = time.monotonic()
        self._ends, self._wakes = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="top", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ends.set()
        self._wakes.set()
        # A read that is under way ends before its client is closed, unless the API is silent.
        self._thread.join(LEAVES_WITHIN_S)

    def follow(self, wanted: Wanted | None, *, is_paused: bool) -> None:
        """Read what is wanted from now on."""
        if wanted is not self._wanted:
            self._wanted, self.jobs = wanted, None
            self._wakes.set()
        self._is_paused = is_paused

    def _run(self) -> None:
        while not self._ends.is_set():
            self._wakes.wait(self._every_s)
            self._wakes.clear()
            if not self._ends.is_set():
                self._try()

    def _try(self) -> None:
        try:
            self._read()
        except UnavailableError:
            self.error = "reconnecting"
        except MillstreamError as error:
            self.error = one_line(error)
        else:
            self.error = ""
            self.read_at = self.read_at if self._is_paused else time.monotonic()

    def _read(self) -> None:
        wanted = self._wanted
        if not self._is_paused:
            self.snapshot = read_snapshot(self._client, self._past())
        # A page that is opened during a pause is read once.
        if wanted is not None and not (self._is_paused and self.jobs is not None):
            jobs = read_jobs(self._client, wanted.type, wanted.q)
            if wanted is self._wanted:
                self.jobs = jobs

    def _past(self) -> Past | None:
        known = self.snapshot.past
        if time.monotonic() < self._past_at + PAST_EVERY_S:
            return known
        self._past_at = time.monotonic()
        return read_past(self._client)
