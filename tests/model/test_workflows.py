"""No order of steps, deaths, late messages and requests starts a node too early or twice, or lets it wait for ever."""

import pytest
from model.explorer import explore
from model.workflows import Workflows

ONE = {"a": ()}
PAIR = {"a": (), "b": ("a",)}
CHAIN = {"a": (), "b": ("a",), "c": ("b",)}
FAN_IN = {"a": (), "b": (), "z": ("a", "b")}
FAN_OUT = {"a": (), "x": ("a",), "y": ("a",)}
SHORT_CUT = {"a": (), "x": ("a",), "z": ("a", "x")}
TWO_BEHIND = {"a": (), "x": ("a",), "y": ("x",), "z": ("x",)}
DIAMOND = {"a": (), "b": ("a",), "c": ("a",), "d": ("b", "c")}

SCENARIOS = {
    "a node, three dispatchers": Workflows(ONE, dispatchers=3),
    "a chain": Workflows(CHAIN, dispatchers=1),
    "a pair, two dispatchers": Workflows(PAIR),
    "two before one": Workflows(FAN_IN, dispatchers=1),
    "a diamond": Workflows(DIAMOND, dispatchers=1),
    "a node dies and is redriven, wait": Workflows(PAIR, deaths="a", redrives=1),
    "a node dies and is redriven, cancel": Workflows(
        CHAIN, policy={"b": "cancel"}, deaths="a", redrives=1, dispatchers=1
    ),
    "a node dies and is redriven, run": Workflows(PAIR, policy={"b": "run"}, deaths="a", redrives=1),
    "one of two dies and is redriven": Workflows(FAN_IN, deaths="a", redrives=1, dispatchers=1),
    "cancelled at any time": Workflows(PAIR, cancels=True),
    "cancelled at any time, two behind one": Workflows(FAN_OUT, cancels=True, dispatchers=1),
    "a dead node runs again": Workflows(PAIR, deaths="a", reruns=1),
    "a dead node is redriven or runs again": Workflows(ONE, deaths="a", redrives=1, reruns=1),
    "a cancelled workflow runs again": Workflows(PAIR, cancels=True, reruns=1, dispatchers=1),
    "a walk breaks off, two dispatchers": Workflows(FAN_OUT, edges_a_call=1),
    "a walk breaks off, and its node is redriven, wait": Workflows(
        FAN_OUT, edges_a_call=1, deaths="a", redrives=1, dispatchers=1
    ),
    "a walk breaks off, and its node is redriven, run": Workflows(
        FAN_OUT, policy={"x": "run", "y": "run"}, edges_a_call=1, deaths="a", redrives=1, dispatchers=1
    ),
    "a walk over dropped nodes breaks off": Workflows(
        TWO_BEHIND, policy={"x": "cancel"}, edges_a_call=1, deaths="a", redrives=1, dispatchers=1
    ),
    "a walk breaks off, cancelled at any time": Workflows(FAN_OUT, edges_a_call=1, cancels=True, dispatchers=1),
    "a walk breaks off, and a node behind runs again": Workflows(
        SHORT_CUT, edges_a_call=1, deaths="x", reruns=1, dispatchers=1
    ),
    "Redis loses a job": Workflows(PAIR, losses=1),
    "Redis loses two jobs, one of them redriven": Workflows(ONE, losses=2, deaths="a", redrives=1, dispatchers=1),
}

PLANTED = {
    "a start is accepted after the lease": Workflows(ONE, bug="fence"),
    "edges are counted, and not marked": Workflows(
        FAN_IN, policy={"z": "run"}, deaths="a", redrives=1, bug="bits", dispatchers=1
    ),
    "news are ended without a look at the version": Workflows(ONE, deaths="a", redrives=1, bug="version"),
    "news count also when they are older": Workflows(ONE, deaths="a", redrives=1, bug="news"),
    "a cancelled start is looked at under its lease": Workflows(ONE, cancels=True, bug="undo"),
    "a job that was lost is told of by the versions of its first life": Workflows(
        ONE, losses=1, deaths="a", redrives=1, dispatchers=1, bug="life"
    ),
    "a walk that breaks off does not go on": Workflows(FAN_OUT, edges_a_call=1, dispatchers=1, bug="no-cursor"),
    "news are told from where an earlier walk broke off": Workflows(
        FAN_OUT, edges_a_call=1, deaths="a", redrives=1, dispatchers=1, bug="stale-cursor"
    ),
    "no auditor looks for jobs that are lost": Workflows(ONE, losses=1, bug="audit"),
    "news of an earlier run count": Workflows(ONE, deaths="a", reruns=1, bug="run"),
    "a rerun leaves the dead letter, which is redriven": Workflows(
        ONE, deaths="a", redrives=1, reruns=1, bug="discard"
    ),
}


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_order_of_steps_ends_well(name: str) -> None:
    """Whatever dies when, each node runs once in its run, after those before it, and none waits for ever."""
    found = explore(SCENARIOS[name])
    assert not found.complaint, "\n".join([found.complaint, *found.trace])


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_mistake_is_found(name: str) -> None:
    """The exploration finds a protocol that is wrong in one step."""
    assert explore(PLANTED[name]).complaint
