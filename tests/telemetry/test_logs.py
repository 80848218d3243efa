"""Log lines have one format, and never contain a payload."""

import io
import json
import logging
import threading
import warnings

import pytest
import structlog
from opentelemetry.sdk.trace import TracerProvider

from millstream_telemetry import JobTracer, TraceContext, configure_logs, names
from millstream_telemetry.logs.values import MAX_MEMBERS, PlainCopy

pytestmark = pytest.mark.usefixtures("clean_logging")

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self):
        """Return True, as a terminal does."""
        return True


@pytest.fixture
def stream():
    """Return a stream that is no terminal."""
    return io.StringIO()


def lines(stream):
    """Return the log lines written so far."""
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_line_is_one_json_object_when_the_stream_is_no_terminal(stream):
    """A line is one JSON object with the event and its fields when the stream is no terminal."""
    configure_logs("worker", "info", stream)

    structlog.get_logger().info(names.ATTEMPT_FINISHED, job_id="x_001", attempt=2, outcome="ok")

    (line,) = lines(stream)
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "attempt finished",
        "level": "info",
        "service": "worker",
        "job_id": "x_001",
        "attempt": 2,
        "outcome": "ok",
    }
    assert set(line) <= {field.name for field in names.LOG_FIELDS}


def test_line_is_for_eyes_when_the_stream_is_a_terminal():
    """A line is readable text on a terminal."""
    stream = Terminal()
    configure_logs("worker", "info", stream)

    structlog.get_logger().info("worker started", slots=8)

    assert "worker started" in stream.getvalue()
    assert not stream.getvalue().startswith("{")


@pytest.mark.parametrize("logger", ["structlog", "stdlib"])
def test_library_lines_look_the_same(stream, logger):
    """Lines that libraries log through `logging` have the same stream and format."""
    configure_logs("ingest", "info", stream)

    if logger == "stdlib":
        logging.getLogger("some.library").info("GET %s", "/v1/jobs")
    else:
        structlog.get_logger().info("GET /v1/jobs")

    (line,) = lines(stream)
    assert (line["event"], line["level"], line["service"]) == ("GET /v1/jobs", "info", "ingest")
    assert line.get("logger") == ("some.library" if logger == "stdlib" else None)


def test_level_holds_for_both_kinds_of_loggers(stream):
    """No line below the level is written, by us or by a library."""
    configure_logs("ingest", "warning", stream)

    structlog.get_logger().info("quiet")
    logging.getLogger("lib").info("quiet")
    structlog.get_logger().warning("loud")
    logging.getLogger("lib").warning("loud")

    assert [line["event"] for line in lines(stream)] == ["loud", "loud"]


@pytest.mark.parametrize("library", ["httpx2", "httpcore2", "httpx", "httpcore", "alembic"])
def test_request_lines_of_the_http_client_are_left_out(stream, library):
    """The lines of the HTTP client about each request are left out at `info`."""
    configure_logs("worker", "info", stream)

    logging.getLogger(library).info("HTTP Request: GET ...")

    assert lines(stream) == []


@pytest.mark.parametrize("field", ["payload", "result", "body", "spec"])
def test_payload_is_struck_from_a_line(stream, field):
    """A payload is removed from a line."""
    configure_logs("worker", "info", stream)

    structlog.get_logger().info("submitted", **{field: {"card": "4111"}})

    assert "4111" not in stream.getvalue()


@pytest.mark.parametrize("make_stream", [io.StringIO, Terminal])
def test_traceback_shows_no_local_variables(make_stream):
    """A traceback shows no local variables, which may be a payload."""
    stream = make_stream()
    configure_logs("worker", "info", stream)

    def handler(payload):
        raise ValueError("bad invoice")

    try:
        handler("secret-" + "4111")
    except ValueError:
        structlog.get_logger().exception("attempt failed")

    assert "bad invoice" in stream.getvalue()
    assert "secret-4111" not in stream.getvalue()


def test_line_carries_the_current_span(stream):
    """A line has the ids of the current span, recorded or not."""
    configure_logs("worker", "info", stream)
    provider = TracerProvider(shutdown_on_exit=False)
    stored = TraceContext(f"00-{TRACE}-{SPAN}-00")

    with JobTracer(provider).attempt("email.send", "x_001", stored, attempt=1, delivery=1):
        structlog.get_logger().info("inside")
        logging.getLogger("lib").warning("inside too")
    structlog.get_logger().info("outside")

    inside, inside_too, outside = lines(stream)
    assert (inside["trace_id"], inside["span_id"]) == (TRACE, SPAN)
    assert (inside_too["trace_id"], inside_too["span_id"]) == (TRACE, SPAN)
    assert "trace_id" not in outside


def test_odd_values_never_fail_the_caller(stream):
    """A value that cannot be encoded fails no log call."""
    configure_logs("worker", "info", stream)

    structlog.get_logger().info("odd", thing=object(), lone="\ud800", pair={("a", 1): 2}, big=1 << 80)

    (line,) = lines(stream)
    assert line["service"] in {"worker", "'worker'"}


def test_lines_of_many_threads_stay_whole(stream):
    """The lines of many threads do not mix."""
    configure_logs("worker", "info", stream)

    def log(number):
        for _ in range(100):
            structlog.get_logger().info("line", number=number)
            logging.getLogger("lib").info("line")

    threads = [threading.Thread(target=log, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(lines(stream)) == 800


def test_request_lines_of_the_http_client_are_written_at_debug(stream):
    """The lines of the HTTP client about each request are written at `debug`."""
    configure_logs("worker", "debug", stream)

    logging.getLogger("httpcore").info("connected")

    assert [line["event"] for line in lines(stream)] == ["connected"]


def test_a_warning_of_python_is_a_line(stream):
    """A warning of Python is a line of the log."""
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        configure_logs("worker", "info", stream)
        warnings.warn("this is old", DeprecationWarning, stacklevel=1)

    (line,) = lines(stream)
    assert "this is old" in line["event"]


def test_a_second_configuration_replaces_the_first(stream):
    """A second configuration of the log replaces the first, so that each line is written once."""
    configure_logs("worker", "info", stream)
    configure_logs("worker", "info", stream)
    logging.getLogger("lib").info("once")

    assert len(lines(stream)) == 1


@pytest.mark.parametrize("value", [list(range(5_000)), {n: n for n in range(5_000)}, [[n] * 10 for n in range(5_000)]])
def test_a_copy_has_a_bounded_number_of_members(value):
    """The copy of a value for the log has a bounded number of members."""
    assert count_members(PlainCopy().of(value)) <= MAX_MEMBERS


def count_members(value):
    """Return the number of members of a value, those of its members included."""
    members = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return len(members) + sum(map(count_members, members))
