"""The form of a coded blob: a MessagePack extension in place of a MessagePack value.

No payload and no result has an extension, so a coded value is never taken for a plain one, and it stands wherever a
value may stand. Where it is a whole field of Redis, :data:`MARK` goes before it: MessagePack never uses that byte, so
a release without codecs takes the field for garbage and leaves the job to a release that can read it, in place of
handing an extension to a handler.
"""

from enum import IntEnum

import msgspec
from msgspec.msgpack import Ext

from millstream_codec.errors import DamagedBlobError

MARK = b"\xc1"
_MARK = 0xC1

_HEADS = frozenset({0xC7, 0xC8, 0xC9, 0xD4, 0xD5, 0xD6, 0xD7, 0xD8})
"""The first bytes of extensions."""

_CODE_AT = {0xC7: 2, 0xC8: 3, 0xC9: 5}
"""Where the code of an extension stands, behind its length; right behind the first byte of others."""

_decode_ext = msgspec.msgpack.Decoder(Ext).decode
_encode = msgspec.msgpack.Encoder().encode


class CodecCode(IntEnum):
    """The codecs, by the codes of their extensions. A code never changes its meaning."""

    ZSTD = 90
    SEALED = 83


def is_coded(value: bytes | msgspec.Raw) -> bool:
    """Return whether a MessagePack value is in a codec."""
    first = memoryview(value)[:1]
    return bool(first) and first[0] in _HEADS


def is_sealed(value: bytes | msgspec.Raw) -> bool:
    """Return whether a MessagePack value is encrypted."""
    seen = memoryview(value)[:6]
    if not seen or seen[0] not in _HEADS:
        return False
    at = _CODE_AT.get(seen[0], 1)
    return len(seen) > at and seen[at] == CodecCode.SEALED


def wrapped(code: CodecCode, content: bytes) -> bytes:
    """Return a coded value."""
    return _encode(Ext(code.value, content))


def content_of(value: bytes) -> tuple[int, bytes]:
    """Return the code and the content of a coded value. Raises: DamagedBlobError."""
    try:
        ext = _decode_ext(value)
    except msgspec.MsgspecError:
        raise DamagedBlobError("it was cut off") from None
    return ext.code, bytes(ext.data)


def marked(blob: bytes) -> bytes:
    """Return what is stored of a blob with a coded value in it."""
    return MARK + blob


def unmarked(blob: bytes) -> bytes:
    """Return a stored blob without its mark."""
    return blob[1:] if blob and blob[0] == _MARK else blob
