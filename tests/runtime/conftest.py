"""Fixtures for the tests of the runtime."""

import pytest


@pytest.fixture
def anyio_backend() -> str:
    """Run async tests on asyncio, as the services do."""
    return "asyncio"
