"""The history has what is encrypted as it is in Redis, and a reader with the keys opens it."""

import base64
import json

import msgspec
from history_seeds import store

from millstream_codec import Codec, DataKey, KeyLostError, Place, Sealed
from millstream_contracts import (
    DEFAULT_TENANT,
    Event,
    EventKind,
    Job,
    JobError,
    JobState,
    JobTransition,
    JobType,
    KeptLines,
    Queue,
    made_at,
    new_job_id,
)
from millstream_history import open_history

QUEUE = Queue(DEFAULT_TENANT, JobType("mail.send"))
KEY = DataKey("2026-11", b"k" * 32)
CANARY = "canary-4711"


async def test_what_is_encrypted_is_stored_and_read_as_it_was(history_url):
    """Payload, result, error and log lines are in the tables as they were encrypted, and come back byte for byte."""
    job_id = new_job_id(QUEUE)
    payload, result, error, lines = (
        KEY.seal(msgspec.msgpack.encode(CANARY), Place(DEFAULT_TENANT, job_id, name))
        for name in ("payload", "result", "error", "lines")
    )
    failure = JobError("ValueError", "", "v2:1", encrypted=True, sealed=error)
    job = Job(
        id=job_id,
        type=QUEUE.type,
        state=JobState.DEAD,
        version=3,
        created_at=made_at(job_id),
        deliveries=1,
        payload=Sealed(payload),
        result=Sealed(result),
        error=failure,
    )
    step = JobTransition(job_id, 3, "dead", 1, "attempts", 1, None, 5, failure, KeptLines(1, [], lines))
    event = Event("3-0", EventKind.DEAD, 1_795_000_000_000, "host:1:a", [step])
    async with open_history(history_url) as history:
        await store(history, QUEUE, job, [event])
        found = await history.job(DEFAULT_TENANT, job_id)
        [stored] = await history.transitions(DEFAULT_TENANT, job_id, with_logs=True)
    assert found is not None
    assert found.job.payload == {"$sealed": base64.b64encode(payload).decode()}
    assert (found.job.error, stored.error, stored.log_lines) == (failure, failure, KeptLines(1, [], lines))
    assert CANARY not in json.dumps(msgspec.to_builtins(found.job), default=str)
    blind = await Codec().read_job(DEFAULT_TENANT, found.job)
    assert (blind.payload, blind.result, blind.encrypted) == (None, None, True)
    assert issubclass(KeyLostError, msgspec.DecodeError)
