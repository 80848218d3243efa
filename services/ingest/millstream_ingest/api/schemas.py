"""JSON Schemas of what crosses the API, made of the very types that are decoded and encoded."""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, get_type_hints

import msgspec
from msgspec import Meta, Struct

from millstream_contracts import Batch, Submission, limits

Schema = dict[str, Any]

REF_TEMPLATE = "#/components/schemas/{name}"

FIELD_DESCRIPTIONS: Mapping[str, Mapping[str, str]] = {
    "Submission": {
        "type": "Job type: which handler runs it",
        "payload": "Any value, at most 256 KiB, 64 levels and 50,000 members of objects and arrays; checked against "
        "the type's schema when a worker has registered one",
        "priority": "Of the jobs of a type, those of a higher priority are taken more often",
        "run_at": "Not before this time. Excludes `delay_s`",
        "delay_s": "Not before so many seconds from now. Excludes `run_at`",
        "expires_at": "Not after this time: an unstarted job then becomes `expired`. Excludes `expires_in_s`",
        "expires_in_s": "Not after so many seconds from now. Excludes `expires_at`",
        "max_attempts": "Instead of what the type's policy says",
        "timeout_s": "Seconds for one attempt, instead of what the type's policy says",
        "backoff": "Delays between attempts, instead of what the type's policy says",
        "tags": "Up to 16 short texts by name",
    },
    "Job": {
        "version": "Grows with every transition; the `ETag`",
        "attempts": "Runs of the handler that ended in success or failure",
        "deliveries": "Hand-overs to a worker, whatever came of them",
        "crashes": "Deliveries whose worker vanished",
        "handbacks": "Deliveries returned at a shutdown; they cost the job nothing",
        "error": "Of the last failed attempt, also after a later success",
        "reason": "Why it was cancelled or is dead",
        "worker": "Who runs it now, or ran it last",
    },
    "DeadLetterAction": {
        "ids": "Job ids, at most 10,000. Excludes `type`",
        "type": "A job type: the newest `limit` of its dead letters. Excludes `ids`",
        "limit": "1 to 10,000",
    },
    "Demand": {
        "queued": "Ready jobs; those of paused queues are left out",
        "running": "Jobs that a worker has, also one that has died: they become ready when their lease is over",
        "due_soon": "Delayed jobs and retries that are due within a minute (`MILLSTREAM_DUE_SOON_S`)",
        "oldest_ready_age_s": "How long the longest-waiting ready job has been ready, in seconds",
        "slots": "Jobs that the live workers of these types can run at once",
        "wanted_workers": "Workers that have a slot for each of these jobs; 1, however many jobs there are, while no "
        "worker lives",
    },
    "Problem": {
        "type": "Where the problem is explained",
        "instance": "Path of the request",
        "trace_id": "Finds the request in traces and logs",
    },
}


def schemas_of(models: Iterable[Any]) -> tuple[dict[Any, Schema], dict[str, Schema]]:
    """Return the schema of each model, and the components that these refer to."""
    wanted = list(dict.fromkeys(models))
    shapes = [_SHAPES.get(model, model) for model in wanted]
    found, components = msgspec.json.schema_components(shapes, ref_template=REF_TEMPLATE)
    for name, descriptions in FIELD_DESCRIPTIONS.items():
        for field, description in descriptions.items():
            properties = components.get(name, {}).get("properties", {})
            if field in properties:
                properties[field] = {**properties[field], "description": description}
    return dict(zip(wanted, found, strict=True)), components


def _submission_shape() -> type[Struct]:
    """Return Submission with a payload of any value: msgspec can make no schema of an undecoded default."""
    hints = get_type_hints(Submission, include_extras=True) | {"payload": Any}
    fields = [
        (field.name, hints[field.name])
        if field.required
        else (field.name, hints[field.name], None if field.name == "payload" else field.default)
        for field in msgspec.structs.fields(Submission)
    ]
    namespace = {"__doc__": Submission.__doc__}
    return msgspec.defstruct("Submission", fields, kw_only=True, forbid_unknown_fields=True, namespace=namespace)


def _batch_shape(item: type[Struct]) -> type[Struct]:
    jobs = Annotated[list[item], Meta(min_length=1, max_length=limits.MAX_BATCH_JOBS)]  # type: ignore[valid-type]
    return msgspec.defstruct(
        "Batch", [("jobs", jobs)], forbid_unknown_fields=True, namespace={"__doc__": "Many submissions in one request."}
    )


_SUBMISSION = _submission_shape()
_SHAPES: Mapping[Any, Any] = {Submission: _SUBMISSION, Batch: _batch_shape(_SUBMISSION)}
