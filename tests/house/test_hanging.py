"""A test that hangs fails and says where, and the run goes on to its end."""

import subprocess
import sys
from pathlib import Path

LIMITS = """
[pytest]
anyio_mode = auto
timeout = {timeout}
timeout_method = signal
faulthandler_timeout = {timeout}
faulthandler_exit_on_timeout = true
"""

HOOKS = """
import hanging
import pytest

hanging.EARLIER = 2


@pytest.fixture(scope="session")
def anyio_backend():
    return "asyncio"


@pytest.fixture
async def connection():
    yield


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem):
    hanging.limit_async_test(pyfuncitem)
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item):
    hanging.limit_teardown(item.config)
    return (yield)
"""


def run(folder: Path, tests: str, *, timeout: float) -> str:
    """Return what pytest prints of tests with this time limit in seconds, without the seconds that they took."""
    (folder / "pytest.ini").write_text(LIMITS.format(timeout=timeout))
    (folder / "conftest.py").write_text(HOOKS)
    (folder / "test_it.py").write_text(tests)
    command = [sys.executable, "-m", "pytest", "-pno:cacheprovider", "-pno:schemathesis", "-rf", str(folder)]
    done = subprocess.run(
        command,
        cwd=folder,
        env={"PYTHONPATH": str(Path(__file__).parents[1])},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    return done.stdout


def test_an_async_test_that_hangs_fails_where_it_hangs_and_the_next_one_runs(tmp_path: Path) -> None:
    """The fixtures are torn down, although anyio runs them in the task of the test that hung."""
    printed = run(
        tmp_path,
        "import anyio\n\n"
        "async def test_hangs(connection):\n    await anyio.sleep_forever()  # here\n\n"
        "async def test_next(connection):\n    pass\n",
        timeout=6,
    )
    assert "FAILED test_it.py::test_hangs - TimeoutError" in printed, printed
    assert ">       await anyio.sleep_forever()  # here" in printed
    assert "1 failed, 1 passed in" in printed


def test_a_teardown_that_hangs_after_a_failed_test_ends_the_process_and_says_where(tmp_path: Path) -> None:
    """Both limits of pytest have ended with the test."""
    printed = run(
        tmp_path,
        "import time\nimport pytest\n\n"
        "@pytest.fixture\ndef closes():\n    yield\n    time.sleep(600)\n\n"
        "def test_fails(closes):\n    assert False\n",
        timeout=6,
    )
    assert "Timeout (0:00:06)!" in printed, printed
    assert "in closes" in printed
