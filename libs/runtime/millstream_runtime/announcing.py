"""Logs where a service listens, in a form that its supervisor reads: so a port that the service chose is learnt.

The line is `{"event":"listening","host":"127.0.0.1","port":41234,...}` for the HTTP API, and the same with `admin` for
the health and metrics routes.
"""

import logging
from typing import Literal

import msgspec
import structlog
from msgspec import Struct

from millstream_telemetry import configured_logs
from millstream_telemetry.logs.calls import logger_class

What = Literal["listening", "admin"]


class Announcement(Struct, frozen=True):
    """Where a service listens, and for what."""

    event: What
    host: str
    port: int

    @property
    def url(self) -> str:
        """Return the address for a client on this machine."""
        host = reachable(self.host)
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"


def reachable(host: str) -> str:
    """Return an address by which a server that listens on `host` is reached from this machine."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - looked up, not bound


def announce(event: What, host: str, port: int, *, was_chosen: bool) -> None:
    """Log where this service listens: at `info`, and at every level when it has chosen the port itself."""
    log = structlog.get_logger()
    logs = configured_logs()
    if was_chosen and logs is not None and structlog.is_configured():
        log = structlog.wrap_logger(None, wrapper_class=logger_class(logging.INFO, logs.service))
    log.info(event, host=host, port=port)


def read_announcement(line: str) -> Announcement | None:
    """Return what a log line announces; None for any other line."""
    try:
        return msgspec.json.decode(line, type=Announcement)
    except (msgspec.DecodeError, UnicodeError):
        return None
