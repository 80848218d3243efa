"""What is encrypted opens with its key, in its place, and nowhere else."""

import base64
import os
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from millstream_codec import (
    Codec,
    DamagedBlobError,
    DataKey,
    KeyConfigError,
    KeyLostError,
    Keyring,
    LocalKeys,
    Place,
    Sealed,
    StoredDataKey,
    content_of,
    is_coded,
    is_sealed,
    keys_of_folder,
    keys_of_text,
    kid_of,
)
from millstream_contracts import Coding, Job, JobError, JobId, JobState, JobType, KeptLine, KeptLines, Progress, moment

PLACE = Place("acme", "email.send_1", "payload")
KEY = DataKey("2026-11", b"k" * 32)
SECRET = b"\xa6canary"
ENCRYPT = Coding(compress=True, encrypt=True)
NOVEMBER, DECEMBER = 1_795_000_000.0, 1_797_500_000.0


class Shelf:
    """Keeps data keys as Redis does."""

    def __init__(self) -> None:
        self.present: dict[str, str] = {}
        self.keys: dict[tuple[str, str], StoredDataKey] = {}
        self.asked = 0

    async def current(self, tenant: str) -> tuple[str, StoredDataKey | None]:
        """As :class:`DataKeyStore`."""
        self.asked += 1
        kid = self.present.get(tenant, "")
        return kid, self.keys.get((tenant, kid))

    async def get(self, tenant: str, kid: str) -> StoredDataKey | None:
        """As :class:`DataKeyStore`."""
        self.asked += 1
        return self.keys.get((tenant, kid))

    async def succeed_data_key(
        self, tenant: str, before: str, kid: str, key: StoredDataKey
    ) -> tuple[str, StoredDataKey | None]:
        """As :class:`DataKeyStore`."""
        if self.present.get(tenant, "") == before:
            self.present[tenant], self.keys[tenant, kid] = kid, key
        return await self.current(tenant)

    async def make_lasting_key(self, tenant: str, kid: str, key: StoredDataKey) -> StoredDataKey | None:
        """As :class:`DataKeyStore`."""
        return self.keys.setdefault((tenant, kid), key)


def provider(*ids: str) -> LocalKeys:
    """Return key-encryption keys of these ids, always the same for one."""
    return LocalKeys({key_id: key_id.encode().ljust(32, b"-") for key_id in ids}, ids[0])


def keyring(shelf: Shelf, *ids: str, at: float = NOVEMBER) -> Keyring:
    """Return the keyring of a process that has key-encryption keys of these ids, at a time."""
    made = Keyring(provider(*ids or ("kek1",)), lambda: at)
    made.store = shelf
    return made


def codec(shelf: Shelf, *ids: str, at: float = NOVEMBER) -> Codec:
    """Return the codec of such a process."""
    return Codec(keyring=keyring(shelf, *ids, at=at))


def test_a_sealed_value_opens_in_its_place():
    """What is opened in the place that it was sealed for is what was sealed, and twice sealed is two blobs."""
    one, other = KEY.seal(SECRET, PLACE), KEY.seal(SECRET, PLACE)
    assert KEY.open(one, PLACE) == KEY.open(other, PLACE) == SECRET
    assert one != other
    assert kid_of(one) == KEY.kid
    assert SECRET not in one


@pytest.mark.parametrize(
    "place",
    [
        pytest.param(PLACE._replace(tenant="other"), id="another tenant"),
        pytest.param(PLACE._replace(job_id="email.send_2"), id="another job"),
        pytest.param(PLACE._replace(field="result"), id="another field"),
    ],
)
def test_a_blob_that_was_moved_does_not_open(place: Place):
    """A blob of another tenant, another job or another field is refused."""
    with pytest.raises(DamagedBlobError):
        KEY.open(KEY.seal(SECRET, PLACE), place)


def test_no_byte_of_a_blob_may_change():
    """A blob with any bit flipped does not open, and neither does one that was cut off."""
    blob = KEY.seal(SECRET, PLACE)
    for at in range(len(blob)):
        changed = bytearray(blob)
        changed[at] ^= 1
        with pytest.raises(DamagedBlobError):
            DataKey(kid_of(bytes(changed)), KEY.secret).open(bytes(changed), PLACE)
    for length in range(len(blob)):
        with pytest.raises(DamagedBlobError):
            DataKey(kid_of(blob[:length]), KEY.secret).open(blob[:length], PLACE)


