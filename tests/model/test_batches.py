"""No order of steps and deaths fires a callback too early or twice, or lets a batch wait for ever."""

import pytest
from model.batches import Batches
from model.explorer import explore

ALL = ("on_success", "on_complete", "on_death")
END = ("on_success",)

SCENARIOS = {
    "a member, two dispatchers": Batches("a", ("on_success", "on_complete")),
    "two members": Batches("ab", dispatchers=1),
    "no member, three callbacks": Batches("", ALL, dispatchers=1),
    "a member, three callbacks": Batches("a", ALL, dispatchers=1),
    "a member dies and is redriven, three callbacks": Batches("a", ALL, deaths="a", redrives=1, dispatchers=1),
    "a member dies and is redriven, two dispatchers": Batches("a", END, deaths="a", redrives=1),
    "one of two dies and is redriven": Batches("ab", END, deaths="a", redrives=1, dispatchers=1),
    "a member adds": Batches("a", added=[("b", "a")], dispatchers=1),
    "a member that was redriven adds": Batches("a", END, added=[("b", "a")], deaths="a", redrives=1, dispatchers=1),
    "cancelled at any time": Batches("a", ("on_success", "on_complete"), cancels=True, dispatchers=1),
    "a promise is made again": Batches("a", repeats=True, dispatchers=1),
}

PLANTED = {
    "a job is stored after its promise": Batches("a", dispatchers=1, bug="fence"),
    "ends are counted, and not marked": Batches("ab", dispatchers=1, bug="counts"),
    "news are ended without a look at the version": Batches(
        "a", END, deaths="a", redrives=1, dispatchers=1, bug="version"
    ),
    "news count also when they are older": Batches("a", END, deaths="a", redrives=1, bug="news"),
    "a callback has no mark": Batches("a", ("on_death",), deaths="a", redrives=1, dispatchers=1, bug="fires"),
    "a dead member counts as succeeded": Batches("a", END, deaths="a", dispatchers=1, bug="dead"),
    "a promise is looked at before it is over": Batches("a", dispatchers=1, bug="early"),
    "a promise that was made anew is dropped": Batches("a", repeats=True, dispatchers=1, bug="anew"),
}


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_order_of_steps_ends_well(name: str) -> None:
    """Whatever dies when, each callback runs once, at its event, and no batch waits for ever."""
    found = explore(SCENARIOS[name])
    assert not found.complaint, "\n".join([found.complaint, *found.trace])


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_mistake_is_found(name: str) -> None:
    """The exploration finds a protocol that is wrong in one step."""
    assert explore(PLANTED[name]).complaint
