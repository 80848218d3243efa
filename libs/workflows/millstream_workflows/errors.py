"""Errors of workflows.

WorkflowError            a workflow may not be submitted; carries the fields at fault
InputError               what a node needs of the results before it is not there, or is too large
"""

from collections.abc import Sequence
from typing import Literal

from millstream_contracts import FieldError, told

InputReason = Literal["input_missing", "input_no_list", "inputs_too_large", "input_encrypted"]
"""Why a node is dead of which no job could be made."""


class WorkflowError(ValueError):
    """A workflow is no graph that could be run.

    Attributes:
        errors: The fields at fault, at most `MAX_FAULTS`, with pointers into the submission.
    """

    def __init__(self, errors: Sequence[FieldError]) -> None:
        super().__init__(told(errors))
        self.errors = errors


class InputError(ValueError):
    """The results that a node refers to do not make an input of it.

    Attributes:
        reason: What the node shows.
        detail: What is wrong, one line.
    """

    def __init__(self, reason: InputReason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason: InputReason = reason
        self.detail = detail
