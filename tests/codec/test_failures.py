"""An encrypted value that cannot be read is told with its reason; what a client has made up is not."""

import base64
from typing import Any

import msgspec
import pytest
from codec.test_sealing import ENCRYPT, SECRET, Shelf, keyring, sealed

from millstream_codec import Codec, CodecError, Place, Sealed
from millstream_contracts import Job, JobError, JobId, JobState, JobType, KeptLines, moment

PLACE = Place("acme", "a_1", "payload")


class Told:
    """Codecs of processes that tell what they cannot read."""

    def __init__(self) -> None:
        self.reasons: list[str] = []
        self.shelf = Shelf()

    def codec(self, *ids: str) -> Codec:
        """Return that of a process with key-encryption keys of these ids."""
        return Codec(observe_failure=self.reasons.append, keyring=keyring(self.shelf, *ids) if ids else None)


def job(**fields: Any) -> Job:
    """Return a job that a store has."""
    return Job(id=JobId("a_1"), type=JobType("a"), state=JobState.DEAD, created_at=moment(0), **fields)


@pytest.mark.parametrize(("ids", "reason"), [(("kek2",), "key-lost"), ((), "no-keys"), (("kek1",), "damaged")])
async def test_each_value_that_cannot_be_read_is_told_with_its_reason(ids: tuple[str, ...], reason: str):
    """A payload, an error and log lines count once each, whichever way they are read; what opens counts nothing."""
    told = Told()
    writer = told.codec("kek1")
    await writer.prepare("acme", [ENCRYPT])
    # Damaged is what belongs to another job.
    place = PLACE._replace(job_id="a_2") if reason == "damaged" else PLACE
    stored = writer.write(SECRET, ENCRYPT, place)
    error = writer.write_error(JobError("ValueError", "canary", "v2:1"), ENCRYPT, "acme", place.job_id)
    reader = told.codec(*ids)
    with pytest.raises(CodecError):
        await reader.read(stored, PLACE)
    assert told.reasons == [reason]
    payload = Sealed(await sealed(writer, "canary", place))
    shown = await reader.read_job("acme", job(payload=payload, error=error))
    assert "canary" not in repr(shown)
    assert told.reasons == [reason] * 3
    lines = writer.write_lines(KeptLines(0, []), ENCRYPT, "acme", place.job_id)
    await reader.read_lines(lines, "acme", "a_1")
    assert told.reasons == [reason] * 4
    assert await writer.read(stored, place) == SECRET
    assert len(told.reasons) == 4


async def test_a_payload_that_a_client_has_made_up_is_not_told():
    """What has the form in which the history stores an encrypted value may be of a client, so it is no failure."""
    told = Told()
    writer = told.codec("kek1")
    await writer.prepare("acme", [ENCRYPT])
    other = await sealed(writer, "canary", PLACE._replace(job_id="a_2"))
    made_up = {"$sealed": base64.b64encode(other).decode()}
    assert (await writer.read_job("acme", job(payload=made_up))).payload == made_up
    assert told.reasons == []
    assert msgspec.msgpack.encode(made_up)