@pytest.mark.parametrize("length", [0, 1, 100, 300, 70_000])
async def test_a_sealed_value_is_told_from_others(length: int):
    """Whether a value is encrypted is seen without decoding it, whatever its size."""
    writer, value = codec(Shelf()), msgspec.msgpack.encode("x" * length)
    await writer.prepare(PLACE.tenant, [ENCRYPT])
    assert is_sealed(writer.write(value, Coding(compress=False, encrypt=True), PLACE))
    assert not is_sealed(writer.write(value, Coding(), PLACE))
    assert not is_sealed(b"")


def test_a_key_does_not_show_itself():
    """The text of a data key has its id alone."""
    assert repr(KEY) == "DataKey('2026-11', '***')"


async def test_another_process_with_the_same_keys_reads():
    """What one process has written is read by another that has the key-encryption key."""
    shelf = Shelf()
    one, other = codec(shelf), codec(shelf)
    await one.prepare(PLACE.tenant, [ENCRYPT])
    value = msgspec.msgpack.encode("to be or not to be " * 100)
    stored = one.write(value, ENCRYPT, PLACE)
    assert is_coded(stored)
    assert len(stored) < len(value)
    assert await other.read(stored, PLACE) == value


async def test_two_processes_agree_on_a_new_key():
    """When two make the first key of a month at once, both write with the one that was first."""
    shelf = Shelf()
    one, other = keyring(shelf), keyring(shelf)
    first = await one.current("acme")
    await shelf.succeed_data_key("acme", "", "2026-11", StoredDataKey(kek="kek1", wrapped=b"", made_at_ms=0))
    assert await other.current("acme") == first


async def test_a_key_is_read_once():
    """Neither the present key nor another is asked for again while it is held."""
    shelf = Shelf()
    ring = keyring(shelf)
    await ring.current("acme")
    asked = shelf.asked
    for _ in range(3):
        key = await ring.current("acme")
        await ring.of("acme", key.kid)
    assert shelf.asked == asked


async def test_each_month_and_each_rotation_has_a_key():
    """A new month has a new key, a rotation one more, and what earlier ones have written is still read."""
    shelf = Shelf()
    november, december = codec(shelf), codec(shelf, at=DECEMBER)
    await november.prepare("acme", [ENCRYPT])
    old = november.write(SECRET, ENCRYPT, PLACE)
    assert november.keyring is not None
    assert await november.keyring.rotate("acme") == "2026-11.2"
    assert (await november.keyring.current("acme")).kid == "2026-11.2"
    assert december.keyring is not None
    assert (await december.keyring.current("acme")).kid == "2026-12"
    # A clock that is behind makes no older key the present one.
    assert (await keyring(shelf).current("acme")).kid == "2026-12"
    assert await december.read(old, PLACE) == SECRET


async def test_tenants_have_keys_of_their_own():
    """Two tenants never share a data key."""
    ring = keyring(Shelf())
    assert (await ring.current("acme")).secret != (await ring.current("other")).secret


async def test_a_rewrapped_key_needs_the_new_key_alone():
    """After a rewrap the old key-encryption key may go, and everything is still read."""
    shelf = Shelf()
    before = codec(shelf, "kek1")
    await before.prepare("acme", [ENCRYPT])
    stored = before.write(SECRET, ENCRYPT, PLACE)
    ring = keyring(shelf, "kek2", "kek1")
    anew = await ring.rewrap("acme", "2026-11", shelf.keys["acme", "2026-11"])
    assert anew is not None
    shelf.keys["acme", "2026-11"] = anew
    assert await ring.rewrap("acme", "2026-11", anew) is None
    assert await codec(shelf, "kek2").read(stored, PLACE) == SECRET


@pytest.mark.parametrize("lost", ["key-encryption key", "data key", "all keys"])
async def test_without_its_key_a_value_is_lost_until_that_is_back(lost: str):
    """A value whose data key, or the key of that, is not there is refused as such, and read once it is back."""
    shelf = Shelf()
    writer = codec(shelf)
    await writer.prepare("acme", [ENCRYPT])
    stored = writer.write(SECRET, ENCRYPT, PLACE)
    kept = dict(shelf.keys)
    reader = {"key-encryption key": codec(shelf, "kek2"), "data key": codec(shelf), "all keys": Codec()}[lost]
    if lost == "data key":
        shelf.keys.clear()
    with pytest.raises(KeyLostError):
        await reader.read(stored, PLACE)
    shelf.keys.update(kept)
    assert await codec(shelf).read(stored, PLACE) == SECRET


