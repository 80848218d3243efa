"""No order of steps, deaths and reruns has the history lack an end, or keep an older one."""

import pytest
from model.endings import Endings
from model.explorer import explore

SCENARIOS = {
    "one dispatcher": Endings(dispatchers=1, reruns=2),
    "two dispatchers, two reruns": Endings(reruns=2),
    "three dispatchers": Endings(dispatchers=3),
}
PLANTED = {
    "an older read confirms a newer end": Endings(bug="turn"),
    "an older end replaces a newer one": Endings(bug="older"),
    "a workflow is forgotten without a look at what the history has": Endings(bug="forget"),
    "an end is not told": Endings(bug="untold"),
}


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_order_of_steps_ends_well(name: str) -> None:
    """Whatever dies when, the history has the last end, and nothing is forgotten before."""
    found = explore(SCENARIOS[name])
    assert not found.complaint, "\n".join([found.complaint, *found.trace])


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_mistake_is_found(name: str) -> None:
    """The exploration finds a protocol that is wrong in one step."""
    assert explore(PLANTED[name]).complaint
