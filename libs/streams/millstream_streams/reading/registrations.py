"""Reads the registrations of workers, also of a newer release: one type must not hide the others."""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec
from msgspec import Raw, Struct

from millstream_contracts import UNDECODABLE, JobType, Tenant, TypeRegistration

S = TypeVar("S", bound=Struct)

_encode = msgspec.msgpack.encode
_decode_release = msgspec.msgpack.Decoder(tuple[Tenant, list[Raw]]).decode
_decode_served = msgspec.msgpack.Decoder(list[str]).decode
_decode_map = msgspec.msgpack.Decoder(dict[str, Raw]).decode
_LISTS = frozenset({*range(0x90, 0xA0), 0xDC, 0xDD})
"""How a list begins in MessagePack; a registration is a map."""
_START = re.compile(rb"(\d+) (\S+) ")
_HELD = re.compile(rb"(\d+) \S* (.*)", re.DOTALL)

ALL_TENANTS = "*"
"""What a worker that serves every tenant registers for; no tenant has this name."""


class Start(Struct, frozen=True):
    """One life of a worker, as the registry records it."""

    worker: str
    release: str
    """The digest of all that it registers."""
    at_ms: int
    """Unix ms by the clock of Redis."""


class Registered(Struct, frozen=True):
    """A registration of a type, with the start of its newest worker."""

    registration: TypeRegistration
    digest: str
    """The digest of the stored registration; two releases that describe a type in the same way share it."""
    started_at_ms: int
    """The newest start of a worker that registered it, by the clock of Redis."""


Registrations = Mapping[JobType, list[Registered]]
"""The registrations of all live releases by type, the newest first; without any, the last that counted."""


def digest_of(registration: TypeRegistration) -> str:
    """Return the digest of a registration of this release."""
    return digest(_encode(registration))


def digest(stored: bytes) -> str:
    """Return the digest of a stored registration, or of all those of a release."""
    return hashlib.blake2b(stored, digest_size=8).hexdigest()


def encode_release(tenant: Tenant, registrations: Iterable[bytes], others: Sequence[str] = ()) -> bytes:
    """Return the registrations of one release as they are stored, with the further tenants that it serves.

    These stand among the registrations, as a list: an earlier release passes over what is no registration.
    """
    served = [Raw(_encode(list(others)))] if others else []
    return _encode((tenant, [*map(Raw, registrations), *served]))


def read_registrations(tenant: Tenant, starts: Iterable[bytes], stored: Mapping[bytes, bytes]) -> Registrations:
    """Return the registrations of a tenant from the members of `starts` and the fields of `types`."""
    newest: dict[bytes, int] = {}
    for match in filter(None, map(_START.match, starts)):
        newest[match[2]] = max(newest.get(match[2], 0), int(match[1]))
    found: dict[JobType, dict[str, Registered]] = {}
    # Two releases that began in one millisecond are told apart by their digests, by every reader in the same way.
    for release, at_ms in sorted(newest.items(), key=lambda item: (item[1], item[0]), reverse=True):
        for one in _read_release(tenant, stored.get(release, b""), at_ms):
            found.setdefault(one.registration.type, {}).setdefault(one.digest, one)
    live = {job_type: list(by_digest.values()) for job_type, by_digest in found.items()}
    prefixes = (f"{ALL_TENANTS}/".encode(), f"{tenant}/".encode())
    last = (_read_held(stored[field]) for prefix in prefixes for field in stored if field.startswith(prefix))
    others = {one.registration.type: [one] for one in last if one and one.registration.type not in live}
    return dict(sorted({**live, **others}.items()))


def _read_release(tenant: Tenant, blob: bytes, at_ms: int) -> list[Registered]:
    try:
        owner, registrations = _decode_release(blob)
    except UNDECODABLE:
        return []
    blobs = [bytes(one) for one in registrations]
    served = {owner, *(name for blob in blobs for name in _read_served(blob))}
    read = (_read(blob, at_ms) for blob in blobs) if served & {tenant, ALL_TENANTS} else ()
    return [one for one in read if one]


def _read_served(blob: bytes) -> list[str]:
    """Return the further tenants that a release serves; none for what is a registration."""
    if not blob or blob[0] not in _LISTS:
        return []
    try:
        return _decode_served(blob)
    except UNDECODABLE:
        return []


def _read_held(value: bytes) -> Registered | None:
    """Return the registration of a type's own field; one without a start counts as the oldest."""
    match = _HELD.fullmatch(value)
    return _read(match[2], int(match[1])) if match else _read(value, 0)


def _read(blob: bytes, at_ms: int) -> Registered | None:
    registration = salvage(TypeRegistration, blob)
    return Registered(registration, digest(blob), at_ms) if registration else None


def salvage(model: type[S], blob: bytes) -> S | None:
    """Return a value that a newer release may have written, with defaults for the fields that this one cannot read.

    Return None for a value of another kind.
    """
    try:
        return msgspec.msgpack.decode(blob, type=model)
    except UNDECODABLE:
        pass
    try:
        raw = _decode_map(blob)
    except UNDECODABLE:
        return None
    kept: dict[str, Any] = {}
    for field in msgspec.structs.fields(model):
        if field.name in raw and (value := _salvage_field(field.type, bytes(raw[field.name]))) is not None:
            kept[field.name] = value
    try:
        return model(**kept)
    except TypeError:
        return None  # a field without a default is not there


def _salvage_field(kind: Any, blob: bytes) -> Any:
    if isinstance(kind, type) and issubclass(kind, Struct):
        return salvage(kind, blob)
    try:
        return msgspec.msgpack.decode(blob, type=kind)
    except UNDECODABLE:
        return None
