"""The admin server answers probes and scrapes over HTTP."""

import gc
import http.client
import socket

import httpx2
import pytest
import structlog.testing

from millstream_runtime import AdminBindError, AdminServer, Health, HealthCheck, HealthReport
from millstream_runtime.admin import REQUEST_TIMEOUT_S
from millstream_telemetry import IngestMetrics, MetricRegistry

WELL = Health.of([HealthCheck("redis", ok=True)])
ILL = Health.of([HealthCheck("redis", ok=False, detail="no answer for 12 s"), HealthCheck("loop", ok=True)])


class Patient:
    """A service whose health the test decides."""

    def __init__(self):
        self.live = WELL
        self.ready = WELL


@pytest.fixture
def patient():
    """Return a service that is well."""
    return Patient()


@pytest.fixture
def registry():
    """Return a registry that knows one job type."""
    registry = MetricRegistry()
    registry.register_types(["email.send"])
    return registry


@pytest.fixture
def server(patient, registry):
    """Yield a server that reports on the patient."""
    report = HealthReport("worker", live=lambda: patient.live, ready=lambda: patient.ready)
    with AdminServer("127.0.0.1", 0, registry=registry, report=report) as server:
        yield server


@pytest.fixture
def client(server):
    """Yield a client of the server."""
    with httpx2.Client(base_url=f"http://127.0.0.1:{server.port}", trust_env=False) as client:
        yield client


def test_metrics_are_plain_prometheus_text(client, registry):
    """A scrape without `Accept` gets the plain Prometheus text."""
    IngestMetrics(registry).count_submitted("email.send", "accepted", 3)

    answer = client.get("/metrics")

    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert 'millstream_jobs_submitted_total{outcome="accepted",type="email.send"} 3.0' in answer.text


def test_metrics_are_openmetrics_when_asked_for(client):
    """A scrape that asks for OpenMetrics gets it, with exemplars."""
    answer = client.get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})

    assert answer.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    assert answer.text.endswith("# EOF\n")


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/health"])
def test_probe_answers_200_when_well(client, path):
    """A probe of a service that is well is answered with 200."""
    answer = client.get(path)

    assert (answer.status_code, answer.json()["ok"]) == (200, True)
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(("path", "status"), [("/livez", 200), ("/readyz", 503), ("/health", 503)])
def test_probe_answers_503_with_the_reason_when_not_ready(client, patient, path, status):
    """A service that is not ready answers 503 with the reason at `/readyz`, and 200 at `/livez`."""
    patient.ready = ILL

    answer = client.get(path)

    assert answer.status_code == status
    assert ("no answer for 12 s" in answer.text) == (status == 503)


def test_livez_names_every_check(client, patient):
    """`/livez` lists every check with its result."""
    patient.live = ILL

    assert client.get("/livez").json() == {
        "ok": False,
        "checks": [
            {"name": "redis", "ok": False, "detail": "no answer for 12 s"},
            {"name": "loop", "ok": True},
        ],
    }


def test_health_is_an_overview_for_people(client):
    """`/health` lists both kinds of checks, the name of the service and its uptime."""
    overview = client.get("/health?pretty").json()

    assert overview["service"] == "worker"
    assert overview["uptime_s"] >= 0
    assert overview["live"] == overview["ready"] == [{"name": "redis", "ok": True}]


def test_other_path_is_a_problem_that_says_what_is_there(client):
    """An unknown path is answered with a problem that lists the known paths."""
    answer = client.get("/")

    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert "/metrics" in answer.json()["detail"]


def test_head_sends_no_body(server):
    """HEAD is answered without a body, which a balancer would take for the next response."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(b"HEAD /livez HTTP/1.0\r\n\r\n")
        answer = b"".join(iter(lambda: connection.recv(4096), b""))

    assert answer.startswith(b"HTTP/1.0 200 ")
    assert b"\r\nContent-Length: " in answer
    assert answer.endswith(b"\r\n\r\n")


def test_a_silent_connection_is_closed(patient, registry):
    """A connection that sends nothing is closed, because it occupies a thread."""
    report = HealthReport("worker", live=lambda: WELL, ready=lambda: WELL)
    with (
        AdminServer("127.0.0.1", 0, registry=registry, report=report, request_timeout_s=0.05) as server,
        socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection,
    ):
        assert connection.recv(1) == b""
    assert 1.0 <= REQUEST_TIMEOUT_S <= 60.0


async def test_server_answers_while_the_event_loop_is_blocked(server):
    """The admin server answers while the event loop is blocked."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    try:
        connection.request("GET", "/livez")
        # No await between here and the answer: the loop of this test stands still.
        assert connection.getresponse().read().startswith(b"{")
    finally:
        connection.close()


def test_failing_check_answers_nothing_and_the_server_lives_on(client, patient, monkeypatch):
    """A check that raises leaves its probe without a response and is logged, and the next probe is answered."""
    monkeypatch.setattr(patient, "live", None)
    with structlog.testing.capture_logs() as logs, pytest.raises(httpx2.RemoteProtocolError):
        client.get("/livez")

    assert [(entry["event"], entry["log_level"], entry["exc_info"]) for entry in logs] == [
        ("admin request failed", "warning", True)
    ]
    assert client.get("/readyz").status_code == 200


def test_taken_port_is_one_clear_sentence(server, registry):
    """The error about a port in use names the port and its purpose."""
    report = HealthReport("worker", live=lambda: WELL, ready=lambda: WELL)

    words = f"127.0.0.1:{server.port} for health and metrics: Address already in use"
    with pytest.raises(AdminBindError, match=words):
        AdminServer("127.0.0.1", server.port, registry=registry, report=report)


def test_close_frees_the_port_and_leaves_nothing_open(registry):
    """Closing the server frees its port at once and leaves no socket open."""
    report = HealthReport("worker", live=lambda: WELL, ready=lambda: WELL)
    first = AdminServer("127.0.0.1", 0, registry=registry, report=report)
    httpx2.get(f"http://127.0.0.1:{first.port}/livez", trust_env=False)
    first.close()
    first.close()

    second = AdminServer("127.0.0.1", first.port, registry=registry, report=report)
    second.close()
    gc.collect()

    with pytest.raises(httpx2.ConnectError):
        httpx2.get(f"http://127.0.0.1:{first.port}/livez", trust_env=False)


def test_server_listens_on_ipv6_too(registry):
    """A host with a colon is listened on as an IPv6 address."""
    report = HealthReport("worker", live=lambda: WELL, ready=lambda: WELL)
    try:
        server = AdminServer("::1", 0, registry=registry, report=report)
    except AdminBindError as error:
        pytest.skip(str(error))
    with server:
        assert httpx2.get(f"http://[::1]:{server.port}/livez", trust_env=False).status_code == 200
