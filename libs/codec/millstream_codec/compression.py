"""Compresses values with zstd, and decompresses them within bounds.

What a frame says of its size is believed only up to `limits.MAX_BLOB_BYTES`, and before anything is allocated: a frame
of a few bytes may otherwise ask for gigabytes.
"""

import sys
from collections.abc import Mapping

from millstream_codec.envelope import CodecCode, wrapped
from millstream_codec.errors import BlobTooLargeError, DamagedBlobError
from millstream_contracts import limits

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

LEVEL = 1
"""Higher levels take twice the time and save a few hundredths of payloads."""

_WINDOW_LOG = limits.MAX_BLOB_BYTES.bit_length() - 1
_BOUNDS: Mapping[int, int] = {zstd.DecompressionParameter.window_log_max: _WINDOW_LOG}
_HEADER_BYTES = 18
"""No header of a frame is longer."""


class Compressor:
    """Compresses one value after the other. Not for several threads."""

    def __init__(self) -> None:
        self._zstd = zstd.ZstdCompressor(level=LEVEL)

    def compress(self, value: bytes) -> bytes | None:
        """Return a coded value; None where that would not save a tenth."""
        # The size in the header is what bounds the decompression.
        self._zstd.set_pledged_input_size(len(value))
        content = self._zstd.compress(value, zstd.ZstdCompressor.FLUSH_FRAME)
        return wrapped(CodecCode.ZSTD, content) if len(content) * 10 <= len(value) * 9 else None


def decompress(content: bytes) -> bytes:
    """Return the value of a frame. Raises: DamagedBlobError; BlobTooLargeError, before any memory is taken for it."""
    try:
        size = zstd.get_frame_info(content[:_HEADER_BYTES]).decompressed_size
        if size is None:
            raise DamagedBlobError("its zstd frame does not say how large it is")
        if size > limits.MAX_BLOB_BYTES:
            raise BlobTooLargeError(
                f"it would have {size:,} bytes decompressed; no blob of a job has more than {limits.MAX_BLOB_BYTES:,}"
            )
        frame = zstd.ZstdDecompressor(options=_BOUNDS)
        value = frame.decompress(content, size)
    except zstd.ZstdError:
        raise DamagedBlobError("its zstd frame is damaged") from None
    if not frame.eof or frame.unused_data or len(value) != size:
        raise DamagedBlobError("its zstd frame does not end where it says")
    return value
