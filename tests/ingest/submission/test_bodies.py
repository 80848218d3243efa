"""The bodies of submissions are decoded, or refused with the reason."""

import math
import struct
import time
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec.msgpack import Ext
from plain_words import python_in

from millstream_contracts import Priority, limits
from millstream_ingest.http.negotiation import BatchFormat, Encoding
from millstream_ingest.http.refusals import refusal_of
from millstream_ingest.submission.batch_bodies import split_batch
from millstream_ingest.submission.bodies import CODECS, decode_as
from millstream_submission import Decoded, SubmissionError, decode_submission

JSON, MSGPACK = Encoding.JSON, Encoding.MSGPACK
# The contract looks at the real clock, so the one that tests set must not be far from it.
NOW_S = float(int(time.time()))

ENCODE = {JSON: msgspec.json.encode, MSGPACK: msgspec.msgpack.encode}
BOTH = pytest.mark.parametrize("encoding", [JSON, MSGPACK])
FORMATS = [BatchFormat(encoding, is_sequence) for encoding in Encoding for is_sequence in (False, True)]


def decode_item(job, encoding, prefix):
    """Return one job of a batch, or its refusal."""
    try:
        return decode_submission(job, CODECS[encoding], prefix)
    except SubmissionError as error:
        return error


def decode_batch(body, batch):
    """Return each job of a batch, or its refusal."""
    start = "/" if batch.is_sequence else "/jobs/"
    return [decode_item(job, batch.encoding, f"{start}{index}") for index, job in enumerate(split_batch(body, batch))]


def refusal(body: bytes, encoding: Encoding = JSON) -> SubmissionError:
    """Return the refusal of a submission."""
    with pytest.raises(SubmissionError) as caught:
        decode_submission(body, CODECS[encoding], clock=lambda: NOW_S)
    return caught.value


def only_error(body: bytes, encoding: Encoding = JSON) -> tuple[str, str]:
    """Return pointer and detail of the only wrong field of a submission."""
    error = refusal(body, encoding)
    assert refusal_of(error).status == 422
    (field,) = error.errors
    return field.pointer, field.detail


def payload_body(payload: bytes, encoding: Encoding) -> bytes:
    """Return a submission with these bytes as its payload."""
    if encoding is JSON:
        return b'{"type":"a","payload":' + payload + b"}"
    return b"\x82\xa4type\xa1a\xa7payload" + payload


class TestSubmission:
    """Submissions that are accepted."""

    @BOTH
    def test_submission_is_decoded_with_its_payload_as_messagepack(self, encoding):
        """Both encodings of a submission decode to the same value and the same stored payload."""
        payload = {"to": "ann@example.org", "n": [1, -2, 2.5, None, True, "ü", 2**64 - 1]}
        decoded = decode_submission(
            ENCODE[encoding]({"type": "email.send", "payload": payload, "priority": "high"}), CODECS[encoding]
        )
        assert (decoded.submission.type, decoded.submission.priority) == ("email.send", Priority.HIGH)
        assert msgspec.msgpack.decode(decoded.payload) == decoded.value == payload

    @BOTH
    def test_payload_is_null_when_it_is_left_out(self, encoding):
        """A submission without a payload is stored with nil."""
        decoded = decode_submission(ENCODE[encoding]({"type": "a"}), CODECS[encoding])
        assert (decoded.payload, decoded.value) == (b"\xc0", None)

    def test_messagepack_payload_is_stored_as_it_came(self):
        """A MessagePack payload is stored with its bytes unchanged, integer widths included."""
        assert decode_submission(payload_body(b"\xcd\x00\x01", MSGPACK), CODECS[MSGPACK]).payload == b"\xcd\x00\x01"

    def test_decode_as_serves_every_struct(self):
        """`decode_as` decodes other structs by the same rules."""

        class Point(msgspec.Struct, forbid_unknown_fields=True):
            x: int

        assert decode_as(Point, b'{"x":1}', JSON) == Point(1)
        with pytest.raises(SubmissionError) as caught:
            decode_as(Point, b'{"y":1}', JSON)
        assert caught.value.errors[0].pointer == "/y"


