"""The subject of a sentence is a component (CONTRIBUTING.md, "Prose")."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

AREAS = ("README.md", "CONTRIBUTING.md", "docs", "examples", "benchmarks", "libs", "services", "tests", "deploy")
"""The files and folders to which the rule applies."""

SUFFIXES = {".py", ".md", ".lua", ".mjs", ".yaml", ".acl"}

_VAGUE = re.compile(r"\b(who(?:m?ever|m)|some(?:body|one)|(?:no|any|every)body)\b", re.IGNORECASE)
_CONTINUES = re.compile(r"(Its?|They|Theirs?|And|Or|But|Else|Also|So|Then)\b")
"""What begins a sentence that needs another one before it."""
# In quotes it is the name of an account of the system.
_QUOTED = re.compile(r"`[^`]*`|\"nobody\"")


def texts(area: str) -> Iterator[Path]:
    """Yield the files of an area that people read."""
    place = ROOT / area
    found = [place] if place.is_file() else sorted(place.rglob("*"))
    for path in found:
        if path.suffix in SUFFIXES and path != Path(__file__) and not {"__pycache__", "node_modules"} & set(path.parts):
            yield path


@pytest.mark.parametrize("area", AREAS)
def test_no_sentence_has_a_vague_actor(area: str) -> None:
    """No line has a vague person as actor; a word between backticks is a quotation."""
    found = [
        f"{path.relative_to(ROOT)}:{number}: {vague[0]}"
        for path in texts(area)
        for number, line in enumerate(path.read_text().splitlines(), start=1)
        if (vague := _VAGUE.search(_QUOTED.sub("", line)))
    ]
    assert not found


def rules() -> Iterator[tuple[str, str]]:
    """Yield each test of the suite with its docstring."""
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                yield f"{path.relative_to(ROOT)}:{node.lineno}", ast.get_docstring(node) or ""


def test_the_docstring_of_a_test_is_a_rule_that_can_be_read_alone() -> None:
    """The docstring of a test neither lacks nor continues the name of its test."""
    assert [place for place, rule in rules() if not rule or _CONTINUES.match(rule)] == []


def test_every_area_has_something_to_read() -> None:
    """Every area has files."""
    assert [area for area in AREAS if not list(texts(area))] == []
