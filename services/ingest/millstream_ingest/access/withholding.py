"""Keeps payloads and results from principals that may not read them, whichever route answers.

It goes by the names of fields, at any depth, and not by routes: so a new route cannot forget it. Of a payload nothing
is left, so names inside of one do not matter. Where users have chosen the names, as of tags, they say nothing.
"""

import re
from typing import Any

from msgspec import NODEFAULT, Struct, structs
from msgspec.structs import replace

from millstream_contracts import Job, Scope
from millstream_history import RecentJobs
from millstream_ingest.access.principal import Principal
from millstream_ingest.http.errors import IngestError
from millstream_ingest.http.problems import FORBIDDEN
from millstream_ingest.http.query import Query

FIELDS = frozenset({"payload", "result", "patch", "samples", "logs"})
"""The fields that hold a payload, a result, or a part of one, and the log lines of handlers, which may quote them."""

NAMED_BY_USERS = frozenset({"payload_schema", "result_schema", "tags", "weights"})
"""The fields that hold no payload, and any names: a tag may be called `result`, and a property of a schema too."""

_NAMES_OF_NODES = "nodes"
"""The field that has what becomes of each node, by names that users have chosen."""

_ENCRYPTED = frozenset({"message", "traceback", "note"})
"""The fields of an error and of progress that are texts of the handler: encrypted ones are kept like payloads."""

_ASKED_FOR = re.compile(r"\b(?:payload|result)\b", re.IGNORECASE)
_PAYLOADS_READ = Scope.PAYLOADS_READ


def without_payloads(value: Any) -> Any:
    """Return what an answer says without payloads and results."""
    match value:
        case Job():
            bare = replace(value, payload=None, result=None)
            return _without_encrypted(bare) if value.encrypted else bare
        case Struct():
            return _blank(value)
        case dict():
            left_out = FIELDS | _ENCRYPTED if value.get("encrypted") is True else FIELDS
            return {name: without_payloads(one) for name, one in value.items() if name not in left_out}
        case list() | tuple():
            return [without_payloads(one) for one in value]
    return value


def _blank(value: Struct) -> Struct:
    """Return an answer with fields of payloads as if they were not given: it keeps the form that is documented."""
    changes: dict[str, Any] = {}
    texts = _ENCRYPTED if getattr(value, "encrypted", False) is True else ()
    for field in structs.fields(value):
        one = getattr(value, field.name)
        if field.name in NAMED_BY_USERS:
            continue
        if field.name in FIELDS:
            is_list = field.default_factory is not NODEFAULT
            changes[field.name] = [] if is_list else None if field.default is NODEFAULT else field.default
        elif field.name in texts:
            changes[field.name] = ""
        elif field.name == _NAMES_OF_NODES and isinstance(one, dict):
            changes[field.name] = {name: without_payloads(node) for name, node in one.items()}
        elif isinstance(one, Struct | list | tuple | dict):
            changes[field.name] = without_payloads(one)
    return replace(value, **changes) if changes else value


def _without_encrypted(job: Job) -> Job:
    """Return a job without the texts of its handler that are stored encrypted."""
    error, progress = job.error, job.progress
    return replace(
        job,
        error=error and replace(error, message="", traceback=""),
        progress=progress and replace(progress, note=""),
    )


def readable_fields(principal: Principal, recent: RecentJobs) -> RecentJobs:
    """Return what recent jobs have, without the fields and values of payloads that the principal may not read."""
    if _PAYLOADS_READ in principal.scopes:
        return recent
    return replace(recent, fields={name: seen for name, seen in recent.fields.items() if not _ASKED_FOR.match(name)})


def check_query(principal: Principal, query: Query) -> None:
    """Refuse to search by what the principal may not read: what a search finds tells it. Raises: IngestError (403)."""
    if _ASKED_FOR.search(query.q) and _PAYLOADS_READ not in principal.scopes:
        raise IngestError(FORBIDDEN, f"to search by payloads and results takes the scope `{_PAYLOADS_READ}`")
