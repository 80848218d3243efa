"""Patterns are published in the subset that means the same in every regex engine."""

import re

import hypothesis
import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from millstream.payloads.pattern_translator import translate

TRANSLATED = {
    r"^\d{4}-\d{2}$": "^[0-9]{4}-[0-9]{2}$",
    r"\A\w+\Z": "^[A-Za-z0-9_]+$",
    r"(?P<name>x|y)+?": "(?:[xy])+",
    r"(ab){,3}c*": "(?:ab){0,3}c*",
    r"(?x) a  b  # a comment": "ab",
    r"(?a)\D\s": r"[^0-9][ \t-\r]",
    "[&~a-c\\-\\]^]": r"[\x26\x7ea-c\-\]\^]",
    r".": r"[^\n]",
    r"a/b#-&": r"a/b#-\x26",
    r"\u00e9\U0001F600\x1b": "\u00e9\U0001f600\\x1b",
}


@pytest.mark.parametrize("pattern", TRANSLATED)
def test_translation_has_only_what_all_engines_know(pattern: str) -> None:
    """Shorthands are expanded, names and flags removed, and special characters escaped."""
    assert translate(pattern).pattern == TRANSLATED[pattern]


@pytest.mark.parametrize("pattern", ["a", r"^[a-z]+\Z", r"\s", r"[^\s]", "(?a)\\d"])
def test_a_pattern_that_reads_the_same_needs_no_second_look(pattern: str) -> None:
    """The worker checks a pattern itself only where Python's would match more than the published one."""
    assert translate(pattern).strict is None


@pytest.mark.parametrize("pattern", ["[^a]{1000}[^b]{1000}", r"\S{1000}", "(?:[^ab]{40}){25}"])
def test_largest_patterns_can_be_compiled(pattern: str) -> None:
    """The regex engine of ingest compiles every pattern that the translator allows."""
    jsonschema_rs.validator_for({"pattern": translate(pattern).pattern})


_ATOMS = st.sampled_from(
    ["a", "b", "-", "&", "\\.", ".", "\\d", "\\w", "\\s", "\\S", "[a-c&]", "[^\\s~]", "[^b\n]", "\\n", "é"]
)
_PATTERNS = st.recursive(
    _ATOMS,
    lambda inner: st.one_of(
        st.tuples(inner, inner).map("".join),
        st.tuples(inner, inner).map(lambda pair: f"(?:{pair[0]}|{pair[1]})"),
        st.tuples(inner, st.sampled_from(["*", "+", "?", "{2}", "{1,3}", "*?"])).map(
            lambda pair: f"({pair[0]}){pair[1]}"
        ),
        inner.map(lambda text: f"^{text}"),
        inner.map(lambda text: f"{text}$"),
        inner.map(lambda text: f"{text}\\Z"),
    ),
    max_leaves=6,
)
_TEXTS = st.text(st.sampled_from("ab-&~._ é\n\r\t\u00a0\u0663\u2028\x1c\u0085c1"), max_size=6)


@hypothesis.settings(max_examples=500)
@given(_PATTERNS, st.lists(_TEXTS, min_size=1, max_size=8))
def test_a_translated_pattern_is_read_alike_and_never_matches_more(pattern: str, texts: list[str]) -> None:
    """The engine of ingest and the worker's own check agree on each text, and Python's pattern matches it too."""
    translation = translate(pattern)
    published = jsonschema_rs.validator_for({"pattern": translation.pattern})
    mine = re.compile(translation.strict or pattern)
    for text in texts:
        is_valid = published.is_valid(text)
        assert is_valid == bool(mine.search(text))
        assert not is_valid or re.search(pattern, text)
