"""No order of looks, decisions, deaths and edits gives an occasion two jobs or none."""

import pytest
from model.explorer import explore
from model.occasions import Occasions

SCENARIOS = {
    "two occasions, two dispatchers": Occasions(2),
    "one occasion, three dispatchers and an edit": Occasions(1, dispatchers=3, edits=1),
    "two occasions and an edit": Occasions(2, edits=1),
    "two occasions, one at a time": Occasions(2, overlap="skip"),
    "three occasions, one waits": Occasions(3, overlap="queue", dispatchers=1),
    "two occasions, one waits, two dispatchers": Occasions(2, overlap="queue"),
}

PLANTED = {
    "a decision does not compare the turn": Occasions(2, mistake="turn"),
    "a job is stored without a key": Occasions(1, mistake="key"),
    "a job that is decided on and not stored counts as ended": Occasions(2, overlap="skip", mistake="outbox"),
}


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_order_of_steps_gives_each_occasion_one_job(name: str) -> None:
    """Whatever sleeps or dies when, each occasion has one job or was skipped, and none waits for ever."""
    found = explore(SCENARIOS[name])
    assert not found.complaint, "\n".join([found.complaint, *found.trace])


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_mistake_is_found(name: str) -> None:
    """The exploration finds a protocol that is wrong in one step."""
    assert explore(PLANTED[name]).complaint
