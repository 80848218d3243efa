"""The plugin for pytest: the fixture `jobs` in the suites of users, each run by a pytest of its own."""

import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]

SETTINGS = """
[pytest]
millstream_app = testing.store_app:app
addopts = -p no:cacheprovider -p no:xdist -p no:schemathesis -p no:hypothesispytest
"""

PASSING = """
import pytest
from testing.store_app import Order, Pool, Receipt, app, archive, charge, mail, send_mail

from millstream import JobFailedError
from millstream.testing import SyncTesting, Testing


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def jobs_state() -> Pool:
    return Pool("db://of-the-fixture")


@pytest.mark.anyio
async def test_async(jobs: Testing[Pool]) -> None:
    assert jobs.state.url == "db://of-the-fixture"
    assert await jobs.run(charge, Order(1)) == Receipt(1, 2)
    await (await archive.submit(Order(2))).result()


def test_sync(jobs: SyncTesting[Pool]) -> None:
    assert isinstance(jobs, SyncTesting)
    assert jobs.run(charge, Order(1)) == Receipt(1, 2)


@pytest.fixture
def placed(jobs: SyncTesting[Pool]) -> str:
    return jobs.client.submit(archive, Order(2)).id


def test_fixtures_use_an_open_kit(jobs: SyncTesting[Pool], placed: str) -> None:
    assert jobs.submitted(archive)[0].id == placed


@pytest.mark.millstream(state=Pool("db://marked"), allow_dead=True)
class TestMarked:
    def test_marker(self, jobs: SyncTesting[Pool]) -> None:
        assert jobs.state.url == "db://marked"
        with pytest.raises(JobFailedError):
            jobs.run(charge, Order(404))

    @pytest.mark.anyio
    @pytest.mark.parametrize("n", [1, 2])
    async def test_dead(self, jobs: Testing[Pool], n: int) -> None:
        await jobs.client.submit(charge, Order(404))
        await jobs.run_ready()

    @pytest.mark.millstream(app=mail, state=Pool("db://mail"))
    def test_other_app(self, jobs: SyncTesting[Pool]) -> None:
        jobs.run(send_mail, "x")
        assert jobs.state.rows == ["mail x"]
"""

FAILING = """
import pytest
from testing.store_app import Order, archive


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.mark.anyio
async def test_async_leaves(jobs) -> None:
    await archive.submit(Order(1))


def test_sync_leaves(jobs) -> None:
    jobs.client.submit(archive, Order(1))


def test_own_failure(jobs) -> None:
    jobs.client.submit(archive, Order(1))
    assert 1 == 2


@pytest.mark.millstream(allow_deat=True)
def test_unknown_option(jobs) -> None:
    pass
"""

LOADED = """
import sys


def test_nothing_is_loaded() -> None:
    assert not [name for name in sys.modules if name.startswith("millstream") and name not in {allowed}]
"""


def run_pytest(folder: Path, code: str, settings: str = SETTINGS) -> str:
    """Run a suite of one file, and return what pytest prints."""
    (folder / "pytest.ini").write_text(settings)
    (folder / "test_suite.py").write_text(code)
    command = [sys.executable, "-m", "pytest", "-q", "-rA", "-W", "error", "--strict-markers", str(folder)]
    environment = {"PYTHONPATH": str(TESTS), "PATH": ""}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False).stdout


def test_a_suite_uses_the_fixture(tmp_path: Path) -> None:
    """Async and plain tests, classes, parameters, fixtures and markers get an open kit of their own."""
    printed = run_pytest(tmp_path, PASSING)
    assert "7 passed" in printed, printed


def test_leftovers_fail_the_test_that_leaves_them(tmp_path: Path) -> None:
    """A test that leaves jobs behind fails; one that fails by itself shows its own error; a wrong marker is named."""
    printed = run_pytest(tmp_path, FAILING)
    assert "3 failed" in printed, printed
    assert printed.count("the test leaves behind:\n") == 2, printed
    assert "assert 1 == 2" in printed
    assert "the marker `millstream` takes allow_dead, app, state" in printed


def test_the_app_has_to_be_named(tmp_path: Path) -> None:
    """Without `millstream_app` the fixture says how to name the app."""
    printed = run_pytest(tmp_path, FAILING, "[pytest]\n")
    assert "the fixture `jobs` needs an app: millstream_app = shop.jobs:app" in printed


@pytest.mark.parametrize("allowed", [{"millstream_testing", "millstream_testing.plugin"}])
def test_an_unused_plugin_loads_nothing(tmp_path: Path, allowed: set[str]) -> None:
    """A suite that does not use the fixture loads the module of the plugin alone."""
    assert "1 passed" in run_pytest(tmp_path, LOADED.replace("{allowed}", repr(allowed)), "[pytest]\n")