class TestFieldErrors:
    """Wrong fields of the submission itself."""

    @pytest.mark.parametrize(
        ("body", "expected"),
        [
            (b"{}", ("/type", "`type` is missing")),
            (b"[]", ("", "expected an object, got an array")),
            (b"null", ("", "expected an object, got null")),
            (b'{"type":1}', ("/type", "expected a string, got an integer")),
            (b'{"type":"a","payloda":1}', ("/payloda", "unknown field; did you mean `payload`?")),
            (b'{"type":"a","zzz":1}', ("/zzz", "unknown field")),
            (b'{"type":"a","a/~b":1}', ("/a~1~0b", "unknown field")),
            (b'{"type":"a","a`b":1}', ("/a`b", "unknown field")),
            (
                b'{"type":"a","backoff":{"capp_s":1}}',
                ("/backoff/capp_s", "unknown field; did you mean `cap_s`?"),
            ),
            (
                b'{"type":"a","priority":"hihg"}',
                ("/priority", "expected one of `high`, `normal`, `low`, got `hihg`; did you mean `high`?"),
            ),
            (
                b'{"type":"a","backoff":{"kind":"x"}}',
                ("/backoff/kind", "expected one of `constant`, `exponential`, `linear`, got `x`"),
            ),
            (b'{"type":"a","tags":{"a":1}}', ("/tags", "a value: expected a string, got an integer")),
            (b'{"type":"a","tags":{"":"x"}}', ("/tags", "a key: expected at least 1 character")),
            (b'{"type":"a","max_attempts":0}', ("/max_attempts", "expected an integer of at least 1")),
            (b'{"type":"a","max_attempts":' + b"9" * 5000 + b"}", ("/max_attempts", "an integer beyond 64 bits")),
            (b'{"type":"a","delay_s":1e999}', ("/delay_s", "a number beyond what 64 bits can hold")),
            (
                b'{"type":"a","run_at":"x"}',
                ("/run_at", "expected a time such as `2026-11-26T15:00:00Z`, by RFC 3339"),
            ),
        ],
    )
    def test_refusal_points_at_the_field(self, body, expected):
        """A refusal names every wrong field by an RFC 6901 pointer and says what was expected."""
        assert only_error(body) == expected

    def test_unknown_name_is_cut_when_it_is_long(self):
        """The name of an unknown field is cut in the refusal when it is long."""
        place, _ = only_error(b'{"type":"a","' + b"x" * 100_000 + b'":1}')
        assert len(place) < 100

    @pytest.mark.parametrize("job_type", ["A", "", "a/b", "a{b}", "a" * 65, "a\\n", "a\\u0000", "-a"])
    def test_type_is_refused_when_it_is_no_name(self, job_type):
        """A job type with other characters than those of a name is refused, because it becomes a part of keys."""
        assert only_error(f'{{"type":"{job_type}"}}'.encode())[0] == "/type"

    def test_tags_are_refused_when_they_contain_nul(self):
        """A tag with NUL is refused, because the history could not store it."""
        assert only_error(b'{"type":"a","tags":{"a":"\\u0000"}}') == ("/tags", "contains the character NUL")

    @pytest.mark.parametrize(
        ("callback", "place", "said"),
        [
            ('{"url":"ftp://a/"}', "/callback/url", "no address of a receiver"),
            ('{"url":"https://u:p@a/"}', "/callback/url", "holds credentials"),
            ('{"url":""}', "/callback/url", "at least 1 character"),
            ('{"url":"https://a/","events":[]}', "/callback/events", "at least 1"),
            ('{"url":"https://a/","events":["dies"]}', "/callback/events/0", "expected one of"),
            ('{"url":"https://a/","retry":1}', "/callback/retry", "unknown field"),
            ("{}", "/callback/url", "missing"),
        ],
    )
    def test_callback_is_refused_when_nothing_could_be_sent_there(self, callback, place, said):
        """A callback that could not be called is refused, with the field that is wrong."""
        pointer, detail = only_error(f'{{"type":"a","callback":{callback}}}'.encode())
        assert pointer == place
        assert said in detail

    def test_callback_is_refused_for_a_call(self):
        """A call of a webhook has no callback, which would be a call as well."""
        body = b'{"type":"webhook.call","callback":{"url":"https://a.example/"}}'
        pointer, detail = only_error(body)
        assert pointer == "/callback"
        assert "calls themselves" in detail


