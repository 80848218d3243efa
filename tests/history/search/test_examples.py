"""The queries of docs/history/searching.md can be searched for."""

import re
from pathlib import Path

import pytest
from history.search.crowd import NOW, TYPES

from millstream_contracts import DEFAULT_TENANT
from millstream_history import JobQuery
from millstream_history.search.language.fields import ALIASES, FIELDS
from millstream_history.search.plan import plan_of

PAGE = (Path(__file__).parents[3] / "docs/history/searching.md").read_text(encoding="utf-8")
TABLE = PAGE.partition("## Twenty examples")[2].partition("## The language")[0]
EXAMPLES = re.findall(r"^\| [^|]+ \| `(.+)` \|$", TABLE, re.MULTILINE)


def test_there_are_twenty() -> None:
    """The page has twenty examples."""
    assert len(EXAMPLES) == 20


@pytest.mark.parametrize("q", EXAMPLES)
def test_each_example_has_a_plan(q: str) -> None:
    """Each example of the page is a query."""
    found = plan_of(JobQuery(tenant=DEFAULT_TENANT, asked_at=NOW, q=q), TYPES)
    assert found.conditions or found.begin


def test_every_field_and_every_other_name_is_on_the_page() -> None:
    """The page names every field, and what other systems call it."""
    words = set(re.findall(r"[a-z_.]+", PAGE))
    assert {name.rstrip(".") for name in (*FIELDS, *ALIASES)} <= words | {word.split(".")[0] for word in words}
