"""A service announces in its log where it listens, and its supervisor reads that."""

import io

import pytest

from millstream_runtime import AdminServer, HealthReport, announce, read_announcement, serve_admin
from millstream_telemetry import MetricRegistry, configure_logs


@pytest.mark.parametrize("level", ["info", "error"])
def test_a_port_that_was_chosen_is_announced_at_every_level(level) -> None:
    """A port that the system chose is announced at every log level, because it is known nowhere else."""
    log = io.StringIO()
    configure_logs("reaper", level, log)
    announce("admin", "127.0.0.1", 4711, was_chosen=True)
    (line,) = log.getvalue().splitlines()
    found = read_announcement(line)
    assert (found.event, found.host, found.port) == ("admin", "127.0.0.1", 4711)


def test_a_port_that_was_given_is_announced_as_any_other_line_at_info() -> None:
    """A port that the settings gave is announced at `info`."""
    log = io.StringIO()
    configure_logs("reaper", "error", log)
    announce("listening", "127.0.0.1", 4711, was_chosen=False)
    assert log.getvalue() == ""


def test_the_admin_server_announces_the_port_that_it_took() -> None:
    """The admin server announces the port that it listens on."""
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
    """An announcement of a server on all addresses has the URL of the loopback address."""
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
    """Any other line of a log is read as no announcement."""
    assert read_announcement(line) is None
