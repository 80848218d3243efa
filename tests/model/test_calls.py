"""No order of steps, deaths and zombies makes a called job twice, or lets its caller wait for ever."""

import pytest
from model.calls import Calls
from model.explorer import explore

SCENARIOS = {
    "two workers, one lost lease": Calls(losses=1),
    "two workers, two lost leases": Calls(),
}

PLANTED = {
    "the job is made before its id is stored": "ids",
    "what is missing is made without a look at the token": "fence",
    "a frozen worker stores what it has decided on": "late",
    "a called job is forgotten like any other": "held",
}


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_order_of_steps_ends_well(name: str) -> None:
    """Whatever dies when, the called job has one life, and its caller gets the result."""
    found = explore(SCENARIOS[name])
    assert not found.complaint, "\n".join([found.complaint, *found.trace])


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_mistake_is_found(name: str) -> None:
    """The exploration finds a protocol that is wrong in one step."""
    assert explore(Calls(bug=PLANTED[name])).complaint
