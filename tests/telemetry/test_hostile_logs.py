"""A log call never raises in its caller, whatever its values, its arguments or its stream."""

import contextvars
import errno
import io
import json
import logging
import os
import subprocess
import sys
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import structlog
from hostile_values import HOSTILE, OddError, Panic, Raising, Recipe, circle, recipes
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from millstream_telemetry import configure_logs
from millstream_telemetry.logs.rendering import MAX_LINE_CHARS

pytestmark = pytest.mark.usefixtures("clean_logging")

LOGGED = "after it"
LONGEST = MAX_LINE_CHARS + 1_000


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        """Return True, as a terminal does."""
        return True


def json_lines(stream: io.StringIO) -> list[dict[str, Any]]:
    """Return the lines written so far."""
    return [json.loads(line) for line in stream.getvalue().split("\n")[:-1]]


@pytest.fixture(params=["json", "terminal"])
def stream(request: pytest.FixtureRequest) -> io.StringIO:
    """Return a stream of each kind for the log lines."""
    made = io.StringIO() if request.param == "json" else Terminal()
    configure_logs("worker", "info", made)
    return made


def made(fields: dict[str, Recipe]) -> dict[str, Any]:
    """Return the values of these recipes."""
    return {name: recipe.make() for name, recipe in fields.items()}


def fail(cause: BaseException | None) -> None:
    """Raise an exception whose text cannot be read."""
    raise OddError from cause


def said(stream: io.StringIO, word: str) -> bool:
    """Return whether the stream contains this word, in lines of a bounded length."""
    text = stream.getvalue()
    assert all(len(line) < LONGEST for line in text.split("\n"))
    return word in text


@pytest.mark.parametrize("name", sorted(HOSTILE))
def test_a_field_that_cannot_be_rendered_costs_neither_the_caller_nor_the_other_fields(
    stream: io.StringIO, name: str
) -> None:
    """A field that cannot be rendered raises nothing, and the line has the other fields."""
    structlog.get_logger().bind(bound=HOSTILE[name]()).info("looked at", thing=HOSTILE[name](), other="fine")

    assert said(stream, "looked at")
    assert said(stream, "fine")
    assert said(stream, "thing")


@pytest.mark.parametrize("name", sorted(HOSTILE))
def test_a_library_can_log_anything(stream: io.StringIO, name: str, capfd: pytest.CaptureFixture[str]) -> None:
    """A library may log any message and arguments, also in the wrong number, without output beside the log."""
    log = logging.getLogger("some.library")
    log.info(HOSTILE[name]())
    log.info("about %s", HOSTILE[name]())
    log.info("about %d and %s", HOSTILE[name]())  # noqa: PLE1206
    log.info("%s and %s", HOSTILE[name](), 1)
    log.info("about %(thing)s", {"thing": HOSTILE[name]()})
    log.info(LOGGED)

    assert said(stream, LOGGED)
    assert len(stream.getvalue().split("\n")[:-1]) >= 6
    assert capfd.readouterr() == ("", "")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None)
@given(fields=st.dictionaries(st.text(max_size=8), recipes(), max_size=5), event=recipes())
def test_every_line_of_json_is_one_object(fields: dict[str, Recipe], event: Recipe) -> None:
    """Every line of a JSON log is one object, whatever is logged."""
    stream = io.StringIO()
    configure_logs("worker", "info", stream)
    log = structlog.get_logger()

    log.info(event.make(), **made(fields))
    log.bind(**made(fields)).warning("bound")
    log.info("%s %d", event.make(), event.make())
    logging.getLogger("lib").info(event.make(), *made(fields).values())

    lines = json_lines(stream)
    assert len(lines) == 4
    assert {line["service"] for line in lines} == {"worker"}
    assert all(len(line) <= LONGEST for line in stream.getvalue().split("\n")[:-1])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None)
@given(fields=st.dictionaries(st.text(max_size=8), recipes(), max_size=3), event=recipes())
def test_a_terminal_shows_whatever_is_logged(fields: dict[str, Recipe], event: Recipe) -> None:
    """A terminal gets a line for whatever is logged."""
    stream = Terminal()
    configure_logs("worker", "info", stream)

    structlog.get_logger().info(event.make(), **made(fields))
    logging.getLogger("lib").info(event.make(), *made(fields).values())
    structlog.get_logger().info(LOGGED)

    assert said(stream, LOGGED)


