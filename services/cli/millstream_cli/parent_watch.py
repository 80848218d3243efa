"""Runs a command that ends with its starter, even when SIGKILL ends the starter.

The starter holds the write end of the command's standard input. The kernel closes it when the starter dies,
however it dies; a forked guard sees that and ends the command with all of its processes.
"""

# Linux alone has PR_SET_PDEATHSIG, and it is tied to the thread that started the command, not to the process:
# a command started from a pool thread would die with that thread. End of file on a pipe works on every Unix,
# has no race with a starter that dies early, and needs no second mechanism for macOS.
#
# The command replaces this process and the guard is the one that is forked off, not the other way round: so the
# starter has the command's own pid and exit code, and its signals, SIGKILL too, reach the command itself.

import os
import select
import signal
import sys
import time
from collections.abc import Sequence

GRACE_S = 5.0
"""From the first signal to SIGKILL once the starter is gone."""

_POLL_S = 1.0
_MAX_FD = 65_536
# The guard is in the process group of the command, and people send signals to the group.
_NOT_FOR_THE_GUARD = (
    *(signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT),
    *(signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM),
)


def guarded(
    argv: Sequence[str], *, end_with: signal.Signals = signal.SIGTERM, account: tuple[int, int] | None = None
) -> list[str]:
    """Return the command line that runs `argv` under the guard.

    The guard ends the command by the signal `end_with`. With `account`, the ids of a user and a group, the command runs
    as that user, which root alone can ask for; the guard does not, so the user need not be able to run Python.

    Start it with `stdin=PIPE` and keep that pipe open: closing it ends the command. The process started becomes
    the command: same pid, same exit code, leader of a session of its own (a Ctrl-C on the terminal is for the
    starter alone), with an empty standard input. What it leaves behind when it
    ends is killed, as soon as the starter has collected its exit code.
    """
    # By path and without site-packages: so the guard starts in 10 ms, in any environment.
    ids = ":".join(map(str, account or ()))
    return [sys.executable, "-I", "-S", __file__, str(end_with.value), ids, *argv]


def main() -> None:
    """Fork the guard, then become the command."""
    end_with, ids, *command = sys.argv[1:]
    os.setsid()
    _fork_guard(os.getpid(), int(end_with))
    if ids:
        _become(*map(int, ids.split(":")))
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    # The interpreter ignores these, and ignored signals stay ignored across exec.
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    # SIGUSR1 asks for stacks. It must not end a service that still starts.
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    try:
        os.execvp(command[0], command)  # noqa: S606
    except OSError as error:
        print(f"cannot run {command[0]}: {error.strerror}", file=sys.stderr, flush=True)
        os._exit(127)


def _become(uid: int, gid: int) -> None:
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)


def _fork_guard(command_pid: int, end_with: int) -> None:
    middle = os.fork()
    if middle:
        os.waitpid(middle, 0)
        return
    # Forked twice: else the command would have a child that it never started, and its `wait()` would find it.
    if os.fork():
        os._exit(0)
    _guard(command_pid, end_with)


def _guard(command_pid: int, end_with: int) -> None:
    for number in _NOT_FOR_THE_GUARD:
        signal.signal(number, signal.SIG_IGN)
    _let_go_of_files()
    while _is_running(command_pid):
        starter_is_gone, _, _ = select.select([0], [], [], _POLL_S)
        if starter_is_gone:
            _end(command_pid, end_with)
            break
    # The guard is a member of the group: this ends the guard as well.
    os.killpg(command_pid, signal.SIGKILL)


def _let_go_of_files() -> None:
    # The locks, sockets and output of the command must not stay open while the guard lives.
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 1)
    os.dup2(null, 2)
    os.closerange(3, min(os.sysconf("SC_OPEN_MAX"), _MAX_FD))


def _is_running(pid: int) -> bool:
    # No other process can get this pid: it is the number of the guard's own process group.
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _end(pid: int, end_with: int) -> None:
    deadline = time.monotonic() + GRACE_S
    os.kill(pid, end_with)
    while _is_running(pid) and time.monotonic() < deadline:
        time.sleep(0.02)


if __name__ == "__main__":
    main()