async def test_a_job_is_shown_with_what_opens_of_it():
    """A job from a store has its payload, error and note again; without the keys it has none, and says so."""
    shelf = Shelf()
    writer = codec(shelf)
    job_id = JobId("email.send_1")
    await writer.prepare("acme", [ENCRYPT])
    error = JobError("ValueError", "no card canary", "v2:1", "Traceback canary", 2)
    stored = Job(
        id=job_id,
        type=JobType("email.send"),
        state=JobState.DEAD,
        created_at=moment(0),
        payload=Sealed(await sealed(writer, "canary", Place("acme", job_id, "payload"))),
        result={"$sealed": base64.b64encode(await sealed(writer, 7, Place("acme", job_id, "result"))).decode()},
        error=writer.write_error(error, ENCRYPT, "acme", job_id),
        progress=writer.write_progress(Progress(50.0, "half canary"), ENCRYPT, "acme", job_id),
    )
    assert b"canary" not in msgspec.msgpack.encode(stored)
    shown = await codec(shelf).read_job("acme", stored)
    assert (shown.payload, shown.result, shown.encrypted) == ("canary", 7, True)
    assert shown.error == replace(error, encrypted=True)
    assert shown.progress == Progress(50.0, "half canary", encrypted=True)
    blind = await Codec().read_job("acme", stored)
    assert (blind.payload, blind.result, blind.encrypted) == (None, None, True)
    assert blind.error == replace(error, message="", traceback="", encrypted=True)
    assert blind.progress == Progress(50.0, encrypted=True)


async def sealed(writer: Codec, value: Any, place: Place) -> bytes:
    """Return the content of a value as it is stored."""
    return content_of(writer.write(msgspec.msgpack.encode(value), ENCRYPT, place))[1]


@pytest.mark.parametrize("payload", [{"$sealed": "AAAA"}, {"$sealed": "no base64"}, {"$sealed": 7}, {"$sealed": ""}])
async def test_a_payload_that_looks_like_an_encrypted_one_is_shown(payload: dict[str, Any]):
    """A client may send what looks like an encrypted value: it is shown as it was sent."""
    job = Job(id=JobId("a_1"), type=JobType("a"), state=JobState.QUEUED, created_at=moment(0), payload=payload)
    assert await codec(Shelf()).read_job("acme", job) == job


async def test_log_lines_are_kept_encrypted():
    """Log lines come back with the key, and none without; how many were left out is told in either case."""
    shelf = Shelf()
    writer = codec(shelf)
    await writer.prepare("acme", [ENCRYPT])
    kept = KeptLines(3, [KeptLine(1, "info", "canary", {"card": "canary"})])
    stored = writer.write_lines(kept, ENCRYPT, "acme", "a_1")
    assert b"canary" not in msgspec.msgpack.encode(stored)
    assert await codec(shelf).read_lines(stored, "acme", "a_1") == kept
    assert await codec(shelf).read_lines(stored, "acme", "a_2") == KeptLines(3, [])


def in_base64(secret: bytes) -> str:
    """Return a key as settings have it."""
    return base64.b64encode(secret).decode()


def test_keys_come_from_a_text():
    """The first key of a text is for new data keys."""
    assert keys_of_text(f"new:{in_base64(os.urandom(32))}, old:{in_base64(os.urandom(32))}").current == "new"


@pytest.mark.parametrize(
    "text", ["", "canary", "a:canary", f"a:{in_base64(b'canary')}", f"../a:{in_base64(b'x' * 32)}"]
)
def test_a_text_without_usable_keys_is_refused(text: str):
    """A text that has no keys, or one of a wrong length or a wrong name, is refused without being quoted."""
    with pytest.raises(KeyConfigError) as refused:
        keys_of_text(text)
    assert "canary" not in str(refused.value)


def test_keys_come_from_a_folder(tmp_path: Path):
    """Each file of a folder is a key, and the last by name is for new data keys."""
    for name in ("2025.key", "2026.key", "notes.txt"):
        (tmp_path / name).write_text(in_base64(os.urandom(32)) + "\n")
    assert keys_of_folder(tmp_path).current == "2026"


def test_a_folder_without_keys_is_refused(tmp_path: Path):
    """A folder without keys, or none, is refused."""
    for folder in (tmp_path, tmp_path / "missing"):
        with pytest.raises(KeyConfigError):
            keys_of_folder(folder)
