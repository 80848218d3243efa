"""Packing jobs into requests."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from millstream.new_job import NewJob, batches
from millstream_contracts import limits


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(0, 3), max_size=10))
def test_batches_hold_every_job_once_in_order(sizes: list[int]) -> None:
    """Whatever their sizes, the jobs go out once each, in order, in bodies that the API takes."""
    filling = "x" * (limits.MAX_BATCH_BODY_BYTES // 4)
    jobs = [NewJob("x", [number, filling[: size * len(filling) // 2]]) for number, size in enumerate(sizes)]
    packed = list(batches(jobs))
    sent = [job["payload"][0] for _, body in packed for job in msgspec.msgpack.decode(body)["jobs"]]
    assert sent == list(range(len(jobs)))
    assert all(len(body) <= limits.MAX_BATCH_BODY_BYTES for _, body in packed)
    assert [count for count, _ in packed] == [len(msgspec.msgpack.decode(body)["jobs"]) for _, body in packed]


def test_batches_fill_a_request_before_the_next_when_jobs_are_large() -> None:
    """Jobs are not spread over more requests than their bytes need."""
    quarter = "x" * (limits.MAX_BATCH_BODY_BYTES // 4)
    assert [count for count, _ in batches([NewJob("x", quarter)] * 7)] == [3, 3, 1]


def test_new_job_hides_its_payload_when_shown() -> None:
    """Payloads stay out of logs."""
    assert "secret" not in repr(NewJob("x", {"password": "secret"}))


def test_text_that_is_no_unicode_is_a_clear_error() -> None:
    """A lone surrogate, from a file name or a cut emoji, cannot be stored; the error names the type and no payload."""
    with pytest.raises(TypeError, match=r"the payload of `email\.send` cannot be encoded"):
        NewJob("email.send", {"to": "\ud83d"})
