"""Reads scripts as text: what a header claims, and what the code below it does."""

import re

from msgspec import Struct

from millstream_streams.store.scripting import ACCESS, AUDIT, BATCHES, FLEET, SCHEDULES, WORKFLOWS, parts_of
from millstream_streams.store.scripting import read_source as source

_NUMBERS = {"two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8}
_PLACES = {
    "ready": {1, 2, 3}, "due": {4}, "dlq": {5}, "events": {6}, "settings": {7}, "expiring": {8},
}  # fmt: skip
_FLEET_PLACES = {"types": {1}, "starts": {2}, "workers": {3}, "services": {1}}
_SCHEDULES_PLACES = {"ticks": {1}, "name_index": {2}, "outbox": {3}, "decisions": {4}}

_FLOW_PLACES = {"flow_outbox": {1}, "flow_checks": {2}, "flow_index": {3}, "flow_totals": {4}, "flow_ended": {5}}
_ACCESS_PLACES = {"keys": {1}, "uses": {2}, "rates": {1}, "tenants": {3}}
_AUDIT_PLACES = {"open": {1}, "trail": {2}}
_PLACES_OF = {
    AUDIT: _AUDIT_PLACES,
    ACCESS: _ACCESS_PLACES,
    FLEET: _FLEET_PLACES,
    SCHEDULES: _SCHEDULES_PLACES,
    WORKFLOWS: _FLOW_PLACES,
    BATCHES: _FLOW_PLACES,
}

PARTS = (
    "numbers",
    "queue",
    "past",
    "moves",
    "gate",
    "dealing",
    "unique",
    "release",
    "steps",
    "dependents",
    "holding",
    "callbacks",
    "heartbeats",
    "fleet",
    "shards",
    "schedules",
    "flows",
    "workflows",
    "batches",
)
"""The parts in the order of headers: each uses only those before it."""

_WORD = r"(?<![\w.])[A-Za-z_]+\b"

# A command stands in a call, or opens a table that one is made of.
_CALL = r"(?:redis\.p?call\(|\{)'([A-Z]{3,})'(?:, '([A-Z]+)')?"
_WITH_SUBCOMMANDS = {"XGROUP", "XINFO"}


class Header(Struct, frozen=True):
    """The claims of a script's header."""

    text: str
    keys: set[int]
    first_per_job: int | None
    """Index in ARGV from which arguments repeat, job by job."""
    per_job: int
    """How many arguments a job has."""
    codes: set[int]
    """The codes that it may return per job; empty when it returns something else."""


def read_header(name: str) -> Header:
    """Return the header of a script."""
    text = source(name).split("\n\n")[0]
    flat = re.sub(r"\s*\n--\s*", " ", text)
    repeats = re.search(r"ARGV\[(\d+)\.\.\]\s+(?:per \w[\w ]*? (\w+) values|job ids)", flat)
    returns = re.search(r"Returns\s+(per job[^:{]*(?:\{code[^}]*\})?:?|)\s*(.*)", flat)
    listed = re.findall(r"(?:^|; )(-?\d+) ", returns[2]) if returns else []
    return Header(
        text=text,
        keys=_key_numbers(re.search(r"-- KEYS(.*?)(?=-- [A-Z])", text, re.DOTALL)[1]),
        first_per_job=int(repeats[1]) if repeats else None,
        per_job=(_NUMBERS[repeats[2]] if repeats[2] else 1) if repeats else 0,
        codes={int(code) for code in listed},
    )


def used_keys(name: str) -> set[int]:
    """Return the numbers of the KEYS that a script uses, by itself or through functions of the prelude."""
    shared = _functions(_code(_prelude(name)))
    places = next((found for folder, found in _PLACES_OF.items() if name.startswith(folder)), _PLACES)
    seen: set[str] = set()
    pending, found = [_code(source(name)), _top_level(_code(_prelude(name)))], set()
    while pending:
        code = pending.pop()
        words = set(re.findall(_WORD, code))
        found |= {number for place, numbers in places.items() if place in words for number in numbers}
        called = (words & shared.keys()) - seen
        seen |= called
        pending += [shared[one] for one in called]
    return found


def commands_of(name: str) -> set[str]:
    """Return the commands that a script calls, by itself or through the prelude, in the form of an ACL."""
    return {_acl_name(*words) for code in _reached(name) for words in re.findall(_CALL, code)}


def hints_of(name: str) -> set[str]:
    """Return the topics of the hints that a script publishes."""
    pattern = r"(?:(?<!function )hint(?:_of_shard)?\(|':hints:)'?([a-z:]+)'"
    return {topic for code in _reached(name) for topic in re.findall(pattern, code)}


def _reached(name: str) -> list[str]:
    """Return the code of a script, and of every function of the prelude that it calls."""
    shared = _functions(_uncommented(_prelude(name)))
    seen: set[str] = set()
    pending, found = [_uncommented(source(name)), _top_level(_uncommented(_prelude(name)))], []
    while pending:
        code = pending.pop()
        found.append(code)
        called = (set(re.findall(r"(?<![\w.])[a-z_]+(?=\()", code)) & shared.keys()) - seen
        seen |= called
        pending += [shared[one] for one in called]
    return found


def per_job_loop(name: str) -> tuple[int, int] | None:
    """Return the index at which the loop over ARGV begins, and its step."""
    found = re.search(r"for at = (\d+), (?:#ARGV|last)(?:, (\d+))? do", source(name))
    return (int(found[1]), int(found[2] or 1)) if found else None


def parts_used(name: str) -> set[str]:
    """Return the parts of which a script, or a part, uses a name, by itself or through another part."""
    own = {part: _names(_code(source(f"_{part}"))) for part in PARTS}
    found: set[str] = set()
    pending = [_code(source(name))]
    while pending:
        words = set(re.findall(_WORD, pending.pop()))
        used = {part for part, names in own.items() if names & words} - found
        found |= used
        pending += [_code(source(f"_{part}")) for part in used]
    return found - {name.removeprefix("_")}


def _prelude(name: str) -> str:
    return "\n".join(source(f"_{part}") for part in parts_of(source(name)))


def _names(code: str) -> set[str]:
    """Return what a part declares for those that follow it."""
    declared = re.findall(r"^local (?:function )?([\w, ]+?)(?=\(| =|$)", code, re.MULTILINE)
    return {name.strip() for names in declared for name in names.split(",")}


def _key_numbers(text: str) -> set[int]:
    found: set[int] = set()
    for first, last in re.findall(r"\b(\d)(?:-(\d))?\b", text):
        found |= set(range(int(first), int(last or first) + 1))
    return found


def _code(text: str) -> str:
    """Return a script without comments and string literals."""
    return re.sub(r"'[^'\n]*'", "''", _uncommented(text))


# A function that stands in a single line must not swallow the next one's body.
_IN_A_LINE = re.compile(r"^local function (\w+)\([^)\n]*\) (.*) end$", re.MULTILINE)
_IN_LINES = re.compile(r"^local function (\w+)\([^)\n]*\)\n(.*?)^end", re.DOTALL | re.MULTILINE)


def _functions(code: str) -> dict[str, str]:
    return dict(re.findall(_IN_A_LINE, code) + re.findall(_IN_LINES, code))


def _top_level(code: str) -> str:
    """Return what runs in each script that has a part, without its functions and its names for keys."""
    outside = re.sub(_IN_LINES, "", re.sub(_IN_A_LINE, "", code))
    return "\n".join(line for line in outside.splitlines() if "KEYS[" not in line)


def _acl_name(command: str, next_word: str) -> str:
    return (f"{command}|{next_word}" if command in _WITH_SUBCOMMANDS else command).lower()


def _uncommented(text: str) -> str:
    return re.sub(r"--[^\n]*", "", text)
