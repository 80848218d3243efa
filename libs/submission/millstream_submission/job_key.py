"""The key of a job, which its submission has, or the payload at the place that the policy of its type names."""

import hashlib
import random
from typing import Any

from msgspec import Struct

from millstream_contracts import FieldError, TypePolicy
from millstream_submission.decoding import Decoded
from millstream_submission.errors import invalid
from millstream_submission.field_errors import pointer
from millstream_submission.payload_fields import value_at
from millstream_submission.rules import key_fault

_EXACT_IN_A_FLOAT = 1 << 53


def key_of(decoded: Decoded, policy: TypePolicy, prefix: str = "") -> str:
    """Return the key of the job of a submission; empty for none.

    A payload without the field that the policy names, or with null or an empty text there, has no key.
    Raises: InvalidError, for a value there that cannot be a key; `prefix` is the pointer to the submission.
    """
    if decoded.submission.key is not None:
        return decoded.submission.key
    if policy.key is None:
        return ""
    names = policy.key.split(".")
    value = value_at(decoded.payload, names)
    key = _text_of(value)
    fault = "neither text nor a number" if key is None else key_fault(key)
    if key is None or fault:
        detail = f"is the key of jobs of the type `{decoded.submission.type}`, and {_verb(fault)}{fault}"
        raise invalid(FieldError(prefix + pointer("payload", *names), detail))
    return key


class Placing(Struct, frozen=True):
    """In which partition jobs lie that are made later, such as those of a schedule or of a node."""

    partitions: int = 1
    chosen: int | None = None
    """The one that their key chooses; None where they are spread."""

    def partition_by(self, seed: int) -> int:
        """Return the partition of the job with this number, which is the same whenever it is asked for."""
        return seed % self.partitions if self.chosen is None else self.chosen


def partition_of(policy: TypePolicy, key: str, seed: int | None) -> int:
    """Return the partition of a job.

    All jobs of a key are in one, so that the limits of the key hold exactly. Without a key `seed` chooses, so that a
    repetition finds the partition of the first request; without either it is drawn.
    """
    if policy.partitions == 1:
        return 0
    if key:
        seed = int.from_bytes(hashlib.blake2b(key.encode(errors="surrogatepass"), digest_size=8).digest())
    if seed is None:
        return int(random.random() * policy.partitions)
    return seed % policy.partitions


def _text_of(value: Any) -> str | None:
    """Return a value as a key, the same for equal numbers; None for one that cannot be a key."""
    if value is None or isinstance(value, str):
        return value or ""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if isinstance(value, float) and value.is_integer() and abs(value) <= _EXACT_IN_A_FLOAT:
        value = int(value)
    return str(value)


def _verb(fault: str) -> str:
    return "is " if fault.startswith("neither") else ""
