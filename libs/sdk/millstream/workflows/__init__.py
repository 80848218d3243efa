"""Workflows as the code that builds and runs them sees them."""

from millstream.workflows.node_options import NodeOptions
from millstream.workflows.placeholders import ITEM
from millstream.workflows.sync_workflow_run import SyncWorkflowRun
from millstream.workflows.workflow import Node, Workflow, chain
from millstream.workflows.workflow_run import WorkflowRun

__all__ = ["ITEM", "Node", "NodeOptions", "SyncWorkflowRun", "Workflow", "WorkflowRun", "chain"]
