"""Reads query strings: every parameter is known, stands once and has a valid value, or the response is 400."""

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from urllib.parse import parse_qsl

from msgspec import Struct

from millstream_contracts import NAME_PATTERN, FieldError, JobState, JobType, did_you_mean, limits
from millstream_ingest.http.errors import IngestError
from millstream_ingest.http.preferences import parse_wait
from millstream_ingest.http.problems import BAD_REQUEST, INVALID_REQUEST
from millstream_streams import LISTABLE_STATES
from millstream_submission import A_TYPE_NAME, MAX_QUOTED_CHARS

DEFAULT_LIMIT = 50
MAX_PARAMETERS = 32
MAX_TYPES = 100

_NAME = re.compile(NAME_PATTERN)
_TYPE_PATTERN = re.compile(r"[a-z0-9.*?-]{1,64}")
# With a fraction of zeros: in many languages every number is a float. Four digits, for `int` reads thousands of them.
_WHOLE_NUMBER = re.compile(r"([0-9]{1,4})(?:\.0*)?")


class Query(Struct, frozen=True):
    """The parameters of a request."""

    values: Mapping[str, str]

    @property
    def cursor(self) -> str | None:
        """Return the cursor of the list, or None for its beginning."""
        return self.values.get("cursor") or None

    @property
    def limit(self) -> int:
        """Return how many items a page has. Raises: IngestError (400)."""
        text = self.values.get("limit")
        if text is None:
            return DEFAULT_LIMIT
        whole = _WHOLE_NUMBER.fullmatch(text)
        if whole is None or not 1 <= int(whole[1]) <= limits.MAX_PAGE:
            raise _refused("limit", f"expected an integer from 1 to {limits.MAX_PAGE}, got `{_cut(text)}`")
        return int(whole[1])

    @property
    def type(self) -> JobType | None:
        """Return the job type to show, or None for all. Raises: IngestError (400)."""
        text = self.values.get("type")
        if text is not None and not is_job_type(text):
            raise _refused("type", f"expected {A_TYPE_NAME}; got `{_cut(text)}`")
        return None if text is None else JobType(text)

    @property
    def types(self) -> tuple[str, ...]:
        """Return the job types to count, as names and patterns such as `invoice.*`; `*` when none is given.

        Raises: IngestError (400).
        """
        text = self.values.get("types")
        if text is None:
            return ("*",)
        types = tuple(text.split(","))
        for one in types:
            if not _TYPE_PATTERN.fullmatch(one):
                detail = f"expected job types, or patterns such as invoice.*, separated by commas; got `{_cut(one)}`"
                raise _refused("types", detail)
        if len(types) > MAX_TYPES:
            raise _refused("types", f"expected at most {MAX_TYPES} of them, got {len(types)}")
        return types

    @property
    def state(self) -> JobState | None:
        """Return the state to show, or None for all. Raises: IngestError (400; 422 for one that is not listed)."""
        text = self.values.get("state")
        if text is None:
            return None
        known = [state.value for state in JobState]
        if text not in known:
            choice = ", ".join(f"`{one}`" for one in LISTABLE_STATES)
            detail = f"expected one of {choice}, got `{_cut(text)}`{did_you_mean(_cut(text), known)}"
            raise _refused("state", detail)
        if (state := JobState(text)) not in LISTABLE_STATES:
            listed = ", ".join(LISTABLE_STATES)
            detail = f"listed are {listed}; finished jobs are searched in history, which is not part of this release"
            raise IngestError(INVALID_REQUEST, f"jobs that are {state} are not listed", [FieldError("?state", detail)])
        return state

    @property
    def wait_s(self) -> float:
        """Return how long to hold the response back. Raises: IngestError (400)."""
        text = self.values.get("wait")
        return 0.0 if text is None else parse_wait(text, "?wait")


_NO_QUERY = Query(MappingProxyType({}))


def is_job_type(text: str) -> bool:
    """Whether a text is a valid name of a job type."""
    return _NAME.fullmatch(text) is not None


def parse_query(raw: bytes, known: Sequence[str]) -> Query:
    """Read a query string that may have `known` parameters only. Raises: IngestError (400)."""
    if not raw:
        return _NO_QUERY
    try:
        pairs = parse_qsl(raw.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MAX_PARAMETERS)
    except UnicodeDecodeError as error:
        raise IngestError(BAD_REQUEST, "the query string is not UTF-8, percent-encoded") from error
    except ValueError as error:
        raise IngestError(BAD_REQUEST, f"the query string has more than {MAX_PARAMETERS} parameters") from error
    values: dict[str, str] = {}
    for name, value in pairs:
        if name not in known:
            raise _refused(_cut(name), f"unknown parameter{did_you_mean(_cut(name), known)}")
        if name in values:
            raise _refused(name, "stands more than once")
        values[name] = value
    return Query(values)


def _refused(name: str, detail: str) -> IngestError:
    return IngestError(BAD_REQUEST, f"`{name}`: {detail}", [FieldError(f"?{name}", detail)])


def _cut(text: str) -> str:
    return text if len(text) <= MAX_QUOTED_CHARS else text[:MAX_QUOTED_CHARS] + "…"