class TestTimes:
    """Times of a submission, which must agree with each other."""

    @pytest.mark.parametrize(
        ("fields", "expected"),
        [
            ({"run_at": NOW_S, "delay_s": 1}, ("/delay_s", "excludes `run_at`")),
            ({"expires_at": NOW_S, "expires_in_s": 1}, ("/expires_in_s", "excludes `expires_at`")),
            ({"delay_s": 5, "expires_in_s": 5}, ("/expires_in_s", "the job would expire before it may run")),
            ({"run_at": NOW_S + 9, "expires_at": NOW_S + 8}, ("/expires_at", "the job would expire before it may run")),
            ({"run_at": NOW_S + 9, "expires_in_s": 8}, ("/expires_in_s", "the job would expire before it may run")),
            ({"run_at": NOW_S + 4e8}, ("/run_at", "is more than ten years away")),
            ({"expires_at": NOW_S + 4e8}, ("/expires_at", "is more than ten years away")),
        ],
    )
    def test_times_are_refused_when_they_contradict_each_other(self, fields, expected):
        """Two times that repeat or contradict each other are refused."""
        assert only_error(self.body(fields)) == expected

    @pytest.mark.parametrize(
        "fields",
        [
            {"run_at": NOW_S + 5, "expires_in_s": 6},
            {"delay_s": 5, "expires_at": NOW_S + 6},
            {"run_at": NOW_S - 60},
            {"expires_at": NOW_S - 60},
        ],
    )
    def test_times_are_taken_when_they_agree(self, fields):
        """A time in the past is accepted: the job is due at once, or expires."""
        assert decode_submission(self.body(fields), CODECS[JSON], clock=lambda: NOW_S)

    @pytest.mark.parametrize("at", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
    def test_time_is_refused_when_utc_could_not_hold_it(self, at):
        """A time at the end of the calendar that overflows in UTC is refused."""
        assert only_error(f'{{"type":"a","run_at":"{at}"}}'.encode())[0] == "/run_at"

    @staticmethod
    def body(fields: dict[str, float]) -> bytes:
        """Return a submission with these fields, with Unix seconds written as RFC 3339."""
        texts = {
            name: datetime.fromtimestamp(value, UTC) if name.endswith("_at") else value
            for name, value in fields.items()
        }
        return msgspec.json.encode({"type": "a", **texts})


class TestPayload:
    """Payloads and their limits."""

    @pytest.mark.parametrize(
        ("payload", "expected"),
        [
            (b"[{},[18446744073709551616]]", ("/payload/1/0", "an integer beyond 64 bits")),
            (b'{"a/b":-9223372036854775809}', ("/payload/a~1b", "an integer beyond 64 bits")),
            (b"9" * 5000, ("/payload", "an integer beyond 64 bits")),
            (b"[1e999]", ("/payload/0", "a number beyond what 64 bits can hold")),
            (b'{"a":"x\\u0000"}', ("/payload/a", "contains the character NUL")),
            (b'{"\\u0000":1}', ("/payload", "a key contains the character NUL")),
            (b"[" * 65 + b"]" * 65, ("/payload" + "/0" * 64, "nested more than 64 levels deep")),
            (b'{"a":' * 65 + b"1" + b"}" * 65, ("/payload" + "/a" * 64, "nested more than 64 levels deep")),
            (b"[" * 100_000 + b"]" * 100_000, ("", "nested too deeply to be read")),
        ],
    )
    def test_json_payload_is_refused_when_it_could_not_be_kept(self, payload, expected):
        """A JSON payload that history or MessagePack cannot hold is refused with a pointer."""
        assert only_error(payload_body(payload, JSON)) == expected

    @pytest.mark.parametrize(
        ("payload", "expected"),
        [
            (msgspec.msgpack.encode([math.nan]), "NaN"),
            (msgspec.msgpack.encode({"a": -math.inf}), "NaN"),
            (b"\xca\x7f\xc0\x00\x00", "NaN"),
            (msgspec.msgpack.encode({1: 2}), "keys of a map"),
            (b"\x81\xc0\x01", "keys of a map"),
            (b"\x81\xc4\x01a\x01", "keys of a map"),
            (msgspec.msgpack.encode(Ext(5, b"x")), "extension"),
            (b"\xc7\x0c\xff" + b"\xff" * 12, "timestamp"),
            (msgspec.msgpack.encode(["\0"]), "NUL"),
            (msgspec.msgpack.encode({"\0": 1}), "NUL"),
            (msgspec.msgpack.encode([b"x", True, math.nan]), "NaN"),
            (b"\x91" * 65 + b"\xc0", "levels deep"),
            (b"\x91" * 100_000 + b"\xc0", "nested"),
        ],
    )
    def test_messagepack_payload_is_refused_when_json_could_not_show_it(self, payload, expected):
        """A MessagePack payload that JSON cannot express is refused."""
        place, detail = only_error(payload_body(payload, MSGPACK), MSGPACK)
        assert expected in detail
        assert place.startswith("/payload") or "nested" in detail

    @pytest.mark.parametrize("depth", [1, 63, 64])
    def test_payload_is_taken_when_it_is_as_deep_as_allowed(self, depth):
        """A payload of 64 levels is accepted in both encodings, empty or not."""
        assert decode_submission(payload_body(b"[" * depth + b"]" * depth, JSON), CODECS[JSON])
        assert decode_submission(payload_body(b"[" * depth + b"1" + b"]" * depth, JSON), CODECS[JSON])
        assert decode_submission(payload_body(b'"' + b"[" * 99 + b'"', JSON), CODECS[JSON])
        assert decode_submission(payload_body(b"\x91" * (depth - 1) + b"\x90", MSGPACK), CODECS[MSGPACK])

    @pytest.mark.parametrize("encoding", [JSON, MSGPACK])
    @pytest.mark.parametrize("item", [0, []])
    def test_payload_is_refused_when_it_holds_too_many_values(self, encoding, item):
        """A payload with too many values is refused, because decoded values are larger than their bytes."""
        encode = msgspec.json.encode if encoding is JSON else msgspec.msgpack.encode
        half = limits.MAX_PAYLOAD_VALUES // 2 - 1
        allowed = {"a": [item] * half, "b": [item] * half}
        assert decode_submission(payload_body(encode(allowed), encoding), CODECS[encoding])
        place, detail = only_error(payload_body(encode(allowed | {"c": 1}), encoding), encoding)
        assert (place, detail) == ("/payload", "more than 50,000 values in its objects and arrays")

    def test_binary_data_is_taken_and_shown_as_base64(self):
        """Bytes in MessagePack are accepted and shown as base64 in JSON."""
        packed = decode_submission(msgspec.msgpack.encode({"type": "a", "payload": b"\0\xff"}), CODECS[MSGPACK]).payload
        assert msgspec.json.encode(msgspec.msgpack.decode(packed)) == b'"AP8="'

    @pytest.mark.parametrize(
        ("body", "encoding"),
        [
            (payload_body(b'"' + b"x" * limits.MAX_PAYLOAD_BYTES + b'"', JSON), JSON),
            (payload_body(b"[" + b"1e1," * 40_000 + b"1]", JSON), JSON),
            (msgspec.msgpack.encode({"type": "a", "payload": b"x" * limits.MAX_PAYLOAD_BYTES}), MSGPACK),
            (b" " * limits.MAX_BODY_BYTES + b'{"type":"a"}', JSON),
        ],
    )
    def test_payload_is_refused_when_it_is_too_large(self, body, encoding):
        """The limit holds for the payload as it was sent and as it is stored."""
        error = refusal(body, encoding)
        assert refusal_of(error).status == 413
        assert "limit" in error.detail


class TestMalformed:
    """Bodies that decode to no value."""

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b" ",
            b"{",
            b'{"type":"a"} x',
            b'\xef\xbb\xbf{"type":"a"}',
            b'{"type":"\xff"}',
            b'{"type":"a","\xff":1}',
            b'{"type":"a","payload":"\xff"}',
            b'{"type":"a","payload":"\\ud800"}',
            b'{"type":"a","payload":NaN}',
            b'{"type":"a","payload":"\n"}',
            b'{"type":"a","payload":[1,]}',
        ],
    )
    def test_json_is_malformed(self, body):
        """A body that is no JSON is answered with 400 and without a traceback."""
        assert refusal_of(refusal(body)).status == 400

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"\xc1",
            b"\x81\xa4type",
            b"\xdf\xff\xff\xff\xff",
            b"\x81\xa4type\xa1a\xc0",
            b"\x81\xa4type\xa1\xff",
            payload_body(b"\xa1\xff", MSGPACK),
            payload_body(b"\xa3\xed\xa0\x80", MSGPACK),
            payload_body(b"\xdd\x7f\xff\xff\xff\x90", MSGPACK),
        ],
    )
    def test_messagepack_is_malformed(self, body):
        """A truncated length, a bad byte and a surrogate in MessagePack are answered with 400."""
        assert refusal_of(refusal(body, MSGPACK)).status == 400


