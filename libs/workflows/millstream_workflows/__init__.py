"""Workflows as graphs: what is checked of them, and how inputs are made of results. No I/O happens here."""

from millstream_workflows.blueprints import job_of
from millstream_workflows.composing import compose, compose_result, map_items
from millstream_workflows.errors import InputError, InputReason, WorkflowError
from millstream_workflows.graphs import cycle_of, layers_of
from millstream_workflows.planning import Plan, PlannedNode, plan
from millstream_workflows.pointers import pointer_to

__all__ = [
    "InputError",
    "InputReason",
    "Plan",
    "PlannedNode",
    "WorkflowError",
    "compose",
    "compose_result",
    "cycle_of",
    "job_of",
    "layers_of",
    "map_items",
    "plan",
    "pointer_to",
]
