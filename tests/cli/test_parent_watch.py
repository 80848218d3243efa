"""The guard ends a command when its starter dies."""

import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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


def test_guard_gives_the_command_time_to_clean_up() -> None:
    """A command that ends a while after SIGTERM, as a Redis that writes its data does, is not killed meanwhile."""
    code = f"import signal, sys; signal.signal(signal.SIGTERM, lambda *_: (time.sleep(0.5), sys.exit(5))); {SLEEPER}"
    with started(sys.executable, "-c", f"import time; {code}") as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == "up\n"
        process.stdin.close()
        assert process.wait() == 5


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


ORDERS = (
    *(signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT),
    *(signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM),
)
OUTLIVES_SIGNALS = f"""
import signal, sys
heard = []
def hear(number, _):
    heard.append(number)
    print('heard', flush=True)
    if len(heard) > {len(ORDERS)}:
        sys.exit(5)
for number in {tuple(map(int, ORDERS))}:
    signal.signal(number, hear)
print('up', flush=True)
while True:
    signal.pause()
"""


def test_guard_outlives_signals_to_the_group_of_the_command() -> None:
    """A signal to the whole group reaches the command, and the guard still ends it when the starter is gone."""
    with started(sys.executable, "-c", OUTLIVES_SIGNALS) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == "up\n"
        for number in ORDERS:
            os.killpg(process.pid, number)
            assert process.stdout.readline() == "heard\n"
        process.stdin.close()
        assert process.wait() == 5


def test_guard_ends_the_command_by_the_signal_that_it_is_told() -> None:
    """A command that takes SIGTERM for something else is ended by another signal when the starter is gone."""
    code = "import signal\nprint('up', flush=True)\nprint('heard', signal.sigwait({10, 12, 15}), flush=True)"
    blocked = f"import signal\nsignal.pthread_sigmask(signal.SIG_BLOCK, {{10, 12, 15}})\n{code}"
    argv = guarded([sys.executable, "-c", blocked], end_with=signal.SIGUSR2)
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        process.stdin.close()
        assert process.stdout.read() == f"heard {signal.SIGUSR2.value}\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can run something as another user")
def test_guard_runs_the_command_as_another_user() -> None:
    """The command has the user and the group that it is given, and no other group; the guard still ends it."""
    command = ["/bin/sh", "-c", "echo $(id -u) $(id -G); exec sleep 600"]
    argv = guarded(command, account=(54_321, 54_322))
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd="/") as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "54321 54322\n"
        process.stdin.close()
        assert process.wait() == -signal.SIGTERM


def test_guard_holds_no_file_of_the_command_open(tmp_path: Path) -> None:
    """A pipe that the command closes is closed, although the guard lives on."""
    reading, writing = os.pipe()
    code = f"import os, time; os.close({writing}); print('up', flush=True); time.sleep(600)"
    command = guarded([sys.executable, "-c", code])
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, pass_fds=(writing,)) as process:
        try:
            os.close(writing)
            assert process.stdout is not None
            assert process.stdout.readline() == b"up\n"
            ready, _, _ = select.select([reading], [], [], 30)
            assert ready
            assert os.read(reading, 1) == b""
        finally:
            process.kill()
            os.close(reading)


def test_guard_makes_the_command_the_leader_of_a_session() -> None:
    """A Ctrl-C on the terminal, and its end, are for the starter alone."""
    with started(sys.executable, "-c", "import os; print(os.getsid(0) == os.getpid())") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "True\n"


def test_guard_keeps_an_early_question_for_stacks_from_ending_the_command() -> None:
    """SIGUSR1 is ignored until the command has a handler for it."""
    code = "import signal; print(signal.getsignal(signal.SIGUSR1).name, signal.getsignal(signal.SIGPIPE).name)"
    with started("/bin/sh", "-c", f"{sys.executable} -c '{code}'") as process:
        assert process.stdout is not None
        assert process.stdout.readline().split()[0] == "SIG_IGN"
