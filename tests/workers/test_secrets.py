"""What a handler says of a secret of its job is masked: in errors, log lines, notes and traces."""

import base64
import io
import logging
import os
from collections.abc import Iterator
from typing import Literal

import pytest
import structlog
from msgspec import Struct
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from workers.floor import Floor
from workers.plant import python_path
from workers.shop import app as shop
from workers.spans import TRACEPARENT
from workers.test_log_lines import run
from workers.upkeep_app import app as upkeep
from workers.worker_logs import worker_logs

from millstream import App, Batch, Context, Dead, Discard, Retry, Secret
from millstream_contracts import MASK, JobState
from millstream_runtime import Secret as SettingsSecret
from millstream_telemetry import JobTracer

CANARY = "canary-4711"
ONCE = Retry(max_attempts=1)


class Login(Struct):
    """A payload with a secret."""

    how: str
    password: Secret[str]


app = App("vault")


def end(login: Login) -> None:
    """End an attempt with the secret in a text."""
    structlog.get_logger().info("trying %s", login.password, given=[login.password])
    try:
        {}[login.password]
    except KeyError as error:
        logging.getLogger("library").exception("no %s", login.password)
        match login.how:
            case "dead":
                raise Dead(f"wrong {login.password}") from error
            case "discard":
                raise Discard(f"wrong {login.password}") from error
        raise ValueError(f"wrong {login.password}") from error


@app.job("loop", retry=ONCE)
async def on_loop(login: Login, ctx: Context) -> None:
    """Fail on the loop."""
    ctx.progress(50.0, f"with {login.password}")
    end(login)


@app.job("thread", retry=ONCE)
def in_thread(login: Login) -> None:
    """Fail in a thread."""
    end(login)


@app.batch("batch", size=2, wait=30, retry=ONCE)
async def batch(items: Batch[Login, None]) -> None:
    """Say of the whole call what is secret of each of its jobs."""
    structlog.get_logger().info("trying", given=[item.payload.password for item in items])
    raise ValueError(f"wrong {[item.payload.password for item in items]}")


@app.job("strict", retry=ONCE)
async def strict(colour: Secret[Literal["red"]]) -> None:
    """Take one value."""


@pytest.fixture(autouse=True)
def log() -> Iterator[io.StringIO]:
    """Have logs as a worker has them. Yields: what is written."""
    with worker_logs() as stream:
        yield stream


@pytest.mark.parametrize("where", ["loop", "thread"])
@pytest.mark.parametrize("how", ["fail", "dead", "discard"])
async def test_no_text_of_an_attempt_has_the_secret(floor: Floor, log: io.StringIO, where: str, how: str) -> None:
    """Message, traceback, reason, note, log and log lines of an attempt have a mask, and all else."""
    await floor.hire(app, log_lines_bytes=8_192, log_error_messages=True)
    ended = await run(floor, where, {"how": how, "password": CANARY})
    job = await floor.job(ended.id)
    assert CANARY not in repr(ended)
    assert CANARY not in repr((job.error, job.reason, job.progress))
    assert (job.state is JobState.CANCELLED) == (how == "discard")
    assert f"wrong {MASK}" in repr((job.error, job.reason))
    if job.error is not None:
        assert "KeyError" in job.error.traceback
        assert ended.log_lines is not None
        assert [line.message for line in ended.log_lines.lines] == [f"trying {MASK}", f"no {MASK}"]
    if where == "loop":
        assert job.progress is not None
        assert job.progress.note == f"with {MASK}"
    written = log.getvalue()
    assert CANARY not in written
    assert f"trying {MASK}" in written
    assert "KeyError" in written