def batch_of(jobs: list[bytes], batch: BatchFormat) -> bytes:
    """Return encoded jobs as one body."""
    if batch.is_sequence:
        return (b"\n" if batch.encoding is JSON else b"").join(jobs)
    if batch.encoding is JSON:
        return b'{"jobs":[' + b",".join(jobs) + b"]}"
    return b"\x81\xa4jobs\xdd" + len(jobs).to_bytes(4, "big") + b"".join(jobs)


class TestBatch:
    """Batches of many jobs in one body."""

    @pytest.mark.parametrize("batch", FORMATS)
    def test_bad_job_does_not_spoil_the_others(self, batch):
        """Each job of a batch is decoded or refused by itself, in order, in every form of batch."""
        encode = ENCODE[batch.encoding]
        jobs = [encode({"type": "a", "payload": 1}), encode(5), encode({"type": "B"}), encode({"type": "b"})]
        first, number, name, last = decode_batch(batch_of(jobs, batch), batch)
        start = "" if batch.is_sequence else "/jobs"
        assert isinstance(first, Decoded)
        assert (first.submission.type, first.payload) == ("a", b"\x01")
        assert isinstance(number, SubmissionError)
        assert number.errors[0].pointer == f"{start}/1"
        assert isinstance(name, SubmissionError)
        assert name.errors[0].pointer == f"{start}/2/type"
        assert isinstance(last, Decoded)

    @pytest.mark.parametrize("batch", FORMATS)
    def test_batch_is_refused_when_it_has_too_many_jobs(self, batch):
        """A batch of 10,000 jobs is accepted, and one of 10,001 is refused before any job is decoded."""
        job = ENCODE[batch.encoding](1)
        assert len(split_batch(batch_of([job] * limits.MAX_BATCH_JOBS, batch), batch)) == limits.MAX_BATCH_JOBS
        with pytest.raises(SubmissionError) as caught:
            split_batch(batch_of([job] * (limits.MAX_BATCH_JOBS + 1), batch), batch)
        refusal = refusal_of(caught.value)
        assert refusal.status == 422
        assert "expected at most 10,000 " in refusal.detail

    @pytest.mark.parametrize("batch", FORMATS)
    def test_batch_is_refused_when_it_is_empty(self, batch):
        """An empty batch is refused."""
        with pytest.raises(SubmissionError) as caught:
            split_batch(batch_of([], batch), batch)
        assert refusal_of(caught.value).status == 422

    @pytest.mark.parametrize("batch", FORMATS)
    def test_batch_is_refused_when_it_is_too_large(self, batch):
        """A batch over the limit of its body is refused before it is decoded."""
        with pytest.raises(SubmissionError) as caught:
            split_batch(b" " * (limits.MAX_BATCH_BODY_BYTES + 1), batch)
        assert refusal_of(caught.value).status == 413

    @pytest.mark.parametrize(
        ("body", "expected"),
        [
            (b'{"jbos":[]}', ("/jbos", "unknown field; did you mean `jobs`?")),
            (b"{}", ("/jobs", "`jobs` is missing")),
            (b'{"jobs":5}', ("/jobs", "expected an array, got an integer")),
            (b'{"jobs":[[],' + b"[" * 200_000 + b"]" * 200_000 + b"]}", ("", "nested too deeply to be read")),
        ],
    )
    def test_batch_is_refused_as_a_whole_when_its_frame_is_wrong(self, body, expected):
        """A batch whose frame is wrong is refused as a whole."""
        with pytest.raises(SubmissionError) as caught:
            split_batch(body, BatchFormat(JSON, is_sequence=False))
        (field,) = caught.value.errors
        assert (field.pointer, field.detail) == expected

    def test_lines_may_end_as_they_like(self):
        """NDJSON may have CRLF, blank lines and a last newline."""
        body = b'{"type":"a"}\r\n\n{"type":"b"}\n'
        decoded = decode_batch(body, BatchFormat(JSON, is_sequence=True))
        assert [item.submission.type for item in decoded if isinstance(item, Decoded)] == ["a", "b"]

    @pytest.mark.parametrize("tail", [b"\xc1", b"\x82\xa4type", b"\xdf\xff\xff\xff\xff"])
    def test_sequence_is_refused_as_a_whole_when_its_end_is_broken(self, tail):
        """A sequence with a broken object is refused as a whole, because the next object cannot be found."""
        body = msgspec.msgpack.encode({"type": "a"}) + tail
        with pytest.raises(SubmissionError) as caught:
            split_batch(body, BatchFormat(MSGPACK, is_sequence=True))
        assert refusal_of(caught.value).status == 400
        assert caught.value.errors[0].pointer == "/1"


