"""Fixtures that wait for conditions, and that decide which Redis server a test finds."""

import os
import shutil
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import anyio
import pytest

WaitUntil = Callable[[Callable[[], object], str], None]
AsyncWaitUntil = Callable[[Callable[[], object], str], Awaitable[None]]

_PATIENCE_S = 30.0


@pytest.fixture
def wait_until() -> WaitUntil:
    """Return a function that waits for a condition, and fails the test after a bounded time."""

    def wait(predicate: Callable[[], object], description: str) -> None:
        deadline = time.monotonic() + _PATIENCE_S
        while not predicate():
            if time.monotonic() > deadline:
                pytest.fail(f"never seen: {description}")
            time.sleep(0.01)

    return wait


@pytest.fixture
def eventually() -> AsyncWaitUntil:
    """Return the async form of `wait_until`."""

    async def wait(predicate: Callable[[], object], description: str) -> None:
        with anyio.move_on_after(_PATIENCE_S):
            while not predicate():  # noqa: ASYNC110 - what is waited for happens in other processes
                await anyio.sleep(0.01)
            return
        pytest.fail(f"never seen: {description}")

    return wait


@pytest.fixture
def is_running() -> Callable[[int], bool]:
    """Return a function that returns whether a process runs; a zombie does not."""

    def check(pid: int) -> bool:
        try:
            os.kill(pid, 0)
            stat = Path(f"/proc/{pid}/stat")
            return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] != "Z"
        except (ProcessLookupError, FileNotFoundError):
            return False

    return check


@pytest.fixture(params=["on PATH", "from the wheel"])
def server_source(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Let one kind of server be the only one that is found."""
    bin_folder = tmp_path / "bin"
    bin_folder.mkdir()
    if request.param == "on PATH":
        found = shutil.which("redis-server") or shutil.which("valkey-server")
        if found is None:
            pytest.skip("no redis-server or valkey-server on PATH")
        (bin_folder / Path(found).name).symlink_to(found)
    monkeypatch.setenv("PATH", str(bin_folder))
    return request.param
