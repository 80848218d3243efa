"""What callbacks of batches say of these."""

import pytest

from millstream_contracts import (
    BATCH_COUNTS_TAG,
    BATCH_EVENT_TAG,
    BATCH_TAGS,
    BatchEvent,
    BatchId,
    FiredBatch,
    MemberState,
    fired_batch,
    limits,
)

FIRED = FiredBatch(
    id=BatchId("BA_00" + "0" * 26),
    name="n" * 64,
    event=BatchEvent.SUCCESS,
    counts=dict.fromkeys(MemberState, limits.MAX_BATCH_MEMBERS),
)


def test_a_callback_knows_its_batch_by_its_tags() -> None:
    """The tags of a callback say its batch, the event and the counts, next to those of its own."""
    assert fired_batch({**FIRED.tags, "customer": "42"}) == FIRED
    assert set(FIRED.tags) == set(BATCH_TAGS)


def test_the_tags_of_the_largest_batch_keep_the_bounds_of_tags() -> None:
    """No name and no counts make a tag that is longer than tags may be."""
    assert all(len(key) <= limits.MAX_TAG_CHARS >= len(value) for key, value in FIRED.tags.items())


@pytest.mark.parametrize("changed", [{BATCH_EVENT_TAG: "on_fire"}, {BATCH_COUNTS_TAG: "dead=many"}])
def test_tags_of_a_client_that_say_something_else_are_no_callback(changed: dict[str, str]) -> None:
    """A job with tags of these names that say something else is no callback."""
    assert fired_batch({**FIRED.tags, **changed}) is None


@pytest.mark.parametrize("missing", [None, "batch", BATCH_EVENT_TAG])
def test_a_job_without_the_tags_is_no_callback(missing: str | None) -> None:
    """A job is a callback by the batch and the event together."""
    tags = {key: value for key, value in FIRED.tags.items() if missing is not None and key != missing}
    assert fired_batch(tags or None) is None
