"""Fixtures for the tests of telemetry."""

import logging
from collections.abc import Iterator

import pytest
import structlog


@pytest.fixture
def anyio_backend() -> str:
    """Run async tests on asyncio, as the services do."""
    return "asyncio"


@pytest.fixture
def clean_logging() -> Iterator[None]:
    """Restore what `configure_logs` changes for the whole process."""
    root, make_record = logging.getLogger(), logging.getLogRecordFactory()
    handlers, level = root.handlers[:], root.level
    yield
    logging.captureWarnings(capture=False)
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.setLogRecordFactory(make_record)
    structlog.reset_defaults()
