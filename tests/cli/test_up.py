"""`up` refuses some faults before it starts anything. tests/system runs it."""

import json
import os
import re
import shlex
import signal
import socket
from contextlib import AbstractContextManager, suppress
from pathlib import Path

import httpx2
import pytest
from cli.commands import refused, run, run_program, started_program
from cli.terminals import Terminal, on_terminal

from millstream_cli.embedded import start_embedded_redis
from millstream_cli.folder_lock import LOCK_NAME


@pytest.mark.parametrize(
    ("words", "environ", "says"),
    [
        (("--workers", "-1"), {}, "-1 is not in the range 0<=x<=64"),
        (("--port", "65536"), {}, "--port=65536: expected a port from 0 to 65535"),
        (("nowhere",), {}, "expected an app such as shop.jobs:app"),
        ((), {"MILLSTREAM_PORTS": "1"}, "MILLSTREAM_PORTS is no setting; did you mean `MILLSTREAM_PORT`"),
        ((), {"MILLSTREAM_LEASE_S": "0"}, "MILLSTREAM_LEASE_S=0: expected"),
        ((), {"MILLSTREAM_LEASE_S": "2", "MILLSTREAM_RENEW_EVERY_S": "2"}, "at most half of MILLSTREAM_LEASE_S"),
    ],
)
def test_up_refuses_wrong_options_and_variables_of_any_service(tmp_path, words, environ, says):
    """`up` refuses wrong options and variables of any service before it starts one."""
    refused(run("up", *words, "--data", str(tmp_path / "data"), **environ), says, code=2)
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("environ", "least_s"),
    [
        ({}, 30.0),
        ({"MILLSTREAM_GRACE_S": "300"}, 305.0),
        ({"MILLSTREAM_GRACE_S": "40", "MILLSTREAM_CLEANUP_S": "50"}, 90.0),
    ],
)
def test_up_gives_its_workers_the_grace_that_is_set(tmp_path, monkeypatch, environ, least_s):
    """`up` kills no worker before its grace and the time for clean-up are over, as a pool of workers does not."""
    plans = []
    monkeypatch.setattr("millstream_cli.up.anyio.run", lambda _, plan, *__: plans.append(plan))
    done = run("up", "--data", str(tmp_path / "data"), "--no-history", "--no-console", **environ)
    assert done.exit_code == 0, done.output
    assert least_s < plans[0].grace_s < least_s + 15.0 or (not environ and plans[0].grace_s == least_s)


def test_up_says_in_one_line_that_its_folder_is_in_use(tmp_path):
    """`up` says in one line which process uses its folder."""
    with start_embedded_redis(tmp_path / "redis") as server:
        refused(run("up", "--no-history", "--data", str(tmp_path), "--port", "0"), f"pid {server.pid}", code=1)


def test_up_says_in_one_line_that_its_folder_is_none(tmp_path):
    """`up` says in one line that its folder is a file."""
    file = tmp_path / "data"
    file.touch()
    refused(run("up", "--no-history", "--data", str(file)), str(file), code=1)


def test_up_says_in_one_line_that_an_app_cannot_be_imported(tmp_path):
    """`up` says in one line that an app cannot be imported, and starts no worker."""
    done = run_program("up", "nowhere:app", "--port", "0", "--data", str(tmp_path / "data"))
    said = done.stderr.splitlines()
    assert (done.returncode, len(said)) == (1, 1), said
    assert said[0].startswith("millstream: cannot import `nowhere`")


def test_up_says_in_one_line_that_its_port_is_in_use(tmp_path):
    """`up` says in one line that its port is in use."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        done = run_program("up", "--port", port, "--data", str(tmp_path / "data"))
    said = done.stderr.splitlines()
    assert (done.returncode, len(said)) == (1, 1), said
    assert said[0].startswith(f"millstream: port {port} on 127.0.0.1 is in use")


def test_up_keeps_what_is_meant_for_another_redis_from_its_own(tmp_path, wait_until):
    """`up` does not apply the password for another Redis to the one that it starts."""
    environ = {"MILLSTREAM_REDIS_PASSWORD": "hunter2", "MILLSTREAM_REDIS_USERNAME": "ann"}
    words = ("up", "--no-history", "--workers", "0", "--port", "0", "--data", str(tmp_path / "data"))
    with started_program(*words, log=tmp_path / "log", cwd=tmp_path, **environ):
        wait_until(lambda: "Try: " in (tmp_path / "log").read_text(), "the system is up")


SHOP = """
from millstream import App, Retry

app = App("shop")


@app.job("shop.send", retry=Retry(max_attempts=1))
def send(payload: int) -> int:
    print("sending", flush=True)
    return 10 // payload


@app.job("shop.fail", retry=Retry(max_attempts=1))
def fail() -> None:
    raise ValueError
