"""Every command reports a wrong address of Redis in one line, with a reason and without a secret."""

import json
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import httpx2
import pytest
import redis
from cli.commands import address_in, refused, run, run_program, started_program
from speakers import HTTP, speaker
from written import whole_lines

from millstream_cli.embedded import EmbeddedRedis

SECRET = "hunter2"
SERVICES = ("ingest", "dispatcher", "worker", "reaper")
COMMANDS = (*((service,) for service in SERVICES), ("doctor",))
PARENTS = (("worker", "--processes", "2"), ("up",))
"""The commands that start others, so that those are processes too."""


@pytest.fixture
def locked_redis(own_redis: EmbeddedRedis) -> str:
    """Return host and port of a server with a password."""
    with redis.Redis(port=own_redis.port, protocol=2) as client:
        client.config_set("requirepass", "right")
    return f"127.0.0.1:{own_redis.port}"


@pytest.fixture
def http_port() -> Iterator[int]:
    """Yield the port of a web server."""
    with speaker(HTTP) as port:
        yield port


def ends(url: str, folder: Path) -> dict[str, list[str]]:
    """Run every command on this Redis to its end. Returns: the standard error of each."""
    settings = {"MILLSTREAM_REDIS_URL": url, "MILLSTREAM_PORT": "0"}
    found = {}
    with ThreadPoolExecutor(len(PARENTS)) as pool:
        processes = pool.map(lambda words: run_program(*words, cwd=folder, **settings), PARENTS)
        for words in COMMANDS:
            result = run(*words, **settings)
            assert (result.exit_code, result.stdout) == (1, ""), result.output
            found[" ".join(words)] = result.stderr.splitlines()
        for words, done in zip(PARENTS, processes, strict=True):
            assert done.returncode == 1, done.stderr
            found[" ".join(words)] = done.stderr.splitlines()
    return found


@pytest.mark.parametrize("wrong", ["HTTP", "database"])
def test_every_command_ends_with_one_line_where_no_redis_can_ever_be(
    own_redis: EmbeddedRedis, http_port: int, tmp_path: Path, wrong: str
) -> None:
    """Every command ends with one line at an address where no Redis can ever be."""
    url = {"HTTP": f"redis://:{SECRET}@127.0.0.1:{http_port}/0", "database": f"redis://127.0.0.1:{own_redis.port}/99"}
    says = {"HTTP": "is no Redis", "database": "has no database 99"}
    for command, said in ends(url[wrong], tmp_path).items():
        assert "Traceback" not in "\n".join(said), command
        assert SECRET not in "\n".join(said), command
        last = [line for line in said if "millstream: " in line]
        assert last, (command, said)
        # A pool of workers repeats what each of its processes has said, and ends with its own line.
        assert any(says[wrong] in line for line in last), (command, said)
        if "--processes" not in command:
            assert len(last) == 1, (command, said)


def test_up_ends_at_a_right_that_one_of_its_services_lacks(own_redis: EmbeddedRedis, tmp_path: Path) -> None:
    """`up` ends when one of its services lacks a right, instead of waiting."""
    with redis.Redis(port=own_redis.port, protocol=2) as client:
        client.execute_command("ACL", "SETUSER", "ann", "reset", "on", ">secret", "~*", "&*", "+@all", "-xtrim")
    url = own_redis.url.replace("redis://", "redis://ann:secret@")
    done = run_program("up", cwd=tmp_path, MILLSTREAM_REDIS_URL=url, MILLSTREAM_PORT="0")
    assert done.returncode == 1
    assert "the Redis user `ann` lacks +xtrim" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


@pytest.fixture
def waiting(locked_redis: str, tmp_path: Path) -> Iterator[dict[str, Path]]:
    """Yield the log of every service, started with a wrong password."""
    with ExitStack() as processes:
        found = {}
        for service in SERVICES:
            variable = "MILLSTREAM_PORT" if service == "ingest" else "MILLSTREAM_ADMIN_PORT"
            settings = {"MILLSTREAM_REDIS_URL": f"redis://{locked_redis}/0", variable: "0"}
            log = tmp_path / f"{service}.log"
            process = processes.enter_context(
                started_program(service, log=log, MILLSTREAM_REDIS_PASSWORD=SECRET, **settings)
            )
            found[service] = log
            processes.callback(process.send_signal, signal.SIGTERM)
        yield found


