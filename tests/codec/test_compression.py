"""Large values are compressed where that saves a tenth, and what claims to be one takes no more memory than one may."""

import random
import sys
import tracemalloc

import msgspec
import pytest
from msgspec.msgpack import Ext

from millstream_codec import (
    BlobTooLargeError,
    Codec,
    CodecCode,
    CodecError,
    DamagedBlobError,
    Place,
    UnknownCodecError,
    is_coded,
    unpacked,
)
from millstream_contracts import PLAIN, Coding, TypePolicy, limits

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

encode = msgspec.msgpack.encode
PLACE = Place("default", "email.send_1", "payload")
LARGE = encode({"text": "to be or not to be " * 200})


def coded(content: bytes, code: int = CodecCode.ZSTD) -> bytes:
    """Return a value in a codec, whatever its content is."""
    return encode(Ext(int(code), content))


def test_a_large_value_is_smaller_and_the_same():
    """A value that is stored compressed takes less, and is read as it was."""
    stored = Codec().write(LARGE, Coding(), PLACE)
    assert is_coded(stored)
    assert len(stored) < len(LARGE) / 2
    assert unpacked(stored) == LARGE


def test_one_codec_writes_many_values():
    """Each value is written for itself: none needs an earlier one to be read."""
    codec = Codec()
    values = [encode([number] * (1_100 + number)) for number in range(0, 2_000, 97)]
    stored = [codec.write(value, Coding(), PLACE) for value in values]
    assert all(map(is_coded, stored))
    assert [unpacked(one) for one in reversed(stored)] == values[::-1]


@pytest.mark.parametrize(
    ("value", "coding", "compression"),
    [
        pytest.param(encode("a" * (limits.COMPRESS_FROM_BYTES - 4)), Coding(), "zstd", id="small"),
        pytest.param(encode(random.Random(7).randbytes(4_096)), Coding(), "zstd", id="random"),
        pytest.param(LARGE, PLAIN, "zstd", id="of a type that is not compressed"),
        pytest.param(LARGE, TypePolicy(compress=False).coding, "zstd", id="of a policy without compression"),
        pytest.param(LARGE, Coding(), "off", id="switched off"),
    ],
)
def test_other_values_are_stored_as_they_are(value, coding, compression):
    """A value that is small, that hardly shrinks, or that may not be compressed, is stored as it is."""
    assert Codec(compression).write(value, coding, PLACE) == value


def test_what_was_saved_is_told():
    """The bytes before and after are told of each value that is stored compressed, and of no other."""
    told = []
    codec = Codec(observe=lambda before, after: told.append((before, after)))
    stored = codec.write(LARGE, Coding(), PLACE)
    codec.write(encode("small"), Coding(), PLACE)
    assert told == [(len(LARGE), len(stored))]


def bomb(size: int) -> bytes:
    """Return a frame of zeros that says how large it is."""
    return zstd.compress(bytes(size))


def test_a_bomb_is_refused_before_it_takes_memory():
    """A frame that would be larger than any value may be is refused by its header."""
    value = coded(bomb(100 << 20))
    tracemalloc.start()
    try:
        with pytest.raises(BlobTooLargeError, match="104,857,600 bytes"):
            unpacked(value)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def unsized(content: bytes) -> bytes:
    """Return a frame that does not say how large it is, as one that was streamed."""
    compressor = zstd.ZstdCompressor()
    return compressor.compress(content) + compressor.flush()


def lying(content: bytes, says: int) -> bytes:
    """Return a frame whose header says another size than it has."""
    frame = bytearray(zstd.compress(content, options={zstd.CompressionParameter.checksum_flag: 0}))
    assert frame[4] >> 6 == 1  # a size of two bytes, 256 too small
    frame[5:7] = (says - 256).to_bytes(2, "little")
    return bytes(frame)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(unsized(bytes(100 << 20)), id="a bomb that does not say its size"),
        pytest.param(lying(bytes(4_000), says=300), id="larger than it says"),
        pytest.param(lying(bytes(4_000), says=60_000), id="smaller than it says"),
        pytest.param(bomb(5_000)[:-3], id="cut off"),
        pytest.param(bomb(5_000) + bomb(5_000), id="two frames"),
        pytest.param(bomb(5_000) + b"more", id="more behind it"),
        pytest.param(b"", id="empty"),
        pytest.param(b"garbage", id="garbage"),
    ],
)
def test_a_frame_that_is_not_what_it_says_is_refused(content):
    """Damaged frames are refused with one kind of error, which says nothing of what is in them."""
    with pytest.raises(DamagedBlobError) as refused:
        unpacked(coded(content))
    assert "garbage" not in str(refused.value)


def test_a_codec_of_a_newer_release_is_named():
    """A value in a codec that is not known is refused, and the error says which codec that is."""
    with pytest.raises(UnknownCodecError, match="the codec 91, which this release does not know"):
        unpacked(coded(b"\x01", code=91))


def test_errors_are_those_of_decoding():
    """What reads blobs that may be garbage needs no case of its own for codecs."""
    assert issubclass(CodecError, msgspec.DecodeError)
