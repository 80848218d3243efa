"""Reads query strings: every parameter is known, stands once and has a valid value, or the response is 400."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from urllib.parse import parse_qsl

from msgspec import Struct

from millstream_contracts import NAME_PATTERN, TERMINAL_STATES, FieldError, JobState, JobType, did_you_mean, limits
from millstream_history import SEARCH_CURSOR_PREFIX
from millstream_ingest.http.errors import IngestError
from millstream_ingest.http.preferences import parse_wait
from millstream_ingest.http.problems import BAD_REQUEST
from millstream_submission import A_TYPE_NAME, MAX_QUOTED_CHARS

TAG = "tag."
"""Before the name of a tag. As a known parameter it stands for those of all tags."""

DEFAULT_LIMIT = 50
MAX_PARAMETERS = 32
MAX_TYPES = 100

_SEARCHING = frozenset({"q", "created_after", "created_before", "as_of", "count"})
"""Parameters that only a search of the history has."""

_MOST_DIGITS = 6
_SECONDS_AGO = re.compile(r"([0-9]{1,9})s")
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
        return self.limit_or(DEFAULT_LIMIT)

    def limit_or(self, default: int) -> int:
        """Return how many items there are to be at most. Raises: IngestError (400)."""
        return self.number("limit", default, limits.MAX_PAGE)

    @property
    def type(self) -> JobType | None:
        """Return the job type to show, or None for all. Raises: IngestError (400)."""
        text = self.values.get("type")
        if text is not None and not is_job_type(text):
            raise _refused("type", f"expected {A_TYPE_NAME}; got `{_cut(text)}`")
        return None if text is None else JobType(text)

    @property
    def name(self) -> str | None:
        """Return the name of the workflows to show, or None for all. Raises: IngestError (400)."""
        text = self.values.get("name")
        if text is not None and _NAME.fullmatch(text) is None:
            raise _refused("name", f"expected lower-case letters, digits, dots and hyphens; got `{_cut(text)}`")
        return text

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
        """Return the state to show, or None for all. Raises: IngestError (400)."""
        word = self.word("state", _STATES)
        return None if word is None else JobState(word)

    @property
    def listed_state(self) -> JobState | None:
        """Return the state of a list, or None for all: one that is no end. Raises: IngestError (400)."""
        return self.state

    @property
    def is_search(self) -> bool:
        """Whether something is asked for that only the history knows. Raises: IngestError (400)."""
        return (
            not self.values.keys().isdisjoint(_SEARCHING)
            or bool(self.tags)
            or self.state in TERMINAL_STATES
            or (self.cursor or "").startswith(SEARCH_CURSOR_PREFIX)
        )

    @property
    def q(self) -> str:
        """Return the text of a search."""
        return self.values.get("q", "")

    @property
    def tags(self) -> dict[str, str]:
        """Return the tags that jobs have to have. Raises: IngestError (400)."""
        found = {name.removeprefix(TAG): text for name, text in self.values.items() if name.startswith(TAG)}
        for key, text in found.items():
            if len(found) > limits.MAX_TAGS or max(len(key), len(text)) > limits.MAX_TAG_CHARS:
                raise _refused(
                    f"{TAG}{_cut(key)}",
                    f"a job has at most {limits.MAX_TAGS} tags of {limits.MAX_TAG_CHARS} characters",
                )
            if "\0" in key + text:
                raise _refused(TAG, "no tag has a NUL")
        return found

    def switch(self, name: str) -> bool:
        """Return whether a parameter is 1; without it, it is 0. Raises: IngestError (400)."""
        text = self.values.get(name, "0")
        if text not in {"0", "1"}:
            raise _refused(name, f"expected 0 or 1, got `{_cut(text)}`")
        return text == "1"

    def time(self, name: str) -> datetime | None:
        """Return a parameter that is a time, or None without it. Raises: IngestError (400)."""
        text = self.values.get(name)
        if text is None:
            return None
        try:
            found = datetime.fromisoformat(text)
            return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
        except (ValueError, OverflowError):
            raise _refused(name, f"expected a time such as 2026-11-01T12:00:00Z, got `{_cut(text)}`") from None

    def ago(self, name: str, now: datetime) -> datetime | None:
        """Return a parameter that is a time, or how long ago it was: `3600s`. Raises: IngestError (400)."""
        length = _SECONDS_AGO.fullmatch(self.values.get(name, ""))
        return now - timedelta(seconds=int(length[1])) if length else self.time(name)

    def word(self, name: str, known: Sequence[str]) -> str | None:
        """Return a parameter that is one of some words, or None without it. Raises: IngestError (400)."""
        text = self.values.get(name)
        if text is not None and text not in known:
            choice = ", ".join(f"`{one}`" for one in known)
            raise _refused(name, f"expected one of {choice}, got `{_cut(text)}`{did_you_mean(_cut(text), known)}")
        return text

    def number(self, name: str, default: int, most: int) -> int:
        """Return a parameter that is a number from 1 on. Raises: IngestError (400)."""
        text = self.values.get(name)
        if text is None:
            return default
        whole = _WHOLE_NUMBER.fullmatch(text)
        if whole is None or not 1 <= int(whole[1]) <= most:
            raise _refused(name, f"expected an integer from 1 to {most}, got `{_cut(text)}`")
        return int(whole[1])

    def place(self, name: str, most: int) -> int:
        """Return a parameter that is a place in a text, the end of it by default. Raises: IngestError (400)."""
        text = self.values.get(name)
        if text is None:
            return most
        if not (text.isascii() and text.isdecimal() and len(text) <= _MOST_DIGITS):
            raise _refused(name, f"expected an integer from 0, got `{_cut(text)}`")
        return min(int(text), most)

    @property
    def wait_s(self) -> float:
        """Return how long to hold the response back. Raises: IngestError (400)."""
        text = self.values.get("wait")
        return 0.0 if text is None else parse_wait(text, "?wait")


_STATES = [state.value for state in JobState]
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
        if not _is_known(name, known):
            raise _refused(_cut(name), f"unknown parameter{did_you_mean(_cut(name), known)}")
        if name in values:
            raise _refused(name, "stands more than once")
        values[name] = value
    return Query(values)


def _is_known(name: str, known: Sequence[str]) -> bool:
    if name.startswith(TAG) and TAG in known:
        return name != TAG
    return name in known


def _refused(name: str, detail: str) -> IngestError:
    return IngestError(BAD_REQUEST, f"`{name}`: {detail}", [FieldError(f"?{name}", detail)])


def _cut(text: str) -> str:
    return text if len(text) <= MAX_QUOTED_CHARS else text[:MAX_QUOTED_CHARS] + "…"
