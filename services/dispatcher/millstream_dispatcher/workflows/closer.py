"""Writes the span of a workflow that has ended. The dispatcher that told it of its last job does so."""

from collections.abc import Sequence

from millstream_contracts import Tenant, WorkflowId
from millstream_streams import Broker
from millstream_telemetry import JobTracer, TraceContext


class WorkflowCloser:
    """Ends traces of workflows."""

    def __init__(self, broker: Broker, tracer: JobTracer) -> None:
        self._workflows = broker.workflows
        self._tracer = tracer

    async def close(self, tenant: Tenant, ended: Sequence[WorkflowId]) -> None:
        """Write the spans of workflows that have ended. Raises: StoreError."""
        if not ended or not self._tracer.is_on:
            return
        for one in (await self._workflows.read(tenant, ended)).values():
            self._tracer.workflow(
                one.name,
                one.id,
                TraceContext(one.trace),
                created_ms=one.created_at_ms,
                finished_ms=one.finished_at_ms or one.moved_at_ms,
                state=one.state,
                counts={state.value: count for state, count in one.counts.items()},
            )
