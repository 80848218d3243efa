"""Errors of reading what was stored in a codec.

KeyConfigError       the key-encryption keys of a process cannot be used

CodecError           a blob cannot be read
├── UnknownCodecError    it is in a codec that this release does not know
├── DamagedBlobError     it is not what its codec writes
├── BlobTooLargeError    it would take more memory than any blob may
└── KeyLostError         the key that it is encrypted with is not there

All but the first are a `msgspec.DecodeError`: what reads blobs that may be garbage treats them like other garbage.
"""

import msgspec


class CodecError(msgspec.DecodeError):
    """A stored blob cannot be read. The message quotes nothing of it."""


class KeyConfigError(ValueError):
    """The key-encryption keys of a process cannot be used. The message holds no key."""


class UnknownCodecError(CodecError):
    """A blob is in a codec that this release does not know."""

    def __init__(self, code: int) -> None:
        super().__init__(f"it is stored in the codec {code}, which this release does not know: a newer one reads it")
        self.code = code


class DamagedBlobError(CodecError):
    """A blob is not what its codec writes."""


class BlobTooLargeError(CodecError):
    """A blob would take more memory than any blob may; nothing of it was decompressed."""


class KeyLostError(CodecError):
    """The key that a blob is encrypted with, or the key that this one is wrapped with, is not there.

    What it encrypts can be read again once it is back.
    """
