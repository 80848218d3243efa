"""Where a service listens, as its log says and its supervisor reads."""

import io

import pytest

from millstream_runtime import AdminServer, HealthReport, announce, read_announcement, serve_admin
from millstream_telemetry import MetricRegistry, configure_logs


@pytest.mark.parametrize("level", ["info", "error"])
def test_a_port_that_was_chosen_is_announced_at_every_level(level) -> None:
    """It is known nowhere else, so a supervisor finds it whatever is logged besides."""
    log = io.StringIO()
    configure_logs("reaper", level, log)
    announce("admin", "127.0.0.1", 4711, was_chosen=True)
    (line,) = log.getvalue().splitlines()
    found = read_announcement(line)
    assert (found.event, found.host, found.port) == ("admin", "127.0.0.1", 4711)


def test_a_port_that_was_given_is_announced_as_any_other_line_at_info() -> None:
    """A log at `error` holds errors alone."""
    log = io.StringIO()
    configure_logs("reaper", "error", log)
    announce("listening", "127.0.0.1", 4711, was_chosen=False)
    assert log.getvalue() == ""


def test_the_admin_server_announces_the_port_that_it_took() -> None:
    """With port 0 the line says where `/metrics` is."""
    log = io.StringIO()
    configure_logs("reaper", "error", log)
    report = HealthReport.waiting_for("reaper", "redis", lambda: "")
    with serve_admin("127.0.0.1", 0, registry=MetricRegistry(), report=report) as server:
        assert isinstance(server, AdminServer)
        assert read_announcement(log.getvalue()).port == server.port > 0


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:80"),
        ("0.0.0.0", "http://127.0.0.1:80"),
        ("::", "http://[::1]:80"),
        ("::1", "http://[::1]:80"),
        ("10.0.0.7", "http://10.0.0.7:80"),
    ],
)
def test_an_announcement_has_a_url_for_clients_on_this_machine(host, url) -> None:
    """A server that listens on all addresses is reached by the loopback one."""
    assert read_announcement(f'{{"event":"admin","host":"{host}","port":80}}').url == url


@pytest.mark.parametrize(
    "line",
    [
        "",
        "Traceback (most recent call last):",
        '{"event":"started"}',
        '{"event":"admin","host":"h"}',
        '{"event":"admin","host":"h","port":"80"}',
        '["admin"]',
    ],
)
def test_any_other_line_announces_nothing(line) -> None:
    """A service logs much besides, and what it inherits prints what it likes."""
    assert read_announcement(line) is None
