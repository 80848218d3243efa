"""The `Idempotency-Key` of a request, and the fingerprint of the request, as they are stored beside the job.

A key is scoped to the tenant and the job type, because its record has to be written in the same atomic step, and so in
the same cluster slot, as the job. docs/adr/0003-idempotency-keys.md has the reasons.

Source: draft-ietf-httpapi-idempotency-key-header; RFC 8941 section 3.3.3 for the quoted form.
"""

import hashlib
import re
from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct

from millstream_contracts import FieldError, JobId, Tenant, limits
from millstream_ingest.http.errors import IngestError
from millstream_ingest.http.problems import BAD_REQUEST, IDEMPOTENCY_KEY_REUSED, JOB_FORGOTTEN
from millstream_streams import Idempotency
from millstream_submission import Decoded

HEADER = "Idempotency-Key"

_VISIBLE = re.compile(rf"[\x20-\x7e]{{1,{limits.MAX_IDEMPOTENCY_KEY_CHARS}}}")
_QUOTED = re.compile(r'"((?:[^"\\]|\\["\\])*)"')
_DIGEST_BYTES = 16

# Two maps that differ in the order of their keys are one and the same request.
_encode = msgspec.msgpack.Encoder(order="sorted").encode
_decode = msgspec.msgpack.Decoder().decode


class IdempotencyKey(Struct, frozen=True):
    """A client's key for one request."""

    tenant: Tenant
    text: str
    route: str
    """Method and path: a batch and a single submission under one key are different requests."""

    def item(self, index: int) -> "IdempotencyKey":
        """Return the key of one item of a batch."""
        return IdempotencyKey(self.tenant, f"{self.text}#{index}", self.route)

    def of(self, decoded: Decoded) -> Idempotency:
        """Return the record of a submission. The encoding and the layout of its body make no difference."""
        if decoded.sent:
            return self.of_request(decoded.sent)
        submission = msgspec.structs.replace(decoded.submission, payload=msgspec.Raw(b"\xc0"))
        return self.of_request(submission, _decode(decoded.payload))

    def of_value(self, packed: bytes) -> Idempotency:
        """Return the record of a request whose body is this value, in MessagePack."""
        return self.of_request(_decode(packed))

    def of_request(self, *parts: Any) -> Idempotency:
        """Return the record of a request that consists of these parts."""
        request = _encode((self.route, *parts))
        key = hashlib.blake2b(f"{self.tenant}\0{self.text}".encode(), digest_size=_DIGEST_BYTES).digest()
        return Idempotency(key, hashlib.blake2b(request, digest_size=_DIGEST_BYTES).hexdigest())


def parse_key(tenant: Tenant, values: Sequence[str], route: str) -> IdempotencyKey | None:
    """Read the header of a request; None without one. Raises: IngestError (400)."""
    if not values:
        return None
    text = values[0].strip(" \t")
    if len(values) > 1:
        raise _refused("stands more than once")
    if text.startswith('"'):
        quoted = _QUOTED.fullmatch(text)
        if quoted is None:
            raise _refused("begins with a quote that nothing closes")
        text = re.sub(r"\\(.)", r"\1", quoted[1])
    if not _VISIBLE.fullmatch(text) or text.isspace():
        raise _refused(f"expected 1 to {limits.MAX_IDEMPOTENCY_KEY_CHARS} visible ASCII characters")
    return IdempotencyKey(tenant, text, route)


def _refused(why: str) -> IngestError:
    return IngestError(BAD_REQUEST, f"`{HEADER}`: {why}", [FieldError(f"{HEADER}:", why)])


def reused() -> IngestError:
    """Return the refusal of a key that came with another request before."""
    return IngestError(
        IDEMPOTENCY_KEY_REUSED,
        "a request with this key and another body was accepted before",
        [FieldError(f"{HEADER}:", "belongs to another request")],
    )


def forgotten(job_id: JobId) -> IngestError:
    """Return the refusal of a repetition whose job has ended and was deleted."""
    return IngestError(JOB_FORGOTTEN, f"this key made the job {job_id}, which has ended and can be read no longer")
