"""Handlers get the payloads that were submitted, however they are stored, and clients what was returned."""

from typing import Any, Literal

import msgspec
import pytest
from streams.seeds import fields_of
from waiting import wait_until
from workers.deliveries import app as deliveries
from workers.floor import Floor, queue_of_id, queue_of_type
from workers.plant import python_path

from millstream import App, Batch, DeadJob, Retry
from millstream_contracts import Coding, JobId, JobSpec, JobState, new_job_id
from millstream_streams import NewJob
from millstream_streams.store.specs import coded_spec

PAYLOAD = {"text": "to be or not to be " * 200}
LARGE = len(PAYLOAD["text"])


async def submit(floor: Floor, job_type: str, coding: Coding = Coding()) -> JobId:  # noqa: B008 - a value
    """Store a job as ingest would."""
    queue = queue_of_type(job_type)
    spec = JobSpec(payload=msgspec.Raw(msgspec.msgpack.encode(PAYLOAD)), created_at_ms=1)
    job = NewJob(id=new_job_id(queue), spec=msgspec.msgpack.encode(spec), coding=coding)
    await floor.broker.store.enqueue(queue, [job])
    return job.id


@pytest.mark.parametrize("isolation", ["loop", "thread"])
async def test_a_handler_gets_the_payload_and_its_result_is_shown(
    floor: Floor, isolation: Literal["loop", "thread"]
) -> None:
    """A compressed payload reaches the handler, and what it returns is compressed and shown as it was."""
    app = App("shop")
    if isolation == "loop":

        @app.job("echo")
        async def echo(payload: dict[str, str]) -> dict[str, str]:
            return payload
    else:

        @app.job("echo")
        def echo(payload: dict[str, str]) -> dict[str, str]:
            return payload

    await floor.hire(app)
    job_id = await submit(floor, "echo")
    job = await floor.settled(job_id)
    assert (job.state, job.payload, job.result) == (JobState.SUCCEEDED, PAYLOAD, PAYLOAD)
    fields = await fields_of(floor.broker, queue_of_id(job_id), job_id)
    assert len(fields["spec"]) < LARGE / 2
    assert len(fields["result"]) < LARGE / 2


async def test_a_handler_in_a_process_gets_the_payload(floor: Floor, monkeypatch: pytest.MonkeyPatch) -> None:
    """A compressed payload reaches a handler in a process of its own."""
    monkeypatch.setenv("PYTHONPATH", python_path())
    await floor.hire(deliveries, apps=("workers.deliveries:app",))
    job = await floor.settled(await submit(floor, "delivery.echo"))
    assert (job.state, job.result) == (JobState.SUCCEEDED, PAYLOAD)


@pytest.mark.parametrize("compress", [True, False])
async def test_a_type_says_whether_its_results_are_compressed(floor: Floor, compress: bool) -> None:
    """With `compress=False` a result is stored as it is."""
    app = App("shop")

    @app.job("give", compress=compress)
    async def give(payload: Any) -> dict[str, str]:
        return PAYLOAD

    await floor.hire(app)
    job_id = (await floor.run("give", None)).id
    fields = await fields_of(floor.broker, queue_of_id(job_id), job_id)
    assert (len(fields["result"]) < LARGE) is compress


async def test_a_batch_handler_gets_payloads(floor: Floor) -> None:
    """Each item of a batch handler has its payload."""
    seen: list[Any] = []
    app = App("shop")

    @app.batch("gather", size=3, wait=0.05)
    async def gather(jobs: Batch[Any, None]) -> None:
        seen.extend(jobs.payloads)

    await floor.hire(app)
    ids = [await submit(floor, "gather") for _ in range(3)]
    for job_id in ids:
        await floor.settled(job_id)
    assert seen == [PAYLOAD] * 3


async def test_a_dead_letter_tells_of_the_payload(floor: Floor) -> None:
    """The handler of `on_dead` gets the payload that the dead job was submitted with."""
    told: list[DeadJob] = []
    app = App("shop")

    @app.job("alarm")
    async def alarm(letter: DeadJob) -> None:
        told.append(letter)

    @app.job("charge", retry=Retry(max_attempts=1), on_dead=alarm)
    async def charge(payload: Any) -> None:
        raise ValueError("no such card")

    await floor.hire(app)
    await submit(floor, "charge")
    await wait_until(lambda: bool(told), "the dead letter is announced")
    assert told[0].payload == PAYLOAD


@pytest.fixture
def newer() -> bytes:
    """Return a spec whose payload is in a codec that no release has yet."""
    plain = msgspec.msgpack.encode(JobSpec(payload=msgspec.Raw(msgspec.msgpack.encode(PAYLOAD)), created_at_ms=1))
    return coded_spec(plain, lambda payload: msgspec.msgpack.encode(msgspec.msgpack.Ext(91, payload)))


async def test_a_codec_of_a_newer_release_buries_the_job_and_says_why(floor: Floor, newer: bytes) -> None:
    """A job in a codec that no live release knows does not reach its handler, and its error names the codec."""
    ran: list[Any] = []
    app = App("shop")

    @app.job("take")
    async def take(payload: Any) -> None:
        ran.append(payload)

    job_id = await submit(floor, "take")
    await floor.broker.client.hset(floor.broker.keys.of(queue_of_id(job_id)).job(job_id), "spec", newer)
    await floor.hire(app)
    job = await floor.settled(job_id)
    assert (job.state, job.reason, job.payload, ran) == (JobState.DEAD, "invalid_payload", None, [])
    assert job.error is not None
    assert "the codec 91" in job.error.message
