"""Translates a pattern of Python's `re` into the subset that means the same in every engine.

The schema of a payload is read by ECMAScript, Rust, Go and Java, which agree on characters, classes, groups,
alternatives, bounded repeats and the two anchors. What a translated pattern matches, Python's own matches too.
"""

import re
from collections.abc import Callable
from re import _constants as ops  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

from msgspec import Struct

MAX_REPEATS = 1000
"""The limit of RE2, the engine of Go. Repeats of nested groups are multiplied."""

MAX_ATOMS = 2000
"""Characters of a pattern with its repeats expanded: engines limit the size of a compiled pattern."""

_SAFE_FLAGS = re.UNICODE | re.VERBOSE | re.ASCII

_SPACES = r"\t-\r\x1c-\x20\x85\xa0" + "\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
"""The characters of `\\s` in Python. Go has no escapes above `\\xff`."""

_NAMED = {"\n": r"\n", "\t": r"\t", "\r": r"\r", "\f": r"\f", "\v": r"\v"}


class PatternError(ValueError):
    """A pattern differs between engines; the message names the part, and what to write in its place."""


class Translation(Struct, frozen=True):
    """A pattern for a JSON Schema."""

    pattern: str
    strict: str | None
    """The pattern for Python, where the original matches more in Python; None where it matches the same."""


def translate(pattern: str) -> Translation:
    """Return a pattern as all engines read it. Raises: PatternError."""
    tree = parser.parse(pattern)
    if tree.state.flags & ~_SAFE_FLAGS:
        raise PatternError(_FLAGS)
    is_ascii = bool(tree.state.flags & re.ASCII)
    writer = _Writer("$", is_ascii=is_ascii)
    published = writer.sequence(tree, 1)
    # Python's `$` lets a newline follow.
    strict = _Writer(r"\Z", is_ascii=is_ascii).sequence(tree, 1) if writer.is_narrower else None
    return Translation(published, strict)


_FLAGS = "flags are not read everywhere: write out what they stand for, `[Aa]` for example"


