"""Payloads and results that are stored compressed are read as they were, by everything that reads jobs."""

from typing import Any

import msgspec
import pytest
from streams.seeds import TTL_MS, commit, events, fields_of, job_of, new_job, seed_dead, seed_running, take_one

from millstream_codec import MARK, Codec, Keyring, LocalKeys, UnknownCodecError
from millstream_contracts import Coding, Dead, JobError, JobSpec, KeptLine, KeptLines, Queue, Succeeded, WorkflowId
from millstream_streams import (
    HISTORY_GROUP,
    Broker,
    Commit,
    CommitCode,
    NewSpec,
    NodeRef,
    Told,
    open_broker,
    opened,
    with_payload,
)
from millstream_streams.reading.consumers import make_group
from millstream_streams.store.specs import UNREADABLE, coded_spec, read_spec

PAYLOAD = {"text": "to be or not to be " * 200}
ENCODED = msgspec.msgpack.encode(PAYLOAD)
SMALLER = len(ENCODED) // 2


async def seed_coded(broker: Broker, queue: Queue, payload: Any = PAYLOAD) -> Any:
    """Store and claim a job whose payload may be compressed."""
    await broker.store.enqueue(queue, [new_job(queue, payload, coding=Coding())])
    return await take_one(broker, queue)


async def test_a_large_payload_is_stored_small_and_shown_whole(broker: Broker, queue: Queue) -> None:
    """Redis has a compressed payload, workers and readers the one that was submitted."""
    delivery = await seed_coded(broker, queue)
    stored = (await fields_of(broker, queue, delivery.id))["spec"]
    assert len(stored) < SMALLER
    assert opened(delivery.spec.payload) == ENCODED
    assert (await job_of(broker, queue, delivery.id)).payload == PAYLOAD
    [found] = (await broker.views.stored_specs(queue, [delivery.id])).values()
    assert found.payload == ENCODED


async def test_a_small_payload_is_stored_as_ever(broker: Broker, queue: Queue) -> None:
    """What is not compressed is stored as by a release without compression."""
    delivery = await seed_coded(broker, queue, {"id": 7})
    stored = (await fields_of(broker, queue, delivery.id))["spec"]
    assert msgspec.msgpack.decode(stored)[0] == {"id": 7}


async def test_a_large_result_is_stored_small_and_shown_whole(broker: Broker, queue: Queue) -> None:
    """Redis has a compressed result, readers the one that the handler returned."""
    running = await seed_running(broker, queue)
    one = Commit(running, Succeeded(msgspec.Raw(ENCODED)), TTL_MS, coding=Coding())
    assert await broker.store.commit(queue, worker="w1", commits=[one]) == [CommitCode.COMMITTED]
    assert len((await fields_of(broker, queue, running.id))["result"]) < SMALLER
    assert (await job_of(broker, queue, running.id)).result == PAYLOAD


async def test_a_result_without_compression_is_stored_as_ever(broker: Broker, queue: Queue) -> None:
    """The result of a type that is not compressed is stored as it is, whatever its size."""
    running = await seed_running(broker, queue)
    await commit(broker, running, Succeeded(msgspec.Raw(ENCODED)))
    assert (await fields_of(broker, queue, running.id))["result"] == ENCODED


async def test_a_workflow_is_told_of_the_result_itself(broker: Broker, queue: Queue) -> None:
    """The result on its way to a workflow is no longer compressed."""
    node = NodeRef(WorkflowId("wf_0001JD3YQ8Z7M4T6V0RXKBN5C2WA"), "0", wants_result=True)
    running = await seed_running(broker, queue, node=node)
    one = Commit(running, Succeeded(msgspec.Raw(ENCODED)), TTL_MS, coding=Coding())
    await broker.store.commit(queue, worker="w1", commits=[one])
    [news], _ = await broker.dependencies.take_news(queue)
    assert news.result == ENCODED
    await broker.dependencies.end_news(queue, [Told(running.id, news.version, None, is_kept=False)])


async def test_a_dead_job_gets_another_large_payload(broker: Broker, queue: Queue) -> None:
    """A redriven job with a new payload has that, compressed again, and all else of its spec."""
    job_id = await seed_dead(broker, queue)
    found = (await broker.views.stored_specs(queue, [job_id]))[job_id]
    spec = NewSpec(with_payload(found.blob, ENCODED), found.job.version, Coding())
    await broker.store.redrive(queue, [job_id], specs={job_id: spec})
    stored = (await fields_of(broker, queue, job_id))["spec"]
    assert len(stored) < SMALLER
    again = with_payload(stored, msgspec.msgpack.encode(1))
    assert read_spec(again) == read_spec(found.blob).__class__(
        payload=msgspec.Raw(b"\x01"), created_at_ms=read_spec(found.blob).created_at_ms
    )


@pytest.mark.parametrize("code", [90, 91])
def test_an_older_release_cannot_take_a_codec_for_a_payload(code: int) -> None:
    """A release without codecs finds a spec with one undecodable, and so leaves the job to another."""
    plain = msgspec.msgpack.encode(JobSpec(payload=msgspec.Raw(ENCODED), created_at_ms=1))
    stored = coded_spec(plain, lambda payload: msgspec.msgpack.encode(msgspec.msgpack.Ext(code, payload)))
    assert stored.startswith(MARK)
    with pytest.raises(msgspec.DecodeError):
        msgspec.msgpack.decode(stored, type=JobSpec)


def test_a_newer_codec_is_told_from_garbage() -> None:
    """All of a spec but its payload is read where that is in a codec of a newer release."""
    plain = msgspec.msgpack.encode(JobSpec(payload=msgspec.Raw(ENCODED), created_at_ms=1, timeout_s=3.0))
    spec = read_spec(coded_spec(plain, lambda payload: msgspec.msgpack.encode(msgspec.msgpack.Ext(91, payload))))
    assert spec is not UNREADABLE
    assert spec.timeout_s == 3.0
    with pytest.raises(UnknownCodecError):
        opened(spec.payload)


async def test_log_lines_of_an_encrypted_type_go_encrypted_to_the_history(broker: Broker, queue: Queue) -> None:
    """The event of an end has log lines and error encrypted, for the history as for all that reads events."""
    codec = Codec(keyring=Keyring(LocalKeys({"kek": b"1" * 32}, "kek")))
    await make_group(broker.client, broker.keys.of(queue).events, HISTORY_GROUP)
    running = await seed_running(broker, queue)
    lines = KeptLines(2, [KeptLine(1, "info", "canary")])
    async with open_broker(broker.address, namespace=broker.keys.namespace, codec=codec) as ours:
        error = JobError("ValueError", "canary", "v2:1")
        one = Commit(running, Dead("attempts", error), TTL_MS, log_lines=lines, coding=Coding(encrypt=True))
        await ours.store.commit(queue, worker="w1", commits=[one])
        [step] = [one for event in await events(ours, queue) for one in event.jobs if one.error]
        assert step.log_lines is not None
        assert "canary" not in repr(step)
        assert await codec.read_lines(step.log_lines, queue.tenant, running.id) == lines
        assert step.error is not None
        assert (await codec.read_error(step.error, queue.tenant, running.id)).message == "canary"
