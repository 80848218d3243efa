"""Writes and reads the blobs of jobs: the one place that says in which codec they are stored."""

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, Literal

import msgspec
from msgspec.structs import replace

from millstream_codec.compression import Compressor, decompress
from millstream_codec.encrypted_tenants import EncryptedTenants
from millstream_codec.envelope import CodecCode, content_of, is_coded, unmarked, wrapped
from millstream_codec.errors import CodecError, DamagedBlobError, KeyLostError, UnknownCodecError
from millstream_codec.keyring import Keyring
from millstream_codec.sealed import Sealed, read_sealed
from millstream_codec.sealing import Place, kid_of
from millstream_contracts import Coding, Job, JobError, KeptLine, KeptLines, Progress, limits

Compression = Literal["zstd", "off"]
"""Whether large payloads and results are compressed."""

ObserveCompression = Callable[[int, int], None]
"""Gets the bytes of a value before and after its compression."""

DecryptionFailure = Literal["key-lost", "damaged", "no-keys"]
"""Why an encrypted value cannot be read."""

ObserveFailure = Callable[[DecryptionFailure], None]
"""Gets why an encrypted value could not be read."""

PAYLOAD, RESULT, ERROR, NOTE, LINES, STEP = "payload", "result", "error", "note", "lines", "step"
"""The fields that places name."""

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode
_decode_texts = msgspec.msgpack.Decoder(tuple[str, str]).decode
_decode_lines = msgspec.msgpack.Decoder(list[KeptLine]).decode
_UNOPENED = (CodecError, msgspec.MsgspecError, UnicodeDecodeError)


