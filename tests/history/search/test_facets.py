"""The facets of a search count its newest jobs, and say which counts are exact."""

from collections import Counter
from collections.abc import Callable, Iterable

import pytest
from history.search.crowd import TYPES
from history.search.test_pages import KINDS, LONG_S, query

from millstream_contracts import Facet, FacetValue, Job
from millstream_history import History
from millstream_history.search.facets.finder import SAMPLE, FoundFacets
from millstream_history.search.facets.sample import MAX_VALUES

READERS: dict[str, Callable[[Job], str | None]] = {
    "state": lambda job: job.state,
    "type": lambda job: job.type,
    "worker": lambda job: job.worker,
    "fingerprint": lambda job: job.error.fingerprint if job.error else job.reason and f"reason:{job.reason}",
    "tag.env": lambda job: (job.tags or {}).get("env"),
    "tag.customer": lambda job: (job.tags or {}).get("customer"),
}
RULES = dict(KINDS)


async def facets_of(history: History, q: str, budget_s: float = LONG_S, **fields) -> FoundFacets:
    """Return the facets of a query, with more time than is needed."""
    return await history.search.facets(query(q, **fields), known_types=TYPES, budget_s=budget_s)


def truth(jobs: Iterable[Job], field: str) -> Counter[str]:
    """Return how many of some jobs have each value of a field."""
    return Counter(value for job in jobs if (value := READERS[field](job)) is not None)


def most_frequent(counts: Counter[str]) -> list[tuple[str, int]]:
    """Return the values of a facet as they are to be shown."""
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:MAX_VALUES]


def shown(facets: Iterable[Facet]) -> dict[str, list[tuple[str, int]]]:
    """Return the values of facets, by field."""
    return {one.field: [(value.value, value.count) for value in one.values] for one in facets}


def same_field(found: FoundFacets, facet: Facet) -> list[FacetValue]:
    """Return the values that other facets have of a field."""
    return [value for one in found.facets if one.field == facet.field for value in one.values]


SMALL = [q for q, _ in KINDS if q != "payload.user.id:424242"]


@pytest.mark.parametrize("q", SMALL, ids=[q or "all" for q in SMALL])
async def test_facets_count_what_a_search_finds(crowded, history, q):
    """Of a search that finds at most SAMPLE jobs each count is exact; of another it is that of the newest of them."""
    matches = [job for job in crowded.jobs if RULES[q](job)]
    found = await facets_of(history, q)
    assert found.is_complete == (len(matches) <= SAMPLE)
    assert found.count.value == min(len(matches), SAMPLE)
    newest = matches[:SAMPLE]
    expected = {field: values for field in READERS if (values := most_frequent(truth(newest, field)))}
    for facet in found.facets:
        counts, all_counts = truth(newest, facet.field), truth(matches, facet.field)
        for value in facet.values:
            correct = all_counts if value.relation == "exact" else counts
            assert value.count == correct[value.value], (facet.field, value)
    if found.is_complete:
        assert shown(found.facets) == expected
        assert {value.relation for facet in found.facets for value in facet.values} <= {"exact"}


async def test_facets_of_a_large_search_know_what_an_index_tells(crowded, history):
    """Of more jobs than are looked at, types and the states that are no success are counted exactly all the same."""
    found = await facets_of(history, "")
    relations = {facet.field: {value.value: value.relation for value in facet.values} for facet in found.facets}
    assert not found.is_complete
    assert relations["state"]["dead"] == relations["state"]["expired"] == "exact"
    assert set(relations["type"].values()) == {"exact"}
    assert relations["state"]["succeeded"] == relations["worker"]["web-1"] == "at_least"


@pytest.mark.parametrize("q", ["state:dead,expired type:email.*", "tag.env:staging", "worker:web-7 has:error"])
async def test_the_query_of_a_facet_finds_the_jobs_that_it_counts(crowded, history, q):
    """The query of a value finds as many jobs as its count says; that of a selected one has one condition less."""
    found = await facets_of(history, q)
    for facet in found.facets:
        for value in facet.values:
            narrowed = await facets_of(history, value.q)
            if value.is_selected:
                assert not any(one.is_selected and one.value == value.value for one in same_field(narrowed, facet))
            else:
                assert narrowed.count.value == value.count, value


async def test_what_a_query_asks_for_is_selected(history):
    """A value that a term names is selected, and its query is without it."""
    found = {facet.field: facet for facet in (await facets_of(history, "state:dead,expired -type:sms.send")).facets}
    queries = {value.value: (value.is_selected, value.q) for value in found["state"].values}
    assert queries["dead"] == (True, "state:expired -type:sms.send")
    assert all(not value.is_selected for value in found["type"].values)


async def test_a_fingerprint_has_the_type_of_its_error(crowded, history):
    """A fingerprint is shown with the type of an error that has it."""
    [facet] = [one for one in (await facets_of(history, "state:dead")).facets if one.field == "fingerprint"]
    types = {job.error.type for job in crowded.jobs if job.error}
    assert {value.label for value in facet.values} <= types


async def test_a_tag_that_groups_nothing_is_left_out(crowded, history):
    """A tag of which hardly two jobs have the same value is left out, unless it has few values in all."""
    found = await facets_of(history, "payload.user.id:500..")
    assert "tag.env" in {facet.field for facet in found.facets}
    assert "tag.customer" not in {facet.field for facet in found.facets}


async def test_facets_without_time_are_counted_in_what_was_seen(crowded, history):
    """With little time the facets are of fewer jobs, and no count is above the truth."""
    found = await facets_of(history, "payload.amount:>990", budget_s=0.3)
    matches = [job for job in crowded.jobs if RULES["payload.amount:>990"](job)]
    for facet in found.facets:
        all_counts = truth(matches, facet.field)
        assert all(value.count <= all_counts[value.value] for value in facet.values)
