"""Each submission is tried by both doors."""

import pytest
from ingest.serving import DOORS


@pytest.fixture(params=DOORS)
def door(request: pytest.FixtureRequest) -> str:
    """Return the door that submissions take."""
    return request.param
