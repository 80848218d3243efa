"""Restarts the workers of a supervisor when their source changes.

A source that `check` refuses changes nothing: the workers that run stay. Only workers are restarted, and jobs are
not lost: a worker drains as at SIGTERM, and hands back at once what then still runs.
"""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from subprocess import DEVNULL, STDOUT

import anyio
from msgspec import Struct

from millstream_cli.reloading.options import PYTHON_FILES
from millstream_cli.reloading.source_watcher import SourceWatcher, watcher_of
from millstream_cli.supervisor import Supervisor

SPEAKER = "reload"
"""The name under which lines about reloading reach the sink."""

DRAIN_S = 3.0
"""How long running jobs may go on before they are handed back: a developer waits for the new code."""
CHECK_WITHIN_S = 30.0
"""After this time a check counts as failed: a module may hang while it is imported."""
RESTARTS = 3
"""How often a worker that ends by itself is restarted before it waits for a change: as often as a job may crash a
worker before it is buried."""

_SHOWN_FILES = 3


def reloadable(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment for processes that import source which changes.

    They write no bytecode. Python takes it for current when the size and the second of its source have not changed,
    so a source that is saved twice in one second would be run as it was at first.
    """
    return {**environ, "PYTHONDONTWRITEBYTECODE": "1"}


class Reloader(Struct, frozen=True, kw_only=True):
    """What is watched, checked and restarted."""

    apps: tuple[str, ...]
    workers: tuple[str, ...]
    """Names of children of the supervisor."""
    environ: Mapping[str, str]
    watcher: SourceWatcher

    async def run(self, supervisor: Supervisor) -> None:
        """Check and restart after each change, until cancelled. Changes that come meanwhile are the next one."""
        for name in self.workers:
            supervisor.let_wait(name, restarts=RESTARTS)
        async for changed in self.watcher.changes():
            supervisor.show(SPEAKER, f"{_names(changed, self.watcher.folders)} changed: checking")
            refusal = await self._check()
            if refusal is None:
                await self._restart(supervisor)
                continue
            for line in (*refusal, "the workers stay as they are until the next change"):
                supervisor.show(SPEAKER, line)

    async def _check(self) -> list[str] | None:
        """Return what `check` says in a process of its own when it refuses the apps, and None when it accepts them."""
        argv = [sys.executable, "-P", "-m", "millstream_cli.main", "check", *self.apps]
        with anyio.move_on_after(CHECK_WITHIN_S):
            done = await anyio.run_process(
                argv, stdin=DEVNULL, stderr=STDOUT, env=self.environ, check=False, start_new_session=True
            )
            return done.stdout.decode(errors="replace").splitlines() if done.returncode else None
        return [f"millstream: `check` has not ended within {CHECK_WITHIN_S:g} s"]

    async def _restart(self, supervisor: Supervisor) -> None:
        started_at = anyio.current_time()
        await supervisor.replace(*self.workers, hurry_after_s=DRAIN_S)
        took_s = anyio.current_time() - started_at
        supervisor.show(SPEAKER, f"{', '.join(self.workers)} restarted after {took_s:.1f} s")


def reloader_of(
    apps: Sequence[str], workers: Sequence[str], environ: Mapping[str, str], *, include: Sequence[str] = ()
) -> Reloader:
    """Return a reloader of workers that run these apps, and are started in the current folder."""
    watcher = watcher_of(apps, (PYTHON_FILES, *include), Path.cwd())
    return Reloader(apps=tuple(apps), workers=tuple(workers), environ=environ, watcher=watcher)


def _names(paths: Sequence[Path], folders: Sequence[Path]) -> str:
    shown = ", ".join(_name(path, folders) for path in paths[:_SHOWN_FILES])
    more = len(paths) - _SHOWN_FILES
    return f"{shown} and {more} more" if more > 0 else shown


def _name(path: Path, folders: Sequence[Path]) -> str:
    """Return a path as a person would write it: from the watched folder on."""
    folder = next((folder for folder in folders if path.is_relative_to(folder)), None)
    return str(path.relative_to(folder)) if folder else str(path)
