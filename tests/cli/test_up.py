"""`up` refuses some faults before it starts anything. tests/system runs it."""

import os
import re
import signal
import socket
from contextlib import suppress
from pathlib import Path

import httpx2
import pytest
from cli.commands import refused, run, run_program, started_program

from millstream_cli.embedded import start_embedded_redis


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


def test_up_says_in_one_line_that_its_folder_is_in_use(tmp_path):
    """`up` says in one line which process uses its folder."""
    with start_embedded_redis(tmp_path / "redis") as server:
        refused(run("up", "--data", str(tmp_path), "--port", "0"), f"pid {server.pid}", code=1)


def test_up_says_in_one_line_that_its_folder_is_none(tmp_path):
    """`up` says in one line that its folder is a file."""
    file = tmp_path / "data"
    file.touch()
    refused(run("up", "--data", str(file)), str(file), code=1)


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
    words = ("up", "--workers", "0", "--port", "0", "--data", str(tmp_path / "data"))
    with started_program(*words, log=tmp_path / "log", cwd=tmp_path, **environ):
        wait_until(lambda: "Try: " in (tmp_path / "log").read_text(), "the system is up")


@pytest.mark.skipif(not Path("/proc").exists(), reason="the processes of `up` are looked up there")
def test_a_service_that_up_starts_again_is_where_it_was(tmp_path, wait_until):
    """A service that `up` starts again listens on the port that it had."""
    log = tmp_path / "log"
    words = ("up", "--workers", "0", "--port", "0", "--data", str(tmp_path / "data"))
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
