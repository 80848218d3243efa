"""Refuses job types that a key is not for, for routes and submissions that ask by themselves."""

from collections.abc import Sequence

from millstream_contracts import FieldError, is_among
from millstream_ingest.http.errors import IngestError
from millstream_ingest.http.problems import FORBIDDEN


def check_type(types: Sequence[str], job_type: str | None, pointer: str = "/type") -> None:
    """Refuse a job type that is none of these; without types every one is fine. Raises: IngestError (403).

    `pointer` is where the request says it, for a body.
    """
    if not types:
        return
    if job_type is None:
        raise IngestError(FORBIDDEN, f"name a job type, because the key is for {spoken(types)} alone")
    if not is_among(job_type, types):
        detail = f"the key is for the job types {spoken(types)}, and not for `{job_type[:64]}`"
        raise IngestError(FORBIDDEN, detail, [FieldError(pointer, detail)])


def spoken(types: Sequence[str]) -> str:
    """Return patterns as refusals name them."""
    return ", ".join(f"`{pattern}`" for pattern in types)
