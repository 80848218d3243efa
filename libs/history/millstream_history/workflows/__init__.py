"""Workflows that have ended: how they are stored, found and erased."""

from millstream_history.workflows.past_workflows import PastWorkflows, WorkflowQuery
from millstream_history.workflows.workflow_rows import EndedWorkflow

__all__ = ["EndedWorkflow", "PastWorkflows", "WorkflowQuery"]
