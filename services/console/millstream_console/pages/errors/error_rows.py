"""Rows of the list of errors: an error that jobs of several types die of in one place of the code has one."""

from collections.abc import Iterable, Sequence

from msgspec import Struct

from millstream import DeadGroup

_OF_A_PLACE = "v2:"
"""How fingerprints begin that name a place in the code. Reasons and timeouts are those of their type."""


class ErrorRow(Struct, frozen=True):
    """What jobs have died of, in one type or in several."""

    groups: tuple[DeadGroup, ...]
    """Those of the types, the largest first."""

    @property
    def largest(self) -> DeadGroup:
        """The group that tells of the error."""
        return self.groups[0]

    @property
    def types(self) -> list[str]:
        """The job types that the error touches."""
        return [group.type for group in self.groups]

    @property
    def count(self) -> int:
        """How many jobs have died of it."""
        return sum(group.count for group in self.groups)

    @property
    def trend(self) -> Sequence[int] | None:
        """How many died in each of the last 24 hours; None where that is not known of all."""
        known = [group.trend for group in self.groups if group.trend is not None]
        if len(known) < len(self.groups):
            return None
        return [sum(hour) for hour in zip(*known, strict=False)]

    @property
    def query(self) -> str:
        """The search for its jobs, whatever their type."""
        return f'state:dead fingerprint:"{self.largest.fingerprint}"'


def rows_of(groups: Iterable[DeadGroup]) -> list[ErrorRow]:
    """Return groups as rows, the largest first."""
    found: dict[tuple[str, str], list[DeadGroup]] = {}
    for group in groups:
        is_of_place = group.fingerprint.startswith(_OF_A_PLACE)
        found.setdefault(("" if is_of_place else group.type, group.fingerprint), []).append(group)
    rows = [ErrorRow(tuple(sorted(some, key=lambda group: -group.count))) for some in found.values()]
    return sorted(rows, key=lambda row: -row.count)


def fits(row: ErrorRow, text: str) -> bool:
    """Whether a type or the error of a row contains a text, which is in lower case."""
    return any(_contains(group, text) for group in row.groups)


def _contains(group: DeadGroup, text: str) -> bool:
    error = group.sample.error
    return text in group.type.lower() or bool(error and text in f"{error.type}: {error.message}".lower())
