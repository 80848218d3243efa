"""`--reload` starts the workers anew with source that `check` accepts, and only them."""

import re
from collections.abc import Callable
from importlib import util
from pathlib import Path

import pytest
from cli.commands import refused, run, started_program

from millstream import SyncClient

SHOP = """
import asyncio
from millstream import App

app = App("shop")


@app.job("shop.version")
async def version() -> int:
    return {version}


@app.job("shop.wait")
async def wait() -> int:
    while {version} == 1:
        await asyncio.sleep(0.01)
    return {version}
"""

DIES = """
from contextlib import asynccontextmanager


@asynccontextmanager
async def lifespan():
    raise LookupError("no database")
    yield


app = App("shop", lifespan=lifespan)


@app.job("shop.version")
async def late() -> int:
    return 0
"""


class Project:
    """A project under `--reload`."""

    def __init__(self, folder: Path, wait_until: Callable[..., None]) -> None:
        self.folder = folder
        self.log = folder.parent / "log"
        self.wait_until = wait_until

    @property
    def said(self) -> str:
        """Return the output so far."""
        return self.log.read_text() if self.log.exists() else ""

    def save(self, text: str) -> None:
        """Write the source of the app, as an editor does that writes a new file and renames it."""
        (self.folder / "shop.py.tmp").write_text(text)
        (self.folder / "shop.py.tmp").rename(self.folder / "shop.py")

    def until_said(self, words: str, times: int = 1) -> None:
        """Wait until the program has said this so often."""
        self.wait_until(lambda: self.said.count(words) >= times, f"{words!r} {times} times in: {self.said}")


@pytest.fixture
def project(tmp_path: Path, wait_until: Callable[..., None]) -> Project:
    """Write an app, and return its folder."""
    (tmp_path / "project").mkdir()
    made = Project(tmp_path / "project", wait_until)
    made.save(SHOP.format(version=1))
    return made


def test_up_runs_new_source_and_keeps_its_workers_while_it_is_wrong(project: Project) -> None:
    """A change is checked: what is wrong is said, and what is right runs, with the jobs that the old workers ran."""
    words = ("up", "shop:app", "--reload", "--no-history", "--workers", "1", "--port", "0", "--data", "data")
    with started_program(*words, log=project.log, cwd=project.folder, MILLSTREAM_GRACE_S="600"):
        project.until_said("Try: ")
        with SyncClient(re.search(r"is up at (\S+)", project.said)[1]) as client:
            assert client.submit("shop.version").result(timeout=60) == 1
            long_one = client.submit("shop.wait")
            project.wait_until(lambda: client.get(long_one.id).state == "running", "it runs")

            project.save("def (")
            project.until_said("the workers stay as they are")
            assert "shop.py changed: checking" in project.said
            assert "SyntaxError" in project.said
            assert client.submit("shop.version").result(timeout=60) == 1

            project.save(SHOP.format(version=2))
            project.until_said("worker-1 restarted")
            assert client.submit("shop.version").result(timeout=60) == 2
            assert long_one.result(timeout=60) == 2
            assert client.get(long_one.id).attempts == 1
    # The services that are no workers were not stopped, and no process ended as a failure.
    assert project.said.count('"event":"stopping"') == 1
    assert "ended with" not in project.said


def test_a_new_worker_that_dies_is_said_and_the_next_change_starts_it(
    project: Project, redis_url: str, namespace: str
) -> None:
    """`check` opens no lifespan. One that fails ends its worker, and the program waits for a change."""
    environ = {"MILLSTREAM_REDIS_URL": redis_url, "MILLSTREAM_NAMESPACE": namespace}
    with started_program("worker", "shop:app", "--reload", log=project.log, cwd=project.folder, **environ) as program:
        project.until_said('"event":"worker started"')
        project.save(SHOP.format(version=2) + DIES)
        project.until_said("worker-1 ended with code 1; the next change starts it again")
        assert "LookupError: no database" in project.said
        project.save(SHOP.format(version=3))
        project.until_said('"event":"worker started"', 2)
        program.terminate()
        assert program.wait(60) == 0


@pytest.mark.parametrize("command", ["up", "worker"])
def test_without_its_library_reload_says_what_to_install(monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    """Reloading is an extra: without it the option is refused in one line."""
    find_spec = util.find_spec
    monkeypatch.setattr(
        "millstream_cli.reloading.options.find_spec",
        lambda name: None if name == "watchfiles" else find_spec(name),
    )
    refused(run(command, "shop:app", "--reload"), "pip install 'millstream[reload]'", code=1)
