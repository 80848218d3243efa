"""Logs why requests were answered with a 5xx: the first of a kind at once, the others counted every ten seconds.

An outage refuses thousands of requests in a second, all for one reason.
"""

import asyncio

import structlog
from msgspec import Struct

from millstream_history import HistoryError
from millstream_ingest.http.errors import IngestError
from millstream_ingest.http.problems import CATALOGUE, INTERNAL_ERROR
from millstream_streams import StoreError
from millstream_telemetry import type_name

LOG_EVERY_S = 10.0
MAX_ERROR_CHARS = 300


class Refused(Struct):
    """Refusals of one kind since the last line about them, with the last of them as an example."""

    count: int = 0
    method: str = ""
    route: str = ""
    error: str = ""


class RefusalLog:
    """Logs the refusals of one process.

    Two refusals are of a kind when their problem and the type of their error are.
    """

    def __init__(self) -> None:
        self._log = structlog.get_logger()
        self._kinds: dict[tuple[str, str, str], Refused] = {}

    def note(self, error: Exception, refusal: IngestError, *, method: str, route: str, count: int = 1) -> None:
        """Record that requests, or this many items of one, were refused; a status below 500 is not logged."""
        if refusal.kind is INTERNAL_ERROR:
            # A defect: each is logged, with its traceback.
            self._log.error("request crashed", method=method, route=route, status=refusal.status, exc_info=error)
            return
        if refusal.status < INTERNAL_ERROR.status:
            return
        kind = (refusal.kind.slug, type_name(error), _dependency(error))
        refused = self._kinds.get(kind)
        is_first = refused is None
        if refused is None:
            refused = self._kinds[kind] = Refused()
        refused.count += count
        refused.method, refused.route = method, route
        refused.error = str(error).partition("\n")[0][:MAX_ERROR_CHARS]
        if is_first:
            self._write(kind, refused)
            asyncio.get_running_loop().call_later(LOG_EVERY_S, self._write_again, kind)

    def _write(self, kind: tuple[str, str, str], refused: Refused) -> None:
        problem, error_type, dependency = kind
        self._log.warning(
            "request refused",
            problem=problem,
            dependency=dependency,
            error_type=error_type,
            error=refused.error,
            method=refused.method,
            route=refused.route,
            status=CATALOGUE[problem].status,
            requests=refused.count,
        )
        refused.count = 0

    def _write_again(self, kind: tuple[str, str, str]) -> None:
        """Log the refusals since the last line; when there were none, the next of the kind is logged at once."""
        if not self._kinds[kind].count:
            del self._kinds[kind]
            return
        self._write(kind, self._kinds[kind])
        asyncio.get_running_loop().call_later(LOG_EVERY_S, self._write_again, kind)


def _dependency(error: Exception) -> str:
    """Return what a request wanted of, in the word of the log field `dependency`."""
    match error:
        case StoreError():
            return "redis"
        case HistoryError():
            return "history"
    return "ingest"
