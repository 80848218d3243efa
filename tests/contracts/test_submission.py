"""A submission with a wrong field is refused with the place of the mistake."""

import math
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from millstream_contracts import NAME_PATTERN, Batch, Priority, Submission, limits


def decode(**fields: object) -> Submission:
    """Decode a submission as ingest does."""
    return msgspec.json.decode(msgspec.json.encode({"type": "a", **fields}), type=Submission)


def in_ten_years(more: timedelta = timedelta()) -> str:
    """Return a moment at the far end of what can be asked for."""
    return (datetime.now(UTC) + timedelta(seconds=limits.MAX_DELAY_S) + more).isoformat()


@given(st.from_regex(NAME_PATTERN, fullmatch=True))
def test_type_takes_every_name(name: str) -> None:
    """A type accepts every name of the one pattern."""
    assert decode(type=name).type == name


@pytest.mark.parametrize(
    "name",
    ["", "A", "a_b", "a/b", "{a}", "a b", "-a", ".a", "a\n", "\na", "a\x00", "é", "a" * 65, "a:b", "*", "٣"],
)
def test_type_refuses_what_is_no_name(name: str) -> None:
    """A type refuses what would change a hash slot, be a part of a path, or look like another key."""
    with pytest.raises(msgspec.ValidationError, match=r"\$\.type"):
        decode(type=name)


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"type": None}, "$.type"),
        ({"type": 5}, "$.type"),
        ({"priority": "urgent"}, "$.priority"),
        ({"priority": 1}, "$.priority"),
        ({"run_at": "tomorrow"}, "$.run_at"),
        ({"run_at": "2026-01-01T00:00:00"}, "$.run_at"),
        ({"run_at": 1700000000}, "$.run_at"),
        ({"delay_s": -0.1}, "$.delay_s"),
        ({"delay_s": "5"}, "$.delay_s"),
        ({"delay_s": True}, "$.delay_s"),
        ({"delay_s": limits.MAX_DELAY_S * 1.01}, "$.delay_s"),
        ({"delay_s": 1e308}, "$.delay_s"),
        ({"expires_in_s": 0}, "$.expires_in_s"),
        ({"expires_in_s": -1}, "$.expires_in_s"),
        ({"max_attempts": 0}, "$.max_attempts"),
        ({"max_attempts": limits.MAX_ATTEMPTS + 1}, "$.max_attempts"),
        ({"max_attempts": 10**30}, "$.max_attempts"),
        ({"timeout_s": 0}, "$.timeout_s"),
        ({"timeout_s": limits.MAX_TIMEOUT_S * 2}, "$.timeout_s"),
        ({"backoff": {"kind": "x"}}, "$.backoff.kind"),
        ({"backoff": {"factor": 2}}, "$.backoff"),
        ({"tags": {"": "x"}}, "$.tags"),
        ({"tags": {"a": 5}}, "$.tags"),
        ({"tags": {"a": "x" * (limits.MAX_TAG_CHARS + 1)}}, "$.tags"),
        ({"tags": {"a" * (limits.MAX_TAG_CHARS + 1): "x"}}, "$.tags"),
        ({"tags": {str(at): "x" for at in range(limits.MAX_TAGS + 1)}}, "$.tags"),
        ({"retries": 3}, "retries"),
        ({"run_at": "1969-12-31T23:59:59Z"}, "run_at"),
        ({"run_at": "0001-01-01T00:00:00+14:00"}, "run_at"),
        ({"run_at": "9999-12-31T23:59:59.999999Z"}, "run_at"),
        ({"expires_at": "9999-12-31T23:59:59.999999-12:00"}, "expires_at"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_submission_refuses_wrong_fields(fields: dict, pointer: str) -> None:
    """A wrong field is refused with its place."""
    with pytest.raises(msgspec.ValidationError) as caught:
        decode(**fields)
    assert pointer in str(caught.value)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("field", ["delay_s", "expires_in_s", "timeout_s"])
def test_submission_refuses_what_is_no_number_in_messagepack(field: str, value: float) -> None:
    """NaN and infinity in MessagePack are refused as times."""
    with pytest.raises(msgspec.ValidationError, match=field):
        msgspec.msgpack.decode(msgspec.msgpack.encode({"type": "a", field: value}), type=Submission)


def test_submission_takes_the_ends_of_what_is_allowed() -> None:
    """The bounds themselves are accepted."""
    near = decode(delay_s=0, max_attempts=1, run_at="1970-01-01T00:00:00Z", tags={}, priority="low")
    far = decode(
        delay_s=limits.MAX_DELAY_S,
        expires_in_s=limits.MAX_DELAY_S,
        max_attempts=limits.MAX_ATTEMPTS,
        timeout_s=limits.MAX_TIMEOUT_S,
        expires_at="2999-12-31T23:59:59.999999Z",
        tags={str(at).zfill(limits.MAX_TAG_CHARS): "x" * limits.MAX_TAG_CHARS for at in range(limits.MAX_TAGS)},
    )
    assert (near.delay_s, near.priority, far.max_attempts) == (0.0, Priority.LOW, limits.MAX_ATTEMPTS)
    with pytest.raises(msgspec.ValidationError):
        decode(run_at="3000-01-01T00:00:00Z")


@pytest.mark.parametrize("field", ["run_at", "expires_at"])
def test_what_is_too_far_away_depends_on_the_clock_that_is_asked(field: str) -> None:
    """Whether a time is too far away depends on the clock that is given, which is that of Redis in ingest."""
    at = datetime(2026, 11, 26, tzinfo=UTC)
    submission = decode(**{field: at.isoformat()})
    edge_s = at.timestamp() - limits.MAX_DELAY_S
    assert submission.too_far(edge_s) is None
    assert submission.too_far(edge_s - 1) == field


def test_payload_stays_as_it_was_sent() -> None:
    """A payload is not decoded, and is empty when it is left out."""
    raw = msgspec.json.decode(b'{"type":"a","payload": [1, {"b": NaN }]}'.replace(b"NaN", b"1e400"), type=Submission)
    assert bytes(raw.payload) == b'[1, {"b": 1e400 }]'
    assert bytes(decode().payload) == b""


@pytest.mark.parametrize("jobs", [[], ["x"] * (limits.MAX_BATCH_JOBS + 1)], ids=len)
def test_batch_has_at_least_one_job_and_a_bound(jobs: list[str]) -> None:
    """A batch has at least one job and a largest number of them."""
    with pytest.raises(msgspec.ValidationError, match="jobs"):
        msgspec.json.decode(msgspec.json.encode({"jobs": jobs}), type=Batch)


def test_batch_leaves_each_job_undecoded() -> None:
    """The jobs of a batch are not decoded with it, so that a bad one affects no other."""
    batch = msgspec.json.decode(b'{"jobs":[{"type":"a"},5]}', type=Batch)
    assert [bytes(job) for job in batch.jobs] == [b'{"type":"a"}', b"5"]