class Codec:
    """What one process writes and reads blobs with. For one event loop."""

    def __init__(
        self,
        compression: Compression = "zstd",
        *,
        observe: ObserveCompression | None = None,
        observe_failure: ObserveFailure | None = None,
        keyring: Keyring | None = None,
        encrypts_all: bool = False,
    ) -> None:
        """Without a `keyring` nothing is encrypted or decrypted; with `encrypts_all` all is."""
        self._compressor = Compressor() if compression == "zstd" else None
        self._observe = observe
        self._observe_failure = observe_failure
        self.keyring = keyring
        self._encrypts_all = encrypts_all
        self.tenants: EncryptedTenants | None = None
        """Those all of whose jobs are encrypted. Set by the broker that the codec belongs to, or by its service."""

    @property
    def encrypts_all(self) -> bool:
        """Return whether what jobs carry is encrypted whatever their types and tenants say."""
        return self._encrypts_all

    def encrypts(self, coding: Coding, tenant: str) -> bool:
        """Return whether values of this coding are encrypted. See :meth:`prepare`, which learns of the tenant."""
        return coding.encrypt or self._encrypts_all or (self.tenants is not None and tenant in self.tenants)

    async def prepare(self, tenant: str, codings: Iterable[Coding], *, hashes: bool = False) -> None:
        """Have the key at hand with which values of these codings are written, and that of :meth:`hashed`.

        What is written then, before the caller waits for anything else, is encrypted where its tenant says so. Raises:
        KeyLostError, also without a keyring; what the store of the keys and of the tenants raises.
        """
        if self._encrypts_all or await self._encrypts_tenant(tenant) or any(coding.encrypt for coding in codings):
            keys = self._keys()
            await keys.current(tenant)
            if hashes:
                await keys.lasting(tenant)

    async def _encrypts_tenant(self, tenant: str) -> bool:
        return self.tenants is not None and await self.tenants.look(tenant)

    def write(self, value: bytes, coding: Coding, place: Place) -> bytes:
        """Return a MessagePack value as it is stored, which is one MessagePack value again. See :meth:`prepare`."""
        if len(value) >= limits.COMPRESS_FROM_BYTES and coding.compress and self._compressor is not None:
            value = self._compressed(self._compressor, value)
        return wrapped(CodecCode.SEALED, self._seal(value, place)) if self.encrypts(coding, place.tenant) else value

    def hashed(self, text: str, tenant: str) -> str:
        """Return a keyed hash of a text, which is the same for ever. See :meth:`prepare`."""
        return self._keys().held_lasting(tenant).hash(text)

    def write_error(self, error: JobError, coding: Coding, tenant: str, job_id: str) -> JobError:
        """Return an error as it is stored. Its type and fingerprint stay, by which errors are grouped."""
        if not self.encrypts(coding, tenant):
            return error
        sealed = self._seal(_encode((error.message, error.traceback)), Place(tenant, job_id, ERROR))
        return replace(error, message="", traceback="", encrypted=True, sealed=sealed)

    def write_progress(self, progress: Progress, coding: Coding, tenant: str, job_id: str) -> Progress:
        """Return progress as it is stored."""
        if not progress.note or not self.encrypts(coding, tenant):
            return progress
        sealed = self._seal(progress.note.encode(), Place(tenant, job_id, NOTE))
        return Progress(progress.percent, encrypted=True, sealed=sealed)

    def write_lines(self, kept: KeptLines, coding: Coding, tenant: str, job_id: str) -> KeptLines:
        """Return log lines as they are stored."""
        if not self.encrypts(coding, tenant):
            return kept
        return KeptLines(kept.left_out, [], self._seal(_encode(kept.lines), Place(tenant, job_id, LINES)))

    async def read(self, value: bytes, place: Place) -> bytes:
        """Return a stored MessagePack value as it was written.

        Raises: CodecError; KeyLostError, when it is encrypted and its key is not there; what the store of keys raises.
        """
        value = unmarked(value)
        if not is_coded(value):
            return value
        code, content = content_of(value)
        return unpacked(await self._open(content, place) if code == CodecCode.SEALED else value)

    async def read_error(self, error: JobError, tenant: str, job_id: str) -> JobError:
        """Return a stored error with its message, or without one where it cannot be decrypted."""
        message = traceback = ""
        with suppress(*_UNOPENED):
            content = await self._open(error.sealed, Place(tenant, job_id, ERROR))
            message, traceback = _decode_texts(content)
        return replace(error, message=message, traceback=traceback, sealed=b"")

    async def read_lines(self, kept: KeptLines, tenant: str, job_id: str) -> KeptLines:
        """Return stored log lines, none where they cannot be decrypted."""
        if not kept.sealed:
            return kept
        try:
            return KeptLines(kept.left_out, _decode_lines(await self._open(kept.sealed, Place(tenant, job_id, LINES))))
        except _UNOPENED:
            return KeptLines(kept.left_out, [])

    async def read_job(self, tenant: str, job: Job) -> Job:
        """Return a job with what is encrypted of it, as far as it can be decrypted. See :class:`Sealed`."""
        changes: dict[str, Any] = {}
        for name, value in ((PAYLOAD, job.payload), (RESULT, job.result)):
            if (sealed := read_sealed(value)) is not None:
                # What the history has in this form may be of a client: that it fails tells nothing.
                is_ours = isinstance(value, Sealed)
                changes |= await self._shown(name, sealed.blob, Place(tenant, job.id, name), is_ours=is_ours)
        if job.error is not None and job.error.sealed:
            changes |= {"error": await self.read_error(job.error, tenant, job.id), "encrypted": True}
        if job.progress is not None and job.progress.sealed:
            changes |= {"progress": await self._progress(job.progress, tenant, job.id), "encrypted": True}
        return replace(job, **changes) if changes else job

    async def _shown(self, name: str, blob: bytes, place: Place, *, is_ours: bool) -> dict[str, Any]:
        open_it = self._open if is_ours else self._try_open
        try:
            return {name: _decode(unpacked(await open_it(blob, place))), "encrypted": True}
        except KeyLostError:
            return {name: None, "encrypted": True}
        except _UNOPENED:
            return {}  # a payload of a client that has this form

    async def _progress(self, progress: Progress, tenant: str, job_id: str) -> Progress:
        note = ""
        with suppress(*_UNOPENED):
            note = (await self._open(progress.sealed, Place(tenant, job_id, NOTE))).decode()
        return Progress(progress.percent, note, encrypted=True)

    def _compressed(self, compressor: Compressor, value: bytes) -> bytes:
        compressed = compressor.compress(value)
        if compressed is None:
            return value
        if self._observe is not None:
            self._observe(len(value), len(compressed))
        return compressed

    def _seal(self, value: bytes, place: Place) -> bytes:
        return self._keys().held(place.tenant).seal(value, place)

    async def _open(self, content: bytes, place: Place) -> bytes:
        """Return what is encrypted in a blob, and count a failure."""
        try:
            return await self._try_open(content, place)
        except KeyLostError:
            self._failed("no-keys" if self.keyring is None else "key-lost")
            raise
        except DamagedBlobError:
            self._failed("damaged")
            raise

    def _failed(self, reason: DecryptionFailure) -> None:
        if self._observe_failure is not None:
            self._observe_failure(reason)

    async def _try_open(self, content: bytes, place: Place) -> bytes:
        key = await self._keys().of(place.tenant, kid_of(content))
        return key.open(content, place)

    def _keys(self) -> Keyring:
        if self.keyring is None:
            raise KeyLostError("this process has no key-encryption keys: MILLSTREAM_ENCRYPTION_KEYS is unset")
        return self.keyring


def unpacked(value: bytes) -> bytes:
    """Return a stored MessagePack value without its compression. One that is encrypted stays as it is.

    Raises: CodecError.
    """
    if not is_coded(value):
        return value
    code, content = content_of(value)
    if code == CodecCode.ZSTD:
        return decompress(content)
    if code == CodecCode.SEALED:
        return value
    raise UnknownCodecError(code)