@pytest.mark.parametrize("how", ["fail", "dead", "discard"])
async def test_no_text_of_an_attempt_in_a_process_has_the_secret(
    floor: Floor, log: io.StringIO, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], how: str
) -> None:
    """A handler in a process has its secrets masked in its error, reason, note, log and log lines, as on the loop."""
    monkeypatch.setenv("PYTHONPATH", python_path())
    monkeypatch.setenv("UPKEEP_WORKER", str(os.getpid()))
    await floor.hire(upkeep, apps=("workers.upkeep_app:app",), log_lines_bytes=8_192, log_error_messages=True)
    ended = await run(floor, "upkeep.secret", {"how": how, "password": CANARY})
    job = await floor.job(ended.id)
    assert CANARY not in repr((ended, job.error, job.reason, job.progress))
    assert f"wrong {MASK}" in repr((job.error, job.reason))
    assert job.progress is not None
    assert job.progress.note == f"with {MASK}"
    if how != "discard":
        assert ended.log_lines is not None
        assert [line.message for line in ended.log_lines.lines] == [f"trying {MASK}"]
    written = log.getvalue() + capfd.readouterr().err
    assert CANARY not in written
    assert f"trying {MASK}" in written


async def test_call_of_a_batch_handler_has_no_secret_of_any_of_its_jobs(floor: Floor, log: io.StringIO) -> None:
    """What a batch handler says of all its jobs has the secrets of none."""
    await floor.hire(app, log_lines_bytes=8_192, log_error_messages=True)
    passwords = [CANARY, f"another {CANARY}"]
    ids = await floor.submit_many("batch", [{"how": "fail", "password": one} for one in passwords])
    for job_id in ids:
        job = await floor.settled(job_id)
        assert job.error is not None
        assert CANARY not in repr(job.error)
    assert CANARY not in log.getvalue()


async def test_payload_that_cannot_be_decoded_is_not_quoted(floor: Floor, log: io.StringIO) -> None:
    """The error of a payload that its handler does not take has no value of it."""
    await floor.hire(app, log_error_messages=True)
    job = await floor.run("strict", CANARY)
    assert (job.state, job.reason) == (JobState.DEAD, "invalid_payload")
    assert CANARY not in repr(job.error) + log.getvalue()


async def test_process_of_a_handler_hides_secrets_too(floor: Floor, monkeypatch: pytest.MonkeyPatch) -> None:
    """A handler in a process of its own leaves no secret in its error and its lines."""
    monkeypatch.setenv("PYTHONPATH", python_path())
    await floor.hire(shop, apps=("workers.shop:app",), concurrency=1, log_lines_bytes=8_192)
    ended = await run(floor, "process.secret", CANARY)
    assert CANARY not in repr(ended)
    assert ended.error is not None
    assert ended.error.message == f"wrong {MASK}"
    assert ended.log_lines is not None
    assert [line.message for line in ended.log_lines.lines] == [f"trying {MASK}"]


@pytest.mark.parametrize("where", ["loop", "thread"])
async def test_spans_have_no_secret(
    floor: Floor, tracer: JobTracer, exporter: InMemorySpanExporter, where: str
) -> None:
    """The spans of an attempt tell its exception without the secret."""
    await floor.hire(app, tracer=tracer)
    await floor.run(where, {"how": "fail", "password": CANARY}, traceparent=TRACEPARENT)
    spans = exporter.get_finished_spans()
    told = "".join(span.to_json() for span in spans)
    assert "ValueError" in told
    assert CANARY not in told


async def test_spans_of_an_encrypted_type_have_no_text_of_an_error(
    floor: Floor, tracer: JobTracer, exporter: InMemorySpanExporter
) -> None:
    """What is stored encrypted is not told to a trace: the span of a handler has the type of its error alone."""
    hidden = App("hidden")

    @hidden.job("pay", encrypted=True, retry=ONCE)
    async def pay(word: str) -> None:
        raise ValueError(word)

    keys = "kek1:" + base64.b64encode(b"1" * 32).decode()
    await floor.hire(hidden, tracer=tracer, encryption_keys=SettingsSecret(keys))
    await floor.run("pay", CANARY, traceparent=TRACEPARENT)
    told = "".join(span.to_json() for span in exporter.get_finished_spans())
    assert "ValueError" in told
    assert CANARY not in told
