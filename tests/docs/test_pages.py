"""Everything that the pages refer to exists."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]

_LINK = re.compile(r"\]\((?!https?:|mailto:)([^)\s#]*)(?:#([^)\s]+))?\)")
_PATH = re.compile(r"`([\w.-]+/[\w./-]+\.\w+|pyproject\.toml|CHANGELOG\.md)`(\s\(new\))?")
_PYTHON = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)


def anchor(heading: str) -> str:
    """Return the anchor of a heading, as code hosts make it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_of_a_page_lead_somewhere(page: Path) -> None:
    """A relative link names a file or folder of the repository, and its anchor a heading of the page."""
    for target, fragment in _LINK.findall(page.read_text()):
        place = page.parent / target if target else page
        assert place.exists(), f"{target} does not exist"
        if fragment and place.suffix == ".md":
            assert fragment in {anchor(heading) for heading in _HEADING.findall(place.read_text())}, f"#{fragment}"


@pytest.mark.parametrize("page", sorted((ROOT / "docs/handlers").glob("*.md")), ids=lambda page: page.name)
def test_code_of_a_page_is_that_of_an_example(page: Path) -> None:
    """Python code on a page about handlers stands in a file of `examples/`, which tests run and type checkers check."""
    examples = [path.read_text() for path in (ROOT / "examples").glob("*.py")]
    for code in _PYTHON.findall(page.read_text()):
        assert any(code in example for example in examples), f"in no example:\n{code}"


def test_files_of_the_worked_example_exist() -> None:
    """Each file that `adding-a-feature.md` names exists, and of a new one its folder."""
    named = _PATH.findall((ROOT / "docs/adding-a-feature.md").read_text())
    assert len(named) > 40
    for path, is_new in named:
        assert (ROOT / path).exists() is not bool(is_new), f"{path} is {'there' if is_new else 'missing'}"
        assert (ROOT / path).parent.is_dir(), f"the folder of {path} is missing"


def test_the_glossary_is_short_and_in_order() -> None:
    """The glossary has at most 30 terms in alphabetical order, and README and CONTRIBUTING link to it."""
    terms = re.findall(r"^\| \*\*(.+?)\*\* \|", (ROOT / "docs/glossary.md").read_text(), re.MULTILINE)
    assert terms == sorted(terms)
    assert 15 < len(terms) <= 30
    for page in ("README.md", "CONTRIBUTING.md"):
        assert "docs/glossary.md" in (ROOT / page).read_text()
