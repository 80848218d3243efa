"""The catalogue of problems agrees with its page in the documentation."""

from pathlib import Path

import pytest

from millstream_contracts import FieldError, Problem
from millstream_ingest.http import problems

PAGE = Path(__file__).parents[3] / "docs" / "problems.md"


def test_page_has_one_section_per_problem_in_the_words_of_the_catalogue():
    """docs/problems.md has one section for each problem, with the words of the catalogue."""
    _, *sections = PAGE.read_text(encoding="utf-8").split("\n## ")
    assert ["## " + section.rstrip("\n") + "\n" for section in sections] == [
        problems.page_of(kind) for kind in problems.CATALOGUE.values()
    ]


def test_catalogue_has_every_kind_that_the_module_names():
    """Every kind of problem is in the catalogue."""
    named = [kind for kind in vars(problems).values() if isinstance(kind, problems.ProblemKind)]
    assert named == list(problems.CATALOGUE.values())


def test_problem_says_what_its_kind_and_its_occurrence_say():
    """A problem document has the URL and status of its kind, and the details of this request."""
    error = FieldError("/type", "required")
    problem = problems.INVALID_REQUEST.problem("no", instance="/v1/jobs", trace_id="ab", errors=[error])
    assert problem == Problem(
        type="/problems/invalid-request",
        title=problems.INVALID_REQUEST.title,
        status=422,
        detail="no",
        instance="/v1/jobs",
        trace_id="ab",
        errors=[error],
    )


@pytest.mark.parametrize(
    ("status", "slug"),
    [
        (400, "bad-request"),
        (404, "not-found"),
        (405, "method-not-allowed"),
        (413, "too-large"),
        (415, "unsupported-media-type"),
        (418, "bad-request"),
        (422, "invalid-request"),
        (500, "internal-error"),
        (502, "internal-error"),
        (503, "overloaded"),
    ],
)
def test_status_has_a_kind(status, slug):
    """An error of the web framework, which has only a status, becomes a problem of a known kind."""
    assert problems.kind_of_status(status).slug == slug
