"""Has logs as a worker has them, which are settings of the whole process."""

import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from millstream_telemetry import configure_logs
from millstream_telemetry.logs import setup


@contextmanager
def worker_logs() -> Iterator[io.StringIO]:
    """Have logs as a worker has them, and restore afterwards what that changes. Yields: what is written."""
    root, make_record = logging.getLogger(), logging.getLogRecordFactory()
    handlers, level, settings = root.handlers[:], root.level, setup._settings[:]
    stream = io.StringIO()
    configure_logs("worker", "info", stream)
    yield stream
    logging.captureWarnings(capture=False)
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.setLogRecordFactory(make_record)
    structlog.reset_defaults()
    setup._settings[:] = settings
