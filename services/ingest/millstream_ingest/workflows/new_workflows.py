"""Makes of a checked workflow what is stored: the ids of its jobs are decided on here, once."""

import hashlib

from millstream_contracts import JobType, Queue, Tenant, WorkflowId
from millstream_contracts.ids import derived_job_id
from millstream_ingest.workflows.checked_workflow import CheckedWorkflow
from millstream_streams import Idempotency, NewNode, NewWorkflow

_DIGEST_BYTES = 16


def new_workflow(
    tenant: Tenant,
    workflow_id: WorkflowId,
    checked: CheckedWorkflow,
    *,
    now_ms: int,
    trace: str,
    idempotency: Idempotency | None,
    owner: str = "",
) -> NewWorkflow:
    """Return a workflow as it is stored."""
    submission, planned = checked.submission, checked.plan
    nodes = []
    for node, placing in zip(planned.nodes, checked.placings, strict=True):
        digest = hashlib.blake2b(f"{workflow_id} {node.name}".encode(), digest_size=_DIGEST_BYTES).digest()
        queue = Queue(tenant, JobType(node.type), placing.partition_by(int.from_bytes(digest[:4])))
        nodes.append(
            NewNode(
                name=node.name,
                queue=queue,
                job_id=derived_job_id(queue, now_ms, digest),
                blueprint=node.blueprint,
                parents=node.parents,
                inputs=node.inputs,
                after_failure=node.after_failure,
                optional=node.optional,
                is_map=node.is_map,
                max_failures=node.max_failures,
                is_placed_late=placing.is_late,
            )
        )
    return NewWorkflow(
        id=workflow_id,
        name=submission.name,
        nodes=tuple(nodes),
        created_at_ms=now_ms,
        retention_ms=round(submission.retention_s * 1000),
        on_failure=submission.on_failure,
        result=planned.result,
        result_inputs=planned.result_inputs,
        trace=trace,
        idempotency=idempotency,
        owner=owner,
    )
