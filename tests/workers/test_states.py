"""Handlers of several apps share a state: the worker opens each lifespan once."""

import os

import pytest
from workers import pools
from workers.floor import Floor
from workers.plant import python_path

STATES = {"shop": "shop", "reports": "shop", "other": "other", "library": "shop", "shelf": "shop"}
"""The app whose lifespan yields the state, for the handlers of each app."""


async def test_a_state_is_shared_wherever_a_handler_runs(floor: Floor, monkeypatch: pytest.MonkeyPatch) -> None:
    """A handler has the state of its app, of the app that this one names, or of the app that includes it."""
    monkeypatch.setenv("PYTHONPATH", python_path())
    monkeypatch.setattr(pools, "opened", [])
    await floor.hire(pools.app, apps=("workers.pools:app",))
    for name, state in STATES.items():
        for place in ("loop", "thread", "process"):
            job = await floor.run(f"{name}.{place}")
            assert job.result is not None, job.error
            found, lifespans, pid = job.result
            assert found == state
            assert (pid == os.getpid()) == (place != "process")
            assert lifespans <= 2
    assert sorted(pools.opened) == ["other", "shop"]
