"""Puts facets together from what was counted, each value with the query that asks for it."""

from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from millstream_contracts import CountRelation, Facet, FacetValue, JobError, place_of
from millstream_history.search.facets.exact_counts import Exact
from millstream_history.search.facets.own_fields import OwnCounts
from millstream_history.search.facets.sample import FIELDS, MAX_VALUES, TAG, Counted
from millstream_history.search.language.query_editor import QueryEditor
from millstream_history.search.language.writing import written_key
from millstream_history.search.secret_names import is_secret

FieldName = tuple[str, str | None]
"""A field, and the name of a tag."""

_EXACT: CountRelation = "exact"
_AT_LEAST: CountRelation = "at_least"


class Counts(Struct, frozen=True):
    """The values of all fields among the jobs that a query finds."""

    counted: Sequence[Counted]
    exact: Exact
    is_complete: bool


class FacetWriter:
    """Writes the facets of one query."""

    def __init__(self, editor: QueryEditor, errors: Mapping[str, JobError]) -> None:
        self._editor = editor
        self._errors = errors

    def facets(self, counts: Counts, own: Sequence[OwnCounts]) -> list[Facet]:
        """Return the facets, in their order; `own` has fields without the condition that the query has on them."""
        values: dict[FieldName, dict[str, FacetValue]] = {(field, None): {} for field in FIELDS if field != TAG}
        for one in counts.counted:
            self._put(values, one, _EXACT if counts.is_complete else _AT_LEAST)
        self._put_exact(values, counts.exact)
        for field in own:
            for one in field.counted:
                self._put(values, one, _EXACT if field.is_complete else _AT_LEAST)
            self._put_exact(values, field.exact)
        return [
            Facet(field=field if key is None else f"{field}.{written_key(key)}", values=_most_frequent(found.values()))
            for (field, key), found in values.items()
            if found
        ]

    def _put_exact(self, values: dict[FieldName, dict[str, FacetValue]], exact: Exact) -> None:
        for (field, value), count in exact.items():
            self._put(values, Counted(field, None, value, count), _EXACT)

    def _put(self, values: dict[FieldName, dict[str, FacetValue]], one: Counted, relation: CountRelation) -> None:
        """Take a count, unless a better one of the same value is there: an exact one, or one of more jobs."""
        if one.key is not None and is_secret(one.key):
            return
        field = values.setdefault((one.field, one.key), {})
        known = field.get(one.value)
        if known is None or (known.relation != _EXACT and (relation == _EXACT or one.count > known.count)):
            field[one.value] = self._value(one, relation)

    def _value(self, one: Counted, relation: CountRelation) -> FacetValue:
        toggled = self._editor.toggled(one.field, one.value, one.key)
        error = self._errors.get(one.value) if one.field == "fingerprint" else None
        return FacetValue(
            value=one.value,
            label=error.type if error else None,
            place=place_of(error.traceback) if error else None,
            count=one.count,
            relation=relation,
            is_selected=toggled.was_there,
            q=toggled.q,
        )


def _most_frequent(values: Iterable[FacetValue]) -> list[FacetValue]:
    """Return the values to show: those that are asked for, and then the most frequent ones."""
    shown = sorted(values, key=lambda one: (not one.is_selected, -one.count, one.value))[:MAX_VALUES]
    return sorted(shown, key=lambda one: (-one.count, one.value))
