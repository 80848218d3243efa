"""Runs each test of submissions through both doors, the fast path and the router."""

import pytest
from ingest.serving import DOORS


@pytest.fixture(params=DOORS)
def door(request: pytest.FixtureRequest) -> str:
    """Return the door that submissions go through."""
    return request.param
