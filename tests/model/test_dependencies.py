"""No order of steps, deaths and late messages starts a job too early or twice, or lets it wait for ever."""

import pytest
from model.dependencies import Dependencies
from model.explorer import explore

PAIR = {"a": (), "b": ("a",)}
CHAIN = {"a": (), "b": ("a",), "c": ("b",)}
FAN_IN = {"a": (), "b": (), "z": ("a", "b")}
FAN_OUT = {"a": (), "x": ("a",), "y": ("a",)}

SCENARIOS = {
    "a chain": Dependencies(CHAIN, dispatchers=1),
    "two parents, two dispatchers": Dependencies(FAN_IN),
    "a parent ends while its child is linked, three dispatchers": Dependencies(PAIR, dispatchers=3),
    "children are told in rounds": Dependencies(FAN_OUT, dispatchers=1, at_once=1),
    "a parent dies and is redriven, wait": Dependencies(PAIR, deaths="a", redrives=1),
    "a parent dies and is redriven, cancel": Dependencies(PAIR, policy={"b": "cancel"}, deaths="a", redrives=1),
    "a parent dies and is redriven, run": Dependencies(PAIR, policy={"b": "run"}, deaths="a", redrives=1),
    "a parent dies and is discarded": Dependencies(CHAIN, deaths="a", discards=True, dispatchers=1),
    "one of two parents dies and is redriven": Dependencies(FAN_IN, deaths="a", redrives=1, dispatchers=1),
    "a parent or its child is cancelled": Dependencies(PAIR, cancels="ab"),
}

PLANTED = {
    "the state is read and the child noted in two steps": Dependencies(PAIR, bug="listen"),
    "news are ended without a look at the version": Dependencies(PAIR, deaths="a", redrives=1, bug="version"),
    "parents are counted, and not marked": Dependencies(FAN_IN, bug="count"),
}


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_order_of_steps_ends_well(name: str) -> None:
    """Whatever dies when, each job starts once, after its parents, and none waits for ever."""
    found = explore(SCENARIOS[name])
    assert not found.complaint, "\n".join([found.complaint, *found.trace])


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_mistake_is_found(name: str) -> None:
    """The exploration finds a protocol that is wrong in one step."""
    assert explore(PLANTED[name]).complaint
