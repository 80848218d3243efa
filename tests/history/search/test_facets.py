"""The facets of a search count its newest jobs, and say which counts are exact."""

from collections import Counter
from collections.abc import Callable, Iterable

import pytest
from history.search.crowd import TYPES
from history.search.test_pages import KINDS, LONG_S, query

from millstream_contracts import Facet, FacetValue, Job
from millstream_history import History
from millstream_history.search.facets import own_fields
from millstream_history.search.facets.finder import SAMPLE, FoundFacets
from millstream_history.search.facets.sample import MAX_VALUES
from millstream_history.search.language.query_editor import QueryEditor

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


def name_of(field: str) -> tuple[str, str | None]:
    """Return the field of a facet, and the name of its tag."""
    name, _, key = field.partition(".")
    return name, key or None


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
    own = {facet.field for facet in found.facets if QueryEditor(q).has(*name_of(facet.field))}
    expected = {field: values for field in READERS if (values := most_frequent(truth(newest, field)))}
    for facet in found.facets:
        if facet.field in own:
            continue
        counts, all_counts = truth(newest, facet.field), truth(matches, facet.field)
        for value in facet.values:
            correct = all_counts if value.relation == "exact" else counts
            assert value.count == correct[value.value], (facet.field, value)
    if found.is_complete:
        others = {field: values for field, values in shown(found.facets).items() if field not in own}
        assert others == {field: values for field, values in expected.items() if field not in own}
        assert {value.relation for facet in found.facets if facet.field not in own for value in facet.values} <= {
            "exact"
        }


@pytest.mark.parametrize(
    ("q", "field", "rest", "selected"),
    [
        ("state:dead", "state", "", {"dead"}),
        ("state:dead type:email.*", "state", "type:email.*", {"dead"}),
        ("type:email.* state:dead", "type", "state:dead", set()),
        ("state:dead type:sms.send,email.send", "type", "state:dead", {"sms.send", "email.send"}),
        ("tag.env:prod", "tag.env", "", {"prod"}),
    ],
)
async def test_a_field_of_the_query_has_its_other_values_too(crowded, history, q, field, rest, selected):
    """A facet leaves out the condition on its own field: the others are there, with as many as they would find."""
    [facet] = [one for one in (await facets_of(history, q)).facets if one.field == field]
    counts = truth((job for job in crowded.jobs if RULES[rest](job)), field)
    assert len(facet.values) == min(len(counts), MAX_VALUES)
    assert {value.value for value in facet.values if value.is_selected} == selected
    for value in facet.values:
        if value.relation == "exact":
            assert value.count == counts[value.value], value
        else:
            assert 0 < value.count <= counts[value.value], value


async def test_a_rare_value_that_is_asked_for_is_shown(crowded, history):
    """A value of the query is among those of its facet, however few jobs have it beside the others."""
    rare = min(truth(crowded.jobs, "tag.customer").items(), key=lambda item: item[1])[0]
    facets = (await facets_of(history, f"tag.customer:{rare}")).facets
    [facet] = [one for one in facets if one.field == "tag.customer"]
    assert [value.value for value in facet.values if value.is_selected] == [rare]


async def test_without_time_a_field_has_the_values_of_what_was_found(history, monkeypatch):
    """Where no time is left for the other values of a field, its facet has those of the query, and nothing fails."""
    monkeypatch.setattr(own_fields, "LEAST_S", float("inf"))
    [facet] = [one for one in (await facets_of(history, "state:dead")).facets if one.field == "state"]
    assert [value.value for value in facet.values] == ["dead"]


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
    """The query of a value finds as many jobs as its count says; that of a selected one does not ask for it."""
    found = await facets_of(history, q)
    for facet in found.facets:
        for value in facet.values:
            narrowed = await facets_of(history, value.q)
            if value.is_selected:
                assert not any(one.is_selected and one.value == value.value for one in same_field(narrowed, facet))
            elif value.relation == "exact":
                assert narrowed.count.value == min(value.count, SAMPLE), value
            else:
                assert narrowed.count.value >= value.count, value


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
    found = await facets_of(history, "payload.amount:>990", budget_s=0.008)
    matches = [job for job in crowded.jobs if RULES["payload.amount:>990"](job)]
    for facet in found.facets:
        all_counts = truth(matches, facet.field)
        assert all(value.count <= all_counts[value.value] for value in facet.values)
