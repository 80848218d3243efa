"""`up`: what it refuses to start with. tests/system has it running."""

import socket

import pytest
from cli.commands import refused, run, run_program, started_program

from millstream_cli.embedded import start_embedded_redis
from millstream_cli.system import free_ports


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
    """Before it starts anything: a child that cannot start would be started again and again."""
    refused(run("up", *words, "--data", str(tmp_path / "data"), **environ), says, code=2)
    assert not (tmp_path / "data").exists()


def test_up_says_in_one_line_that_its_folder_is_in_use(tmp_path):
    """By which process, for whoever forgot it in another terminal."""
    with start_embedded_redis(tmp_path / "redis") as server:
        refused(run("up", "--data", str(tmp_path), "--port", str(free_ports(1)[0])), f"pid {server.pid}", code=1)


def test_up_says_in_one_line_that_its_folder_is_none(tmp_path):
    """A file stands there."""
    file = tmp_path / "data"
    file.touch()
    refused(run("up", "--data", str(file)), str(file), code=1)


def test_up_says_in_one_line_that_an_app_cannot_be_imported(tmp_path):
    """At once, instead of starting workers that end again."""
    done = run_program("up", "nowhere:app", "--port", str(free_ports(1)[0]), "--data", str(tmp_path / "data"))
    said = done.stderr.splitlines()
    assert (done.returncode, len(said)) == (1, 1), said
    assert said[0].startswith("millstream: cannot import `nowhere`")


def test_up_says_in_one_line_that_its_port_is_in_use(tmp_path):
    """At once, and whatever it is that listens there."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        done = run_program("up", "--port", port, "--data", str(tmp_path / "data"))
    said = done.stderr.splitlines()
    assert (done.returncode, len(said)) == (1, 1), said
    assert said[0].startswith(f"millstream: port {port} on 127.0.0.1 is in use")


def test_up_keeps_what_is_meant_for_another_redis_from_its_own(tmp_path, wait_until):
    """The Redis that it starts has no password, and would refuse one."""
    environ = {"MILLSTREAM_REDIS_PASSWORD": "hunter2", "MILLSTREAM_REDIS_USERNAME": "ann"}
    words = ("up", "--workers", "0", "--port", str(free_ports(1)[0]), "--data", str(tmp_path / "data"))
    with started_program(*words, log=tmp_path / "log", cwd=tmp_path, **environ):
        wait_until(lambda: "Try: " in (tmp_path / "log").read_text(), "the system is up")
