"""Keys of jobs: which one a job has, and which partition it chooses."""

from collections import Counter
from typing import Any

import msgspec
import pytest

from millstream_contracts import TypePolicy, limits
from millstream_submission import JSON, InvalidError, decode_submission, key_of, partition_of

BY_CUSTOMER = TypePolicy(key="order.customer")


def key(payload: Any, own: str | None = None, policy: TypePolicy = BY_CUSTOMER) -> str:
    """Return the key of a submission."""
    body = msgspec.json.encode({"type": "a", "payload": payload, "key": own})
    return key_of(decode_submission(body, JSON), policy)


@pytest.mark.parametrize(
    ("value", "found"),
    [("acme", "acme"), ("é %/", "é %/"), (17, "17"), (17.0, "17"), (-0.5, "-0.5"), (1 << 63, str(1 << 63)), ("", "")],
)
def test_the_payload_has_the_key_in_the_field_that_the_policy_names(value: Any, found: str) -> None:
    """A text is the key itself, a number is written as text, and equal numbers are one key."""
    assert key({"order": {"customer": value, "other": [1]}}) == found


@pytest.mark.parametrize(
    "payload", [None, [], "acme", {}, {"order": None}, {"order": {}}, {"order": {"customer": None}}]
)
def test_a_payload_without_the_field_has_no_key(payload: Any) -> None:
    """What the handler may leave out is no error of the submission."""
    assert key(payload) == ""


def test_the_key_of_the_submission_wins() -> None:
    """A client that names a key means it, whatever the payload has."""
    assert key({"order": {"customer": "acme"}}, "other") == "other"
    assert key({"order": {"customer": [1]}}, "other") == "other"
    assert key({"order": {"customer": "acme"}}, policy=TypePolicy()) == ""


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (True, "is neither text nor a number"),
        (["acme"], "is neither text nor a number"),
        ("x" * (limits.MAX_KEY_BYTES + 1), "has more than 255 bytes in UTF-8"),
    ],
)
def test_a_value_that_cannot_be_a_key_is_refused_where_it_stands(value: Any, told: str) -> None:
    """The answer names the field of the payload, and what it is there for."""
    with pytest.raises(InvalidError) as refused:
        key({"order": {"customer": value}})
    (error,) = refused.value.errors
    assert error.pointer == "/payload/order/customer"
    assert error.detail == f"is the key of jobs of the type `a`, and {told}"


def test_jobs_of_a_key_are_in_one_partition_and_keys_in_all() -> None:
    """A key chooses the partition whatever the request was, and many keys use every partition."""
    policy = TypePolicy(partitions=4)
    keys = [f"customer {number}" for number in range(400)]
    chosen = {one: {partition_of(policy, one, seed) for seed in (None, 0, 1)} for one in keys}
    assert all(len(found) == 1 for found in chosen.values())
    assert set(Counter(partition for found in chosen.values() for partition in found)) == {0, 1, 2, 3}