"""


def test_up_on_a_terminal_prints_for_people(tmp_path):
    """A job is one line with its whole id, nothing is JSON, and the command to try works as it stands there."""
    (tmp_path / "shop.py").write_text(SHOP)
    words = ("up", "shop:app", "--no-history", "--workers", "1", "--port", "0", "--data", str(tmp_path / "data"))
    with on_terminal(*words, cwd=tmp_path, PYTHONPATH=str(tmp_path)) as up:
        up.read_until("Try: ")
        hint = re.search(r"Try: \S+ (submit .+)\r\n", up.read_until("\r\n\r\n"))[1]
        command = shlex.split(hint)
        sent = run(*command, "--json")
        assert (command[1], sent.exit_code) == ("shop.send", 0), sent.output
        dead = run("submit", "shop.fail", "--wait", "60", "--json", *command[-2:])
        up.read_until("now dead")
        up.process.send_signal(signal.SIGINT)
        seen = up.read_to_the_end()
    said = [line[len("00:00:00 ") :] for line in seen.lines]
    assert "worker-1    sending" in said
    sent_id, dead_id = (json.loads(result.stdout)["id"] for result in (sent, dead))
    assert any(re.fullmatch(rf"worker-1    {sent_id} succeeded in (under )?\d+ m?s", line) for line in said), said
    assert f"worker-1    {dead_id} attempt 1 failed with ValueError, now dead" in said
    assert [line for line in seen.lines if "{" in line or "outage" in line] == []
    assert (seen.code, "Traceback" in seen.text) == (0, False)


STOPS = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)


@STOPS
def test_up_that_is_stopped_while_it_waits_for_its_folder_ends_in_one_line(tmp_path, wait_until, number):
    """The folder may be held by a Redis that is ending, which is waited for."""
    with start_embedded_redis(tmp_path / "redis"), up_in(tmp_path) as up:
        wait_until(lambda: has_open(up.process.pid, tmp_path / "redis" / LOCK_NAME), "it waits for the lock")
        up.process.send_signal(number)
        assert up.read_to_the_end() == (0, f"millstream: {number.name}: stopped before it was up\r\n")


@STOPS
def test_up_that_is_stopped_while_it_waits_for_redis_ends_in_one_line(tmp_path, number):
    """A Redis that takes connections and says nothing may do so for ever."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"redis://127.0.0.1:{silent.getsockname()[1]}/0"
        with up_in(tmp_path, MILLSTREAM_REDIS_URL=url) as up, silent.accept()[0]:
            up.process.send_signal(number)
            assert up.read_to_the_end() == (0, f"millstream: {number.name}: stopped before it was up\r\n")


@STOPS
def test_up_that_is_stopped_while_it_waits_for_its_services_ends_in_one_line(tmp_path, number):
    """The services end first; the last line is that of `up`, and no traceback."""
    with up_in(tmp_path, MILLSTREAM_REDIS_URL="redis://127.0.0.1:9/0") as up:
        up.read_until("duty failed")
        up.process.send_signal(number)
        seen = up.read_to_the_end()
    assert (seen.code, "Traceback" in seen.text) == (0, False)
    assert seen.lines[-1] == f"millstream: {number.name}: stopped before it was up"


def up_in(folder: Path, **environ: str) -> AbstractContextManager[Terminal]:
    """Run `up` on a terminal, its data in a folder."""
    return on_terminal(
        "up", "--no-history", "--workers", "1", "--port", "0", "--data", str(folder), cwd=folder, **environ
    )


def has_open(pid: int, file: Path) -> bool:
    """Whether a process has a file open."""
    with suppress(OSError):
        return any(link.readlink() == file for link in Path(f"/proc/{pid}/fd").iterdir())
    return False


@pytest.mark.skipif(not Path("/proc").exists(), reason="the processes of `up` are looked up there")
@pytest.mark.parametrize("is_chosen", [True, False])
def test_a_service_that_up_starts_again_is_where_it_was(tmp_path, wait_until, free_tcp_port, is_chosen):
    """A service that `up` starts again listens on the port that it had, which it need not say where `up` chose it."""
    log = tmp_path / "log"
    alone = ("--no-history", "--no-console", "--workers", "0")
    words = ("up", *alone, "--port", str(free_tcp_port if is_chosen else 0), "--data", str(tmp_path / "data"))
    with started_program(*words, log=log, cwd=tmp_path, MILLSTREAM_LOG_LEVEL="error") as up:
        wait_until(lambda: "Try: " in log.read_text(), "the system is up")
        urls = dict(re.findall(r"metrics of (\S+)\s+(http://\S+)/metrics", log.read_text()))
        assert urls.keys() == {"ingest", "dispatcher", "reaper"}
        for name in ("reaper", "ingest"):
            os.kill(child_of(up.pid, name), signal.SIGKILL)
            wait_until(lambda name=name: f"{name} ended with signal SIGKILL" in log.read_text(), f"{name} has ended")
        for name in ("reaper", "ingest"):
            wait_until(lambda name=name: is_ready(urls[name]), f"{name} is back")


def child_of(pid: int, command: str) -> int:
    """Return the process that `up` runs for a command."""
    for file in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            parent = int(file.read_text().rpartition(")")[2].split()[1])
            if parent == pid and f"millstream_cli.main\0{command}\0" in (file.parent / "cmdline").read_text():
                return int(file.parent.name)
    pytest.fail(f"`up` does not run {command}")


def is_ready(url: str) -> bool:
    """Return whether the service at this address is ready."""
    with suppress(httpx2.HTTPError):
        return httpx2.get(f"{url}/readyz", trust_env=False, timeout=10).status_code == 200
    return False
