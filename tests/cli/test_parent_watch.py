"""The guard ends a command when its starter dies."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from millstream_cli.parent_watch import guarded

SLEEPER = "import time; print('up', flush=True); time.sleep(600)"
STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {SLEEPER}"


@contextmanager
def started(*argv: str) -> Iterator["subprocess.Popen[str]"]:
    """Start a command under the guard."""
    with subprocess.Popen(
        guarded(argv), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def test_guard_gives_the_commands_own_exit_code() -> None:
    """The guard exits with the code of the command."""
    with started("/bin/sh", "-c", "exit 7") as process:
        assert process.wait() == 7


def test_guard_runs_the_command_under_the_pid_that_was_started() -> None:
    """The command runs under the pid that the starter sees, so that signals reach it."""
    with started(sys.executable, "-c", "import os; print(os.getpid())") as process:
        assert process.stdout is not None
        assert int(process.stdout.readline()) == process.pid


def test_guard_ends_the_command_when_its_pipe_closes() -> None:
    """The guard ends the command at the end of file on its pipe, which is the death of the starter."""
    with started(sys.executable, "-c", SLEEPER) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == "up\n"
        process.stdin.close()
        assert process.wait() == -signal.SIGTERM


def test_guard_kills_a_command_that_ignores_sigterm() -> None:
    """The guard kills a command that ignores SIGTERM."""
    with started(sys.executable, "-c", STUBBORN) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == "up\n"
        process.stdin.close()
        assert process.wait() == -signal.SIGKILL


def test_guard_kills_what_the_command_leaves_behind(wait_until, is_running) -> None:
    """The guard kills the processes that the command leaves behind, also after a kill of the command."""
    with started("/bin/sh", "-c", "sleep 600 & echo $!; wait") as process:
        assert process.stdout is not None
        left_behind = int(process.stdout.readline())
        assert is_running(left_behind)
        process.kill()
        process.wait()
        wait_until(lambda: not is_running(left_behind), "the end of the process left behind")


def test_guard_is_no_child_of_the_command() -> None:
    """The guard is no child of the command, which waits for its own children only."""
    probe = "import os\ntry: os.waitpid(-1, 0)\nexcept ChildProcessError: print('none')"
    with started(sys.executable, "-c", probe) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "none\n"


def test_guard_gives_the_command_default_signals() -> None:
    """The command has the default handling of signals, SIGPIPE included."""
    with started("/bin/sh", "-c", "kill -PIPE $$") as process:
        assert process.wait() == -signal.SIGPIPE


def test_guard_says_so_when_there_is_no_such_command() -> None:
    """The guard names a missing command, and exits with the code of shells for that."""
    with started("/nowhere/redis-server") as process:
        assert process.stderr is not None
        assert process.stderr.read() == "cannot run /nowhere/redis-server: No such file or directory\n"
        assert process.wait() == 127


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_guard_leaves_signals_to_the_command(number: signal.Signals) -> None:
    """A signal ends the command as it would without the guard, and the exit code says so."""
    with started(sys.executable, "-c", SLEEPER) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        process.send_signal(number)
        assert process.wait() == -number