def test_services_wait_for_a_password_that_may_be_changed_and_say_so(
    waiting: dict[str, Path], locked_redis: str, own_redis: EmbeddedRedis, wait_until
) -> None:
    """A service with a wrong password logs one line, fails its readiness, and works once the password is right."""
    for service, log in waiting.items():
        wait_until(lambda log=log: refusals(log), f"{service} says why")
        line = refusals(log)[0]
        assert f"{locked_redis} refuses the user name or the password" in line["error"]
        assert "exception" not in line
        # Ingest asks Redis before it listens.
        wait_until(lambda log=log: "refuses" in health(log, "readyz")["checks"][-1]["detail"], f"{service} is unready")
        assert health(log, "livez")["ok"]
    for service, log in waiting.items():
        text = "\n".join(whole_lines(log))
        assert SECRET not in text, service
        assert "Traceback" not in text, service
    with redis.Redis(port=own_redis.port, protocol=2, password="right") as client:
        client.config_set("requirepass", SECRET)
    for service, log in waiting.items():
        wait_until(lambda log=log: health(log, "readyz")["ok"], f"{service} is ready")


def refusals(log: Path) -> list[dict[str, str]]:
    """Return the lines about a refusal."""
    return [line for line in map(json.loads, whole_lines(log)) if line.get("reason") == "refused"]


def health(log: Path, path: str) -> dict:
    """Return the health of the service with this log, or nothing while it does not respond."""
    try:
        return httpx2.get(f"{address_in(log)}/{path}", trust_env=False, timeout=10).json()
    except httpx2.HTTPError:
        return {"ok": False, "checks": [{"detail": ""}]}


def test_up_and_doctor_end_at_once_where_a_service_would_wait(locked_redis: str, tmp_path: Path) -> None:
    """`up` and `doctor` end at once where a service would wait."""
    settings = {"MILLSTREAM_REDIS_URL": f"redis://:{SECRET}@{locked_redis}/0", "MILLSTREAM_PORT": "0"}
    says = "refuses the user name or the password"
    assert SECRET not in refused(run("doctor", **settings), says, code=1)
    done = run_program("up", cwd=tmp_path, **settings)
    said = done.stderr.splitlines()
    assert (done.returncode, len(said)) == (1, 1), said
    assert says in said[0]
    assert SECRET not in said[0]


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"REDIS_URL": "redis://ann:x@h", "REDIS_PASSWORD": SECRET}, "MILLSTREAM_REDIS_URL has a password too"),
        ({"REDIS_URL": "redis://ann:x@h", "REDIS_USERNAME": "bob"}, "MILLSTREAM_REDIS_URL has a username too"),
        ({"REDIS_URL": "redis://h", "REDIS_CA_FILE": __file__}, "MILLSTREAM_REDIS_CA_FILE is set, and"),
        ({"REDIS_URL": "redis+cluster://h", "REDIS_KEY_FILE": __file__}, "begin it with rediss://"),
        ({"REDIS_URL": "redis://h", "SENTINEL_PASSWORD": SECRET}, "MILLSTREAM_REDIS_URL names no Sentinel"),
        ({"REDIS_URL": "rediss://h", "REDIS_CA_FILE": __file__}, "MILLSTREAM_REDIS_CA_FILE="),
        (
            {"REDIS_URL": "rediss://h", "REDIS_CERT_FILE": f"-----BEGIN {SECRET}"},
            "MILLSTREAM_REDIS_CERT_FILE=***",
        ),
        ({"REDIS_URL": "rediss://h", "REDIS_KEY_FILE": __file__}, "is a key without a certificate"),
    ],
)
@pytest.mark.parametrize("words", [("ingest",), ("worker",), ("dispatcher",), ("reaper",), ("doctor",), ("up",)])
def test_access_that_contradicts_itself_or_has_no_effect_is_refused(
    words: tuple[str, ...], settings: dict[str, str], says: str
) -> None:
    """Settings of Redis that contradict each other or have no effect are refused, such as a certificate without TLS."""
    environ = {f"MILLSTREAM_{name}": value for name, value in settings.items()}
    assert SECRET not in refused(run(*words, **environ), says, code=2)
