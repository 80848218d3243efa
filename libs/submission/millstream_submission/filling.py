"""Fills a submission up from the template that it names; pure functions."""

from collections.abc import Mapping
from contextlib import suppress

import msgspec
from msgspec import Raw

from millstream_contracts import FieldError
from millstream_submission.decoding import Codec
from millstream_submission.errors import invalid

FIELD = "template"

Members = Mapping[str, Raw]
"""The members of an object, undecoded."""

_encode_sorted = msgspec.msgpack.Encoder(order="sorted").encode
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError)


def members_of(body: bytes | Raw, codec: Codec) -> dict[str, Raw] | None:
    """Return the members of a submission that names a template; None for any other bytes."""
    with suppress(*_UNREADABLE):
        members = codec.members(body)
        return members if FIELD in members else None
    return None


def name_of(members: Members, codec: Codec, prefix: str) -> str:
    """Return the name of the template of a submission. Raises: InvalidError."""
    with suppress(*_UNREADABLE):
        name = codec.decode(members[FIELD])
        if isinstance(name, str):
            return name
    raise invalid(FieldError(f"{prefix}/{FIELD}", "expected the name of a template"))


def filled_up(members: Members, template: Members, codec: Codec) -> bytes:
    """Return a submission that says what it did itself, and for the rest what its template says, in its encoding.

    Of two payloads that are objects both, the members of its own win. The template is in MessagePack.
    """
    own = {name: value for name, value in members.items() if name != FIELD}
    merged = {name: codec.of_msgpack(value) for name, value in template.items() if name not in own} | own
    if "payload" in own and "payload" in template:
        merged["payload"] = _merged_payload(own["payload"], template["payload"], codec)
    return codec.encode(merged)


def as_sent(members: Members, codec: Codec) -> bytes:
    """Return what a request said, whatever its encoding and the order of its members: an identity for repetitions.

    What a template says may change between the two.
    """
    return _encode_sorted({name: codec.decode(value) for name, value in members.items()})


def _merged_payload(own: Raw, template: Raw, codec: Codec) -> Raw:
    try:
        members, defaults = codec.members(own), _decode_members(template)
    except _UNREADABLE:
        return own  # one of them is no object
    merged = {name: codec.of_msgpack(value) for name, value in defaults.items() if name not in members} | members
    return Raw(codec.encode(merged))


_decode_members = msgspec.msgpack.Decoder(dict[str, Raw]).decode