@pytest.mark.parametrize("make", [OddError, circle, lambda: Raising(Panic()), lambda: ExceptionGroup("g", [circle()])])
def test_an_exception_is_logged_whatever_its_text_does(stream: io.StringIO, make: Callable[[], Any]) -> None:
    """An exception is logged with its traceback, or with a note that it has none, whatever its text does."""
    logging.getLogger().handlers[:] = logging.getLogger().handlers[:1]  # those of pytest cannot cope
    error = make()
    for asked in (error, (type(error), error, None)):
        structlog.get_logger().error("failed", exc_info=asked)
    try:
        fail(circle())
    except OddError:
        structlog.get_logger().exception("raised")
        logging.getLogger("lib").exception("raised there")

    for word in ("failed", "raised", "raised there", "OddError"):
        assert said(stream, word)


def test_a_line_that_is_too_long_is_cut_and_keeps_what_finds_it(stream: io.StringIO) -> None:
    """A line that is too long is cut, and keeps the fields by which it is found."""
    log = structlog.get_logger()
    log.info("long", job_id="x_001", thing="y" * 1_000_000)
    log.info("wide", job_id="x_002", **{f"field_{number}": "z" * 1_000 for number in range(1_000)})
    log.error("deep", job_id="x_003", exception="q" * 100_000 + "the cause")

    for word in ("x_001", "x_002", "x_003", "long", "wide", "the cause", "left"):
        assert said(stream, word)


@pytest.mark.parametrize(
    "call",
    [
        lambda log: log.info(),
        lambda log: log.info("%d", "x"),
        lambda log: log.info("%s"),
        lambda log: log.info("none", "too many"),  # noqa: PLE1205
        lambda log: log.info(5, "five"),
        lambda log: log.info(event="by name"),
        lambda log: log.info("twice", event="by name", self=1, level="mine", _record=2, timestamp=None),
        lambda log: log.log(25, "between two levels"),
        lambda log: log.log("info", "a level by name"),
        lambda log: log.log(10**9, "above all levels"),
        lambda log: log.exception("no exception"),  # noqa: LOG004
        lambda log: log.error("nonsense", exc_info="nonsense"),  # noqa: LOG014
        lambda log: log.error("nonsense", exc_info=Raising(Panic())),
        lambda log: log.error("nonsense", exc_info=(1,)),
    ],
)
def test_a_call_with_the_wrong_arguments_is_a_line_all_the_same(
    stream: io.StringIO, call: Callable[[Any], None]
) -> None:
    """A log call with the wrong arguments is a line, and no error."""
    call(structlog.get_logger())

    assert len(stream.getvalue().split("\n")[:-1]) >= 1


async def test_the_coroutines_of_a_logger_write_as_well(stream: io.StringIO) -> None:
    """`ainfo` and its like write a line for values and arguments of any kind, too."""
    log = structlog.get_logger()
    await log.ainfo("said %d", "x", thing=HOSTILE["panics"]())
    try:
        fail(None)
    except OddError:
        await log.aexception("raised")

    for word in ("said", "raised", "OddError"):
        assert said(stream, word)


def test_a_line_below_the_level_is_not_rendered() -> None:
    """The fields of a line below the level are not rendered."""
    stream = io.StringIO()
    configure_logs("worker", "warning", stream)
    log = structlog.get_logger()

    log.info(event="x", thing=Raising(KeyboardInterrupt()))
    log.debug("%d", "x")
    log.log(20, "x")

    assert not stream.getvalue()


def test_a_span_that_cannot_be_asked_costs_its_ids_only(stream: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    """A processor of ours that fails costs the line its own fields only, and the line says so."""

    def fail() -> Any:
        raise Panic

    monkeypatch.setattr("millstream_telemetry.logs.setup.get_current_span", fail)
    structlog.get_logger().info("still said")
    logging.getLogger("lib").info("said there")

    assert said(stream, "still said")
    assert said(stream, "said there")
    assert said(stream, "Panic")


def test_a_keyboard_interrupt_gets_through(stream: io.StringIO) -> None:
    """A KeyboardInterrupt ends a program also while it writes its log."""
    with pytest.raises(KeyboardInterrupt):
        structlog.get_logger().info("x", thing=Raising(KeyboardInterrupt()))


def test_warnings_of_any_kind_are_lines(stream: io.StringIO) -> None:
    """Warnings of any kind become lines through `logging`."""
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=False)
        logging.captureWarnings(capture=True)
        warnings.warn("watch\ud800 out", stacklevel=1)

    assert said(stream, "py.warnings")