@pytest.mark.parametrize("byte", [b"\x90", b"\x91", b"\x81", b"\x00", b"[", b"{", b"1,", b'"', b"\n"])
@pytest.mark.parametrize("encoding", [JSON, MSGPACK])
def test_body_of_one_repeated_byte_is_refused(byte, encoding):
    """A megabyte of one byte that opens a container each time is refused."""
    body = byte * (limits.MAX_BODY_BYTES // len(byte))
    assert refusal_of(refusal(body, encoding)).status in {400, 422}
    check_any(body, encoding)


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 70), 1 << 70)
    | st.floats()
    | st.text(max_size=8)
    | st.binary(max_size=8)
    | st.datetimes(timezones=st.just(UTC)),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4) | st.integers(0, 9), inner, max_size=4)
    ),
    max_leaves=12,
)
SUBMISSIONS = st.fixed_dictionaries(
    {"type": st.sampled_from(["a", "email.send", "A"])},
    optional={
        "payload": VALUES,
        "priority": st.sampled_from(["high", "x"]),
        "run_at": st.datetimes(timezones=st.just(UTC)) | st.text(max_size=4),
        "delay_s": st.floats(),
        "expires_in_s": st.floats(),
        "max_attempts": st.integers(-1, 2000) | st.sampled_from([3.0, 3.5]),
        "backoff": st.fixed_dictionaries(
            {}, optional={"kind": st.sampled_from(["linear", "x"]), "base_s": st.floats()}
        ),
        "tags": st.dictionaries(st.text(max_size=3), st.text(max_size=3) | st.integers(), max_size=3),
        "nope": st.none(),
    },
)


