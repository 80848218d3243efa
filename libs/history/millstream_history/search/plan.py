"""Makes a plan of a query: the range of time, the keys and the filters of what it looks for."""

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from millstream_contracts import JobId, JobState, Tenant, did_you_mean, is_among, made_at, queue_of
from millstream_history.errors import QueryError
from millstream_history.search.language.conditions import condition_of
from millstream_history.search.language.fields import FIELDS, FieldKind
from millstream_history.search.language.filters import Condition, Filter, IndexName, Key, fragment_of, like_patterns
from millstream_history.search.language.query_parser import parse_query
from millstream_history.search.language.terms import Term, Value, quotable
from millstream_history.search.language.value_readers import MILLISECOND, read_moment, span_of_times
from millstream_history.search.statement import Fragment

BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
"""No job is older: ids count from here."""

OPEN = Fragment(
    "state <> ALL({}::text[]) AND outcome IS DISTINCT FROM 'unknown'",
    (sorted(state.value for state in JobState if state.is_settled),),
)
"""The condition on jobs that have not settled."""

NOTHING = Filter(Fragment("FALSE"))
"""The condition that no job keeps."""

MAX_COMBINATIONS = 200
"""Most values of all keys, each with each: a page asks an index for every one of them."""


class JobQuery(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is searched for. It means the same jobs whenever it is asked: `1h` is an hour before `asked_at`."""

    tenant: Tenant
    asked_at: datetime
    q: str = ""
    type: str | None = None
    state: str | None = None
    tags: Mapping[str, str] = {}
    is_open: bool = False
    """Whether only jobs are meant that have not settled, as far as the history knows."""
    created_after: datetime | None = None
    """The first moment of the range."""
    created_before: datetime | None = None
    """The first moment after it."""
    types: tuple[str, ...] = ()
    """Patterns of the job types that who asks may see, whatever is asked for; empty for all."""

    @property
    def digest(self) -> bytes:
        """Return what tells this query from others, whenever either was asked."""
        told = msgspec.json.encode(replace(self, asked_at=BEGINNING), order="deterministic")
        return hashlib.blake2b(told, digest_size=8).digest()


class Plan(Struct, frozen=True, kw_only=True):
    """How a query is carried out."""

    tenant: Tenant
    asked_at: datetime
    begin: datetime
    """The first moment of the range; :data:`BEGINNING` without a bound."""
    end: datetime | None
    """The first moment after it."""
    keys: tuple[Key, ...] = ()
    filters: tuple[Filter, ...] = ()
    states: frozenset[str] | None = None
    """The states that are accepted; None for all."""
    workers: frozenset[str] = frozenset()
    """The workers one of which must have run the job; empty where that does not matter."""
    is_empty: bool = False
    """Whether no job can be found."""
    hint: str = ""
    """Why probably nothing is found."""

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """Return all conditions but that on the time."""
        return (*self.keys, *self.filters)

    def is_helped(self, indexes: frozenset[IndexName]) -> bool:
        """Whether an index without an order narrows the filters down."""
        return any(one.index in indexes for one in self.filters if one.index)


def plan_of(query: JobQuery, known_types: Sequence[str] | None = None) -> Plan:
    """Return the plan of a query.

    `known_types` are those of the tenant, for which patterns of types stand; without them each job is looked at.
    Raises: QueryError.
    """
    return _Planner(query, known_types).plan()


class _Planner:
    """Collects what the terms of one query ask for."""

    def __init__(self, query: JobQuery, known_types: Sequence[str] | None) -> None:
        self._query = query
        self._known_types = known_types
        self._begin, self._end = query.created_after or BEGINNING, query.created_before
        self._keys: list[Key] = []
        self._filters: list[Filter] = []
        self._states: frozenset[str] | None = None
        self._workers: frozenset[str] = frozenset()
        self._hint = ""
        self._is_empty = False

    def plan(self) -> Plan:
        """Return the plan."""
        for term in (*parse_query(self._query.q), *_terms_of_parameters(self._query)):
            self._take(term)
        if self._query.is_open:
            self._add(Filter(OPEN))
        if self._query.types:
            self._keep_types(self._query.types)
        self._spread_keys()
        if self._end is not None and self._end <= self._begin:
            self._is_empty, self._hint = True, self._hint or "the range of time is empty"
        return Plan(
            tenant=self._query.tenant,
            asked_at=self._query.asked_at,
            begin=max(self._begin, BEGINNING),
            end=self._end,
            keys=tuple(self._keys),
            filters=tuple(self._filters),
            states=self._states,
            workers=self._workers,
            is_empty=self._is_empty,
            hint=self._hint,
        )

    def _take(self, term: Term) -> None:
        kind = term.field.kind
        if kind in {FieldKind.SINCE, FieldKind.UNTIL}:
            self._take_bound(term)
        elif kind is FieldKind.TIME and term.field.column == "created_at" and not term.is_negated:
            span = span_of_times(term, self._query.asked_at)
            self._narrow(span.low, span.high)
        elif kind is FieldKind.TYPE:
            self._take_type(term)
        else:
            if kind is FieldKind.ID:
                self._take_times_of_ids(term)
            if kind is FieldKind.STATE:
                self._take_states(term)
            if term.field.column == "worker" and not term.is_negated:
                names = {value.text for value in term.values if not value.is_pattern}
                self._workers = frozenset(names) if len(names) == len(term.values) else self._workers
            self._add(condition_of(term, self._query.asked_at))

    def _take_bound(self, term: Term) -> None:
        name, value = term.field.name, term.values[0]
        if term.is_negated or term.operator != ":":
            raise QueryError(f"`{name}` is written {name}:1h", term.position, term.end)
        if len(term.values) > 1:
            raise QueryError(f"`{name}` has one value", term.values[1].position, term.values[1].end)
        found = read_moment(value, self._query.asked_at)
        if term.field.kind is FieldKind.SINCE:
            self._narrow(found.begin, None)
        else:
            self._narrow(None, found.end)

    def _narrow(self, begin: datetime | None, end: datetime | None) -> None:
        if begin is not None:
            self._begin = max(self._begin, begin)
        if end is not None:
            self._end = end if self._end is None else min(self._end, end)

    def _take_type(self, term: Term) -> None:
        if term.operator != ":":
            raise QueryError(f"`type` cannot be compared by `{term.operator}`", term.position, term.end)
        patterns = [value for value in term.values if value.is_pattern]
        names = [value.text for value in term.values if not value.is_pattern]
        known = self._known_types
        if patterns and known is None:
            self._add(_typed_like(names, patterns, is_negated=term.is_negated))
            return
        names += [name for name in known or () if any(_fits(name, value) for value in patterns)]
        if term.is_negated:
            self._filters += [Filter(Fragment("type <> ALL({}::text[])", (names,)))] if names else []
            return
        self._is_empty = self._is_empty or not names
        if known is not None and not set(names) & set(known):
            self._hint = _no_such_type(term.values[0], known)
        if names:
            self._add(Key("type", tuple(dict.fromkeys(names))))

    def _keep_types(self, patterns: Sequence[str]) -> None:
        """Leave out jobs of types that none of some patterns names."""
        asked = next((key for key in self._keys if key.column == "type"), None)
        if asked is None and self._known_types is None:
            self._add(_typed_like((), [Value(one) for one in patterns], is_negated=False))
            return
        among = self._known_types or () if asked is None else asked.values
        kept = tuple(one for one in dict.fromkeys(among) if is_among(one, patterns))
        self._keys = [key for key in self._keys if key is not asked]
        if kept:
            self._keys.append(Key("type", kept))
        else:
            self._is_empty = True
            self._filters.append(NOTHING)

    def _take_states(self, term: Term) -> None:
        named = frozenset(value.text for value in term.values)
        accepted = _STATES - named if term.is_negated else named
        self._states = accepted if self._states is None else self._states & accepted

    def _take_times_of_ids(self, term: Term) -> None:
        """Refuse what is no id, and look at the days of ids only."""
        whole = [value for value in term.values if not value.is_pattern]
        for value in whole:
            if queue_of(self._query.tenant, value.text) is None:
                detail = f"`{quotable(value.text)}` is no job id"
                raise QueryError(detail, value.position, value.end, "the beginning of one is written id:email.send_00*")
        if not term.is_negated and len(whole) == len(term.values):
            times = [made_at(JobId(value.text)) for value in whole]
            self._narrow(min(times), max(times) + MILLISECOND)

    def _add(self, condition: Key | Filter) -> None:
        """Add a condition; a second key on one column, and a filter by itself, are filters."""
        if isinstance(condition, Filter):
            self._filters.append(condition)
        elif any(key.column == condition.column for key in self._keys):
            self._filters.append(Filter(fragment_of(condition)))
        else:
            self._keys.append(condition)

    def _spread_keys(self) -> None:
        """Make filters of the keys that no index serves in the order of time beside others."""
        traces = [key for key in self._keys if key.column == "trace_id"]
        if traces and (self._filters or len(self._keys) > 1):
            self._keys.remove(traces[0])
            self._filters.append(Filter(fragment_of(traces[0]), "trace_id"))
        while _combinations(self._keys) > MAX_COMBINATIONS:
            largest = max(self._keys, key=lambda key: len(key.values))
            self._keys.remove(largest)
            self._filters.append(Filter(fragment_of(largest)))


_STATES = frozenset(state.value for state in JobState)


def _combinations(keys: Sequence[Key]) -> int:
    product = 1
    for key in keys:
        product *= len(key.values)
    return product


def _terms_of_parameters(query: JobQuery) -> Iterator[Term]:
    """Yield the terms of what stands beside `q`: each is text as it is, and no pattern."""
    for name, text in (("type", query.type), ("state", query.state)):
        if text is not None:
            yield Term(field=FIELDS[name], values=(Value(text, is_quoted=True),))
    for key, text in query.tags.items():
        yield Term(field=FIELDS["tag"], path=(key,), values=(Value(text, is_quoted=True),))


def _typed_like(names: Sequence[str], patterns: Sequence[Value], *, is_negated: bool) -> Filter:
    likes = [*names, *like_patterns(patterns)]
    return Filter(Fragment(f"{'NOT ' if is_negated else ''}type LIKE ANY({{}}::text[])", (likes,)))


def _fits(name: str, pattern: Value) -> bool:
    return re.fullmatch(".*".join(re.escape(part) for part in pattern.text.split("*")), name) is not None


def _no_such_type(value: Value, known: Sequence[str]) -> str:
    near = "" if value.is_pattern else did_you_mean(value.text, known)
    return f"no known job type {'fits' if value.is_pattern else 'is'} `{quotable(value.text)}`{near}"