class _Writer:
    """Writes a parsed pattern."""

    def __init__(self, end: str, *, is_ascii: bool) -> None:
        self._end = end
        self._is_ascii = is_ascii
        self._atoms = 0
        self.is_narrower = False
        """Whether the published pattern matches less than the original does in Python."""
        self._write: dict[Any, Callable[[Any, int], str]] = {
            ops.LITERAL: self._literal,
            ops.NOT_LITERAL: lambda code, times: self._atom(times, f"[^{_escaped(code, _IN_CLASS)}]"),
            ops.ANY: lambda _, times: self._atom(times, r"[^\n]"),
            ops.IN: self._class,
            ops.BRANCH: self._branch,
            ops.SUBPATTERN: self._group,
            ops.MAX_REPEAT: self._repeat,
            ops.MIN_REPEAT: self._repeat,
            ops.AT: self._anchor,
        }

    def sequence(self, tree: Any, times: int) -> str:
        """Return the text of a sequence, which is repeated `times` times. Raises: PatternError."""
        return "".join(self._node(op, argument, times) for op, argument in tree)

    def _node(self, op: Any, argument: Any, times: int) -> str:
        write = self._write.get(op)
        if write is None:
            name = _NAMES.get(op, str(op).lower())
            raise PatternError(f"{name} cannot be read by the engines of other languages")
        return write(argument, times)

    def _atom(self, times: int, text: str) -> str:
        self._atoms += times
        if self._atoms > MAX_ATOMS:
            raise PatternError(f"it spans more than {MAX_ATOMS} characters with its repeats written out")
        return text

    def _literal(self, code: int, times: int) -> str:
        return self._atom(times, _escaped(code, _IN_TEXT))

    def _group(self, argument: Any, times: int) -> str:
        _, added, removed, tree = argument
        if (added | removed) & ~_SAFE_FLAGS or (added | removed) & re.ASCII:
            raise PatternError(_FLAGS)
        return f"(?:{self.sequence(tree, times)})"

    def _branch(self, argument: Any, times: int) -> str:
        return "(?:" + "|".join(self.sequence(tree, times) for tree in argument[1]) + ")"

    def _repeat(self, argument: Any, times: int) -> str:
        least, most, tree = argument
        count = least if most is ops.MAXREPEAT else most
        if count > MAX_REPEATS or times * count > MAX_REPEATS:
            raise PatternError(f"more than {MAX_REPEATS} repeats; bound the length by `max_length`")
        inner = self.sequence(tree, times * max(count, 1))
        if len(tree) != 1 or tree[0][0] not in _UNITS:
            inner = f"(?:{inner})"
        return inner + _quantifier(least, most)

    def _anchor(self, where: Any, _: int) -> str:
        if where in {ops.AT_BEGINNING, ops.AT_BEGINNING_STRING}:
            return "^"
        if where in {ops.AT_END, ops.AT_END_STRING}:
            self.is_narrower |= where is ops.AT_END
            return self._end
        raise PatternError("`\\b` and `\\B` take other letters for words in other engines")

    def _class(self, items: Any, times: int) -> str:
        is_negated = items[0][0] is ops.NEGATE
        complements = [value for _, value in items if value in _COMPLEMENTS and not is_negated]
        options = [f"[^{self._class_item(None, _COMPLEMENTS[value], is_negated=True)}]" for value in complements]
        plain = [item for item in items if item[0] is not ops.NEGATE and item[1] not in complements]
        if plain:
            inside = "".join(self._class_item(op, value, is_negated=is_negated) for op, value in plain)
            options.append(f"[{'^' if is_negated else ''}{inside}]")
        return self._atom(times, options[0] if len(options) == 1 else f"(?:{'|'.join(options)})")

    def _class_item(self, op: Any, value: Any, *, is_negated: bool) -> str:
        if op is ops.LITERAL:
            return _escaped(value, _IN_CLASS)
        if op is ops.RANGE:
            return f"{_escaped(value[0], _IN_CLASS)}-{_escaped(value[1], _IN_CLASS)}"
        if value is ops.CATEGORY_SPACE:
            return r" \t-\r" if self._is_ascii else _SPACES
        if value in _WORDS and (self._is_ascii or not is_negated):
            # JSON Schema's `\d` and `\w` are ASCII; Python's are not.
            self.is_narrower |= not self._is_ascii
            return _WORDS[value]
        raise PatternError("what is no digit or letter differs beyond ASCII: write `[^0-9]` or `[^A-Za-z0-9_]`")


_WORDS = {ops.CATEGORY_DIGIT: "0-9", ops.CATEGORY_WORD: "A-Za-z0-9_"}

_COMPLEMENTS = {
    ops.CATEGORY_NOT_DIGIT: ops.CATEGORY_DIGIT,
    ops.CATEGORY_NOT_WORD: ops.CATEGORY_WORD,
    ops.CATEGORY_NOT_SPACE: ops.CATEGORY_SPACE,
}

_UNITS = frozenset({ops.LITERAL, ops.NOT_LITERAL, ops.ANY, ops.IN, ops.SUBPATTERN, ops.BRANCH})
"""Nodes that can be repeated without a group around them."""

_NAMES = {
    ops.ASSERT: "look-ahead or look-behind",
    ops.ASSERT_NOT: "look-ahead or look-behind",
    ops.GROUPREF: "a back-reference",
    ops.GROUPREF_EXISTS: "a conditional group",
    ops.ATOMIC_GROUP: "an atomic group",
    ops.POSSESSIVE_REPEAT: "a possessive repeat",
}


_IN_TEXT = frozenset(r"\.^$|?*+()[]{}")
_IN_CLASS = frozenset(r"\[]^-")
_OPERATORS = frozenset("&~")
"""Operators in the classes of some engines, for which ECMAScript has no escape."""


def _escaped(code: int, special: frozenset[str]) -> str:
    character = chr(code)
    if 0xD800 <= code < 0xE000:
        raise PatternError("half of a surrogate pair is no character")
    if character in special:
        return f"\\{character}"
    if character in _OPERATORS or (code < 0x100 and not character.isprintable()):
        return _NAMED.get(character, f"\\x{code:02x}")
    return character


def _quantifier(least: int, most: Any) -> str:
    if most is ops.MAXREPEAT:
        return {0: "*", 1: "+"}.get(least, f"{{{least},}}")
    if (least, most) == (0, 1):
        return "?"
    return f"{{{least}}}" if least == most else f"{{{least},{most}}}"
