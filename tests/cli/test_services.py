"""The commands that run a service refuse some faults at the start, and wait for others to pass."""

import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import httpx2
import pytest
from cli.commands import refused, run, run_program, started_program
from written import whole_lines

from millstream_cli.embedded import free_ports, start_embedded_redis
from millstream_runtime import read_announcement

SERVICES = ("ingest", "dispatcher", "worker", "reaper")
NOWHERE = "redis://127.0.0.1:9/0"


class Early(NamedTuple):
    """A service that was started before its Redis."""

    process: "subprocess.Popen[bytes]"
    log: Path

    @property
    def url(self) -> str:
        """Return the address of its health routes, which it logs first."""
        return next(said.url for line in whole_lines(self.log) if (said := read_announcement(line)))


@pytest.fixture
def taken_port() -> Iterator[int]:
    """Yield a port that another process listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.mark.parametrize("service", SERVICES)
def test_service_refuses_every_variable_that_is_wrong_at_once(service):
    """A service names all wrong variables at once, one a line, and exits with 2."""
    result = run(service, MILLSTREAM_LAESE_S="3", MILLSTREAM_LOG_LEVEL="loud", MILLSTREAM_REDIS_URL="localhost")
    assert (result.exit_code, result.stdout) == (2, "")
    lines = result.stderr.splitlines()
    assert [line.split("=")[0].split()[1] for line in lines] == [
        "MILLSTREAM_LAESE_S",
        "MILLSTREAM_LOG_LEVEL",
        "MILLSTREAM_REDIS_URL",
    ]
    assert "did you mean `MILLSTREAM_LEASE_S`?" in lines[0]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("ingest", "--port", "65536"), "--port=65536: expected a port from 0 to 65535"),
        (("ingest", "--port", "x"), "'x' is not a valid integer"),
        (("worker", "--concurrency", "0"), "--concurrency=0: expected a whole number from 1 to 100,000"),
        (("worker", "--processes", "0"), "--processes=0"),
        (("worker", "shop"), "expected an app such as shop.jobs:app"),
        (("worker", "--types", "A B"), "a job type, or a pattern"),
        (("dispatcher", "all"), "unexpected extra argument"),
    ],
)
def test_service_refuses_wrong_options(words, says):
    """A service with wrong options exits with 2."""
    refused(run(*words), says, code=2)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("worker", "nowhere:app"), "cannot import `nowhere`"),
        (("worker", "--types", "nothing.*"), "no handler for `nothing.*`"),
        (("worker", "millstream_cli.demo.jobs:app", "--types", "demo.falky"), "did you mean `demo.flaky`"),
        (("worker", "millstream_cli.demo.jobs:app", "millstream_cli.demo.jobs:app"), "`demo.flaky` is in both"),
    ],
)
def test_worker_refuses_what_it_could_not_work_with(words, says):
    """A worker refuses unusable handlers before it looks for Redis."""
    refused(run(*words, MILLSTREAM_REDIS_URL=NOWHERE), says, code=1)


@pytest.mark.parametrize("service", SERVICES)
def test_service_refuses_a_redis_address_that_is_none(service):
    """A service refuses a text that is no Redis address, instead of waiting."""
    refused(run(service, MILLSTREAM_REDIS_URL="redis://127.0.0.1:99999/0"), "no valid port", code=1)


@pytest.mark.parametrize(
    ("variable", "value"),
    [("OTEL_TRACES_EXPORTER", "zipkn"), ("OTEL_EXPORTER_OTLP_PROTOCOL", "carrier-pigeon")],
)
def test_service_refuses_traces_that_it_cannot_send(variable, value):
    """A service refuses a wrong OTEL_* variable, and names the allowed values."""
    settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", variable: value}
    done = run_program("reaper", MILLSTREAM_REDIS_URL=NOWHERE, **settings)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert variable in done.stderr
    assert value in done.stderr


def test_services_say_in_one_line_that_their_port_is_in_use(redis_url, namespace, taken_port):
    """A service whose port is in use says so in its last line, and exits with 1."""
    settings = {"MILLSTREAM_REDIS_URL": redis_url, "MILLSTREAM_NAMESPACE": namespace}
    health = {"MILLSTREAM_PORT": str(free_ports(1)[0]), "MILLSTREAM_ADMIN_PORT": str(taken_port)}
    for last_line in refused_at_start(settings | health, settings | {"MILLSTREAM_PORT": str(taken_port)}):
        assert str(taken_port) in last_line


@pytest.fixture
def evicting_redis_url(own_redis) -> str:
    """Return the address of a Redis that evicts."""
    with socket.create_connection(("127.0.0.1", own_redis.port)) as connection:
        connection.sendall(b"CONFIG SET maxmemory-policy allkeys-lru\r\n")
        assert connection.recv(100) == b"+OK\r\n"
    return own_redis.url


def test_services_refuse_a_redis_that_throws_jobs_away(evicting_redis_url):
    """Services refuse to start on a Redis that evicts."""
    settings = {"MILLSTREAM_REDIS_URL": evicting_redis_url, "MILLSTREAM_PORT": str(free_ports(1)[0])}
    for last_line in refused_at_start(settings):
        assert "maxmemory-policy is `allkeys-lru`" in last_line


def refused_at_start(settings: dict[str, str], ingest_settings: dict[str, str] | None = None) -> list[str]:
    """Start all services, and ingest with its own settings as well. Returns: the last line of each."""
    starts = [(service, settings) for service in SERVICES] + ([("ingest", ingest_settings)] if ingest_settings else [])
    with ThreadPoolExecutor() as pool:
        done = list(pool.map(lambda start: run_program(start[0], **start[1]), starts))
    for one in done:
        assert one.returncode == 1, one.stderr
        assert "Traceback" not in one.stderr
    lines = [one.stderr.splitlines()[-1] for one in done]
    assert all(line.startswith("millstream: ") for line in lines)
    return lines


@pytest.fixture
def early(tmp_path) -> Iterator[Callable[[str], dict[str, Early]]]:
    """Return a function that starts all services on a Redis address where nothing listens yet."""
    with ExitStack() as processes:

        def start(url: str) -> dict[str, Early]:
            found = {}
            # Of ingest the admin port as well, which is said before the public one.
            settings = {"MILLSTREAM_REDIS_URL": url, "MILLSTREAM_PORT": "0", "MILLSTREAM_ADMIN_PORT": "0"}
            for service in SERVICES:
                log = tmp_path / f"{service}.log"
                found[service] = Early(processes.enter_context(started_program(service, log=log, **settings)), log)
            return found

        yield start


def waits(service: Early) -> bool:
    """Return whether a service has logged that it finds no Redis, and still runs."""
    said = whole_lines(service.log)
    assert service.process.poll() is None, said
    assert all(line.startswith("{") for line in said), said
    return any("connection to Redis" in line for line in said)


@pytest.mark.parametrize("url", ["redis+sentinel://127.0.0.1:9/main/0", "redis+cluster://127.0.0.1:9"])
def test_services_that_start_before_redis_wait_for_it(early, wait_until, url):
    """Services that start before Redis wait for it, and a signal ends the wait."""
    services = early(url)
    for name, service in services.items():
        wait_until(lambda service=service: waits(service), f"{name} has found no Redis")
    for service in services.values():
        service.process.send_signal(signal.SIGTERM)
    for name, service in services.items():
        assert service.process.wait(60) == 0, name


def test_services_that_start_before_redis_are_ready_once_it_is_there(early, wait_until, tmp_path):
    """Services that started before Redis are ready once it is there, without a restart."""
    [redis_port] = free_ports(1)
    services = early(f"redis://127.0.0.1:{redis_port}")
    for name, service in services.items():
        wait_until(lambda service=service: waits(service), f"{name} has found no Redis")
    with start_embedded_redis(tmp_path / "redis", redis_port):
        for name, service in services.items():
            wait_until(lambda service=service: is_ready(service.url), f"{name} is ready")
        for service in services.values():
            service.process.send_signal(signal.SIGTERM)
        assert {name: service.process.wait(60) for name, service in services.items()} == dict.fromkeys(SERVICES, 0)


def is_ready(url: str) -> bool:
    """Return whether the service at this address is ready."""
    try:
        return httpx2.get(f"{url}/readyz", trust_env=False, timeout=10).status_code == 200
    except httpx2.HTTPError:
        return False