class Broken(io.StringIO):
    """A stream that raises on each write while it is broken."""

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error: BaseException | None = error

    def flush(self) -> None:
        """Raise while the stream is broken."""
        if self.error is not None:
            self.truncate(0)
            self.seek(0)
            raise self.error


@pytest.mark.parametrize(
    "error",
    [
        BrokenPipeError(errno.EPIPE, "broken pipe"),
        OSError(errno.ENOSPC, "no space left"),
        OSError(errno.EBADF, "bad file descriptor"),
        BlockingIOError(errno.EAGAIN, "would block"),
        ValueError("I/O operation on closed file"),
        Panic(),
    ],
)
def test_a_stream_that_takes_nothing_loses_lines_and_later_says_how_many(error: BaseException) -> None:
    """A stream that takes nothing loses lines without an error, and their number is logged later."""
    stream = Broken(error)
    configure_logs("worker", "info", stream)
    log = structlog.get_logger()
    log.info("lost")
    logging.getLogger("lib").info("lost too")
    stream.error = None
    log.info("heard")
    log.info("heard again")

    first, gap, last = json_lines(stream)
    assert (first["event"], last["event"]) == ("heard", "heard again")
    assert (gap["event"], gap["lines"], gap["level"], gap["service"]) == ("log lines lost", 2, "warning", "worker")


def test_a_closed_file_descriptor_fails_no_line() -> None:
    """A closed file descriptor, as a handler may leave it, raises no error."""
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as stream:
        configure_logs("worker", "info", stream)
        structlog.get_logger().info("into a broken pipe")
        logging.getLogger("lib").info("into a broken pipe")
        configure_logs("worker", "info", io.StringIO())
        replacement = os.open(os.devnull, os.O_WRONLY)
        os.dup2(replacement, writing)  # what was not written is flushed when it is closed
        os.close(replacement)


@pytest.mark.parametrize("errors", ["strict", "backslashreplace"])
def test_a_stream_that_knows_few_letters_gets_the_others_escaped(errors: str) -> None:
    """A stream of ASCII gets other characters escaped."""
    raw = io.BytesIO()
    configure_logs("worker", "info", io.TextIOWrapper(raw, encoding="ascii", errors=errors))

    structlog.get_logger().info("für Köln")

    assert json.loads(raw.getvalue())["event"] == "für Köln"


FORKING = """
import io, os, sys, threading
import structlog
from millstream_telemetry import configure_logs
written, held = threading.Event(), threading.Event()
class Slow(io.StringIO):
    def write(self, text):
        if "slow" in text:
            held.set()
            written.wait(60)
        return len(text)
configure_logs("worker", "info", Slow())
threading.Thread(target=structlog.get_logger().info, args=("slow",), daemon=True).start()
held.wait(60)
child = os.fork()
structlog.get_logger().info("quick") if child == 0 else None
os._exit(0) if child == 0 else written.set()
sys.exit(os.waitpid(child, 0)[1])
"""


def test_a_forked_process_can_log_though_another_thread_was_writing() -> None:
    """A forked process can log although another thread held the lock of the log."""
    assert subprocess.run([sys.executable, "-Wignore", "-c", FORKING], timeout=60, check=False).returncode == 0


def test_bindings_of_the_context_are_rendered_like_any_field(stream: io.StringIO) -> None:
    """Bindings of the context are rendered like any field, whatever a handler has bound."""

    def bound() -> None:
        structlog.contextvars.bind_contextvars(customer=HOSTILE["panics"](), city="Bonn")
        structlog.get_logger().info("inside")
        logging.getLogger("lib").info("inside too")

    contextvars.copy_context().run(bound)

    for word in ("Bonn", "customer", "inside too"):
        assert said(stream, word)


def test_a_payload_is_struck_also_from_a_line_that_cannot_be_rendered(stream: io.StringIO) -> None:
    """A payload is removed also from a line that cannot be rendered."""
    structlog.get_logger().info("x", payload={"card": "4111"}, thing=HOSTILE["panics"]())

    assert not said(stream, "4111")


def test_a_number_of_an_odd_length_is_told_by_its_length() -> None:
    """An integer that Python refuses to print is logged by its length."""
    stream = io.StringIO()
    configure_logs("worker", "info", stream)
    structlog.get_logger().info("x", huge=10**5000, big=2**80, small=7)

    (line,) = json_lines(stream)
    assert (line["small"], line["big"]) == (7, 2**80)
    assert "bits" in line["huge"]
    assert sys.get_int_max_str_digits() > 0
