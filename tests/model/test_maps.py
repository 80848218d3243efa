"""No order of steps, deaths, late messages and requests starts an item of a map twice, or has it wait for ever."""

import pytest
from model.explorer import explore
from model.maps import Maps

SCENARIOS = {
    "two items, one at a time": Maps(2),
    "two items at once": Maps(2, at_once=2),
    "three items, two and one": Maps(3, at_once=2, dispatchers=1),
    "an item dies and is redriven": Maps(2, deaths=1, redrives=1),
    "an item dies, and may": Maps(2, deaths=1, redrives=1, max_failures=1, dispatchers=1),
    "cancelled at any time": Maps(2, cancels=True),
    "cancelled at any time, two items at once": Maps(2, at_once=2, cancels=True),
    "cancelled at any time, and no job ends by itself": Maps(2, at_once=2, cancels=True, endless=True),
    "cancelled at any time, and an item dies": Maps(2, cancels=True, deaths=1, redrives=1, dispatchers=1),
    "a dead map runs again": Maps(2, deaths=1, reruns=1, dispatchers=1),
    "a dead map is redriven or runs again": Maps(1, deaths=1, redrives=1, reruns=1),
    "a map runs again twice": Maps(1, deaths=1, reruns=2, dispatchers=1),
    "a map that may fail in part runs again": Maps(1, max_failures=1, deaths=1, redrives=1, reruns=1, dispatchers=1),
    "a cancelled map runs again": Maps(1, cancels=True, reruns=1, dispatchers=1),
    "Redis loses a job": Maps(2, losses=1),
    "Redis loses a job, cancelled at any time": Maps(2, losses=1, cancels=True, dispatchers=1),
    "Redis loses a job, one is redriven": Maps(3, at_once=2, losses=1, deaths=1, redrives=1, dispatchers=1),
}

PLANTED = {
    "a start is accepted after the lease": Maps(2, cancels=True, bug="fence"),
    "items are confirmed again": Maps(2, cancels=True, bug="late-confirm"),
    "a map does not go on after a round": Maps(2, bug="cursor"),
    "a map ends with its first item": Maps(2, bug="first"),
    "news count also when they are older": Maps(2, deaths=1, redrives=1, bug="twice"),
    "jobs that were stored while the map was cancelled are not ended": Maps(
        2, at_once=2, cancels=True, endless=True, bug="late-undo"
    ),
    "no auditor looks for jobs that are lost": Maps(2, losses=1, bug="audit"),
    "a lost item is not gone back to": Maps(2, losses=1, bug="audit-cursor"),
    "a map that has ended goes on where it was": Maps(
        2, losses=1, deaths=1, redrives=1, dispatchers=1, bug="redriven-cursor"
    ),
    "a rerun leaves dead letters, which are redriven": Maps(1, deaths=1, redrives=1, reruns=1, bug="discard"),
    "news of an earlier run count": Maps(1, deaths=1, reruns=1, bug="run-news"),
    "a round of an earlier run is confirmed": Maps(1, cancels=True, reruns=1, bug="run-confirm"),
    "a rerun begins beside an item that was redriven": Maps(
        1, max_failures=1, deaths=1, redrives=1, reruns=1, dispatchers=1, bug="open-items"
    ),
    "a rerun does not see that another was first": Maps(1, deaths=1, reruns=2, dispatchers=1, bug="turn"),
    "an item that is known is stored again": Maps(2, losses=1, deaths=1, redrives=1, dispatchers=1, bug="known"),
}


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_order_of_steps_ends_well(name: str) -> None:
    """Whatever dies when, the job of each item runs once, and the map ends with the last of them."""
    found = explore(SCENARIOS[name])
    assert not found.complaint, "\n".join([found.complaint, *found.trace])


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_mistake_is_found(name: str) -> None:
    """The exploration finds a protocol that is wrong in one step."""
    assert explore(PLANTED[name]).complaint