@st.composite
def mutated_bodies(draw: st.DrawFn) -> tuple[bytes, Encoding]:
    """Return submissions of some encoding with a few bytes changed, dropped or doubled."""
    encoding = draw(st.sampled_from(Encoding))
    try:
        body = bytearray(ENCODE[encoding](draw(SUBMISSIONS)))
    except (OverflowError, UnicodeEncodeError):
        body = bytearray(ENCODE[encoding]({"type": "a"}))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, max(0, len(body) - 1)))
        size = draw(st.integers(0, 4))
        body[at : at + size] = draw(st.binary(max_size=4))
    return bytes(body), encoding


def check_any(body: bytes, encoding: Encoding) -> None:
    """Check that any bytes are a value that JSON can express, or a refusal that can be answered."""
    decoded = decode_item(body, encoding, "")
    if isinstance(decoded, SubmissionError):
        check_refusal(decoded)
    else:
        shown = msgspec.json.encode(msgspec.msgpack.decode(decoded.payload))
        assert b"\\u0000" not in shown.replace(b"\\\\", b"")
    for is_sequence in (False, True):
        try:
            items = decode_batch(body, BatchFormat(encoding, is_sequence))
        except SubmissionError as error:
            items = [error]
        for item in items:
            if isinstance(item, SubmissionError):
                check_refusal(item)


