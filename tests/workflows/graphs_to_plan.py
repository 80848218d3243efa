"""Makes workflows of plain values, as the API decodes them."""

from typing import Any

import msgspec
from msgspec import Raw

from millstream_contracts import NodeSubmission, WorkflowSubmission
from millstream_workflows import WorkflowError, plan

pack = msgspec.msgpack.encode
unpack = msgspec.msgpack.decode

_PACKED = ("payload", "map", "result")


def node(**fields: Any) -> NodeSubmission:
    """Return a node; its payload and `map` are plain values."""
    packed = {name: Raw(pack(value)) if name in _PACKED else value for name, value in fields.items()}
    return NodeSubmission(**{"type": "album.list", **packed})


def workflow(result: Any = None, **nodes: NodeSubmission) -> WorkflowSubmission:
    """Return a workflow of these nodes."""
    return WorkflowSubmission(
        name="thumbnails", nodes=nodes, result=Raw(pack(result)) if result is not None else Raw(b"")
    )


def refusals(submission: WorkflowSubmission) -> dict[str, str]:
    """Return what is wrong with a workflow by the place of it; nothing when it can be planned."""
    try:
        plan(submission)
    except WorkflowError as error:
        return {fault.pointer: fault.detail for fault in error.errors}
    return {}
