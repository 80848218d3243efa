"""Checks limits of the API, as keys and tenants are given them."""

from millstream_contracts import FieldError, RequestLimits
from millstream_ingest.http.errors import IngestError
from millstream_ingest.http.problems import INVALID_REQUEST


def checked_limits(asked: RequestLimits | None) -> RequestLimits | None:
    """Return limits as they are stored; None for those that limit nothing. Raises: IngestError (422)."""
    if asked is None or asked == RequestLimits():
        return None
    if asked.burst is not None and asked.submissions_per_s is None:
        fault = FieldError("/limits/burst", "goes with `submissions_per_s`, which is missing")
        raise IngestError(INVALID_REQUEST, errors=[fault])
    return asked