def check_refusal(error: SubmissionError) -> None:
    """Check that a refusal has a 4xx status and can be encoded."""
    assert refusal_of(error).status in {400, 413, 422}
    problem = refusal_of(error).problem()
    assert len(msgspec.json.encode(problem)) < 10_000
    assert problem.detail
    assert not python_in(problem.detail)


@given(mutated_bodies())
@example((payload_body(b"\x81\xd4\x05a\x01", MSGPACK), MSGPACK))
@example((payload_body(b"\x81\x92\x01\x80\x01", MSGPACK), MSGPACK))
@example((payload_body(b"\xcb" + struct.pack(">d", -0.0), MSGPACK), MSGPACK))
def test_submission_is_decoded_or_refused_when_it_is_mutated(case):
    """A mutated submission raises SubmissionError, or decodes to what JSON can express."""
    check_any(*case)


@given(st.binary(max_size=64), st.sampled_from(Encoding))
def test_submission_is_decoded_or_refused_when_it_is_random(body, encoding):
    """Random bytes raise SubmissionError or decode to a value."""
    check_any(body, encoding)


def same_moments(kept: Any, sent: Any) -> bool:
    """Whether a value was kept as it was sent, each time as the text of its moment."""
    match sent:
        case datetime():
            return isinstance(kept, str) and datetime.fromisoformat(kept) == sent
        case dict():
            return kept.keys() == sent.keys() and all(same_moments(kept[key], one) for key, one in sent.items())
        case list():
            return len(kept) == len(sent) and all(map(same_moments, kept, sent))
    return bool(kept == sent)


@given(VALUES)
def test_payload_is_taken_exactly_when_it_survives_json(value):
    """A payload is kept if it survives JSON, unchanged but for its times, and is refused with a pointer otherwise."""
    try:
        body = msgspec.msgpack.encode({"type": "a", "payload": value})
    except (OverflowError, UnicodeEncodeError):
        return
    decoded = decode_item(body, MSGPACK, "")
    if isinstance(decoded, SubmissionError):
        assert decoded.errors[0].pointer.startswith("/payload")
    else:
        kept = msgspec.msgpack.decode(decoded.payload)
        assert kept == decoded.value
        assert same_moments(kept, value)
