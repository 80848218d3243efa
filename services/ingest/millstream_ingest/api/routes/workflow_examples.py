"""Examples of workflows for the API document."""

from datetime import UTC, datetime, timedelta

from millstream_contracts import (
    JobId,
    NodeInput,
    NodeItems,
    NodeState,
    WorkflowAccepted,
    WorkflowId,
    WorkflowNode,
    WorkflowNodePage,
    WorkflowPage,
    WorkflowState,
    WorkflowStatus,
)
from millstream_ingest.api.operation import Example

_ID = WorkflowId("WF_0001KBCSZ4000ABCDEFGHJKMNP")
_AT = datetime(2026, 11, 27, 2, 0, tzinfo=UTC)
_LATER = _AT + timedelta(seconds=40)
_SALES = JobId("report.generate_000001KBCSZ4000ABCDEFGHJKN")
_INDEX = JobId("report.generate_000001KBCSZ4000ABCDEFGHJKM")
_RUNNING = WorkflowStatus(
    id=_ID,
    name="month-end",
    state=WorkflowState.RUNNING,
    counts={NodeState.SUCCEEDED: 1, NodeState.STARTED: 1, NodeState.WAITING: 1},
    created_at=_AT,
)
_NODES = [
    WorkflowNode(
        name="sales", type="report.generate", state=NodeState.SUCCEEDED, job=_SALES, started_at=_AT, finished_at=_LATER
    ),
    WorkflowNode(
        name="sheets",
        type="report.generate",
        state=NodeState.STARTED,
        after=["sales"],
        started_at=_LATER,
        items=NodeItems(total=2, counts={NodeState.SUCCEEDED: 1, NodeState.STARTED: 1}),
        inputs=[NodeInput(node="sales", result_bytes=1204)],
    ),
    WorkflowNode(name="index", type="report.generate", state=NodeState.WAITING, after=["sales", "sheets"]),
]

SUBMISSIONS = {
    "map": Example(
        "A report in two files, a report about each of them, and one about both",
        {
            "name": "month-end",
            "nodes": {
                "sales": {
                    "type": "report.generate",
                    "payload": {"name": "sales", "rows": [{"city": "Oslo", "sold": 3}], "formats": ["csv", "xlsx"]},
                },
                "sheets": {
                    "type": "report.generate",
                    "map": {"$result": "sales"},
                    "payload": {"name": {"$item": "/format"}, "rows": [{"$item": ""}]},
                    "max_failures": 1,
                },
                "index": {
                    "type": "report.generate",
                    "payload": {"name": "index", "rows": {"$result": "sales", "default": [{"path": "none"}]}},
                    "after": ["sheets"],
                    "after_failure": "run",
                },
            },
            "result": {"$result": "index"},
        },
    ),
    "order": Example(
        "Two jobs one after the other, without results",
        {
            "name": "deploy",
            "on_failure": "cancel",
            "nodes": {"build": {"type": "demo.flaky"}, "test": {"type": "demo.delayed", "after": ["build"]}},
        },
    ),
}
ACCEPTED = {
    "running": Example(
        "The first node is about to start",
        WorkflowAccepted(
            id=_ID,
            state=WorkflowState.RUNNING,
            counts={NodeState.STARTING: 1, NodeState.WAITING: 2},
            nodes={"sales": _SALES, "index": _INDEX},
        ),
    )
}
STATUS = {"running": Example("A workflow", _RUNNING)}
NODES = {"nodes": Example("A workflow with its nodes", WorkflowNodePage(workflow=_RUNNING, nodes=_NODES))}
WORKFLOWS = {"page": Example("One workflow", WorkflowPage(items=[_RUNNING]))}
RERUNS = {
    "failed": Example("All that failed, and what is behind them", {"failed": True}),
    "from": Example("These nodes, and what is behind them", {"from": ["sheets"]}),
}
