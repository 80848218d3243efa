"""One workflow: its graph, what keeps it from going on, and what can be done with it."""

import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from litestar import Response, get, post
from litestar.params import FromPath

from millstream import ApiError, Client, WorkflowNode, WorkflowStatus
from millstream_console.live.view import Content, View
from millstream_console.pages.workflows import critical_path, results, workflow_words
from millstream_console.reading.at_once import AtOnce
from millstream_console.web.visit import Visit
from millstream_contracts import JobId, NodeFilter, limits

MOST_READ = 1_000
"""Nodes that are read for the graph. Of a workflow with more there is the table alone."""
ROWS = 50
FILTERS = ("", *(one.value for one in NodeFilter))


async def read_workflow(client: Client, *, workflow_id: str, nodes: str, cursor: str) -> Content:
    """Return a workflow with its graph and a page of its nodes. Raises: ApiError."""
    # First alone: that there is none is said once.
    first = await client.workflow_nodes(workflow_id, results=True, limit=limits.MAX_PAGE)
    async with AtOnce() as reads:
        failed = reads.begin(client.workflow_nodes(workflow_id, nodes=NodeFilter.FAILED, limit=ROWS))
        rows = reads.begin(
            client.workflow_nodes(workflow_id, nodes=nodes or None, results=True, cursor=cursor or None, limit=ROWS)
        )
        signals = reads.begin(_awaited(client, first.workflow))
    every = list(first.nodes)
    following = first.next_cursor
    while following and workflow_words.total_of(first.workflow) <= MOST_READ:
        page = await client.workflow_nodes(workflow_id, results=True, cursor=following, limit=limits.MAX_PAGE)
        every += page.nodes
        following = page.next_cursor
    now = datetime.now(UTC)
    return {
        "workflow": first.workflow,
        "every": [] if following else every,
        "path": None if following else critical_path.critical_path(every, now),
        "path_told": critical_path.told,
        "took": {node.name: critical_path.took_s(node, now) for node in rows.value.nodes},
        "signals": signals.value,
        "failed": failed.value.nodes,
        "rows": _by_urgency(rows.value.nodes) if not nodes else rows.value.nodes,
        "next_cursor": rows.value.next_cursor,
        "cursor": cursor,
        "nodes": nodes,
        "key": secrets.token_hex(16),
        "words": workflow_words,
        "taken": results.taken,
    }


WORKFLOW = View("workflow.html", read_workflow, "workflows")


@get("/workflows/{workflow_id:str}")
async def show_workflow(visit: Visit, workflow_id: FromPath[str]) -> Response[Any]:
    """Show one workflow."""
    return await visit.show(
        WORKFLOW, workflow_id=workflow_id, nodes=visit.choice("nodes", FILTERS, ""), cursor=visit.text("cursor")
    )


@post("/workflows/{workflow_id:str}/cancel")
async def cancel_workflow(visit: Visit, workflow_id: FromPath[str]) -> Response[bytes]:
    """Cancel a workflow."""
    doing = visit.client.cancel_workflow(workflow_id)
    return await visit.act(doing, back=_path(workflow_id), done=lambda found: f"{found.name} is {found.state}.")


@post("/workflows/{workflow_id:str}/rerun")
async def rerun_workflow(visit: Visit, workflow_id: FromPath[str]) -> Response[bytes]:
    """Run nodes again: one that the form names, or all that failed. Sent twice, it is done once."""
    form = await visit.form()
    name, key = form.text("node"), form.text("key") or None
    doing = visit.client.rerun_workflow(workflow_id, [name] if name else None, failed=not name, idempotency_key=key)
    return await visit.act(doing, back=_path(workflow_id), done=lambda found: f"Run {found.run} has started.")


async def _awaited(client: Client, workflow: WorkflowStatus) -> Mapping[JobId, str]:
    """Return for which signals jobs of a workflow wait; of none without a history, which finds them."""
    if workflow.state.is_terminal:
        return {}
    try:
        page = await client.jobs(f"workflow:{workflow.id} state:scheduled", limit=ROWS)
    except ApiError:
        return {}
    return {job.id: job.waiting_for for job in page.items if job.waiting_for}


def _by_urgency(nodes: list[WorkflowNode]) -> list[WorkflowNode]:
    """Return nodes in the order in which they stand in the way."""
    order = {state: at for at, state in enumerate(workflow_words.LOUDEST)}
    return sorted(nodes, key=lambda node: order[node.state])


def _path(workflow_id: str) -> str:
    return f"/workflows/{workflow_id}"


HANDLERS = (show_workflow, cancel_workflow, rerun_workflow)
"""The functions that answer."""
