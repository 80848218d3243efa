"""A handler that is called once for many jobs, and how its function is read."""

import typing
from collections.abc import Callable, Sequence
from inspect import Parameter
from typing import Any

from millstream.context import BaseContext
from millstream.errors import HandlerError
from millstream.function_reader import is_async, parameters_of, place_of
from millstream.gathering.batch import Batch, BatchContext, SyncBatch
from millstream.gathering.job_item import JobItem, SyncJobItem
from millstream.handler import Handler
from millstream.jobs.annotations import annotations_of, data_type, result_annotation
from millstream.signature import Signature
from millstream_contracts import Gathering

_TAKES = "a batch handler takes a Batch and then, if it wants, a BatchContext"


class BatchHandler(Handler):
    """A handler that a worker calls once for many jobs. They are submitted one by one, as those of any handler."""

    def __init__(self, *given: Any, **options: Any) -> None:
        super().__init__(*given, **options)
        self._takes_context = len(_positional(self.function)) > 1

    @property
    def gathering(self) -> Gathering:
        """How many jobs a call takes, and how long the first one waits."""
        return self.policy.gathers or Gathering()

    def arguments(self, payload: Any, context: BaseContext[Any] | None) -> tuple[Any, ...]:
        """Return the item of one job, which the worker gathers with others."""
        assert isinstance(context, JobItem | SyncJobItem)
        context.payload = payload
        return (context,)

    def batch_arguments(self, items: Sequence[Any], context: BatchContext[Any]) -> tuple[Any, ...]:
        """Return the arguments of the function for a call with these items."""
        batch = Batch(items) if self.signature.context is JobItem else SyncBatch(items)
        return (batch, context) if self._takes_context else (batch,)


def inspect_batch_signature(function: Callable[..., Any]) -> Signature:
    """Return how a batch handler is called: the payload and the result are those of one job. Raises: HandlerError."""
    where, hints, parameters = place_of(function), annotations_of(function), _positional(function)
    if not parameters or len(parameters) > 2:
        raise HandlerError(f"{where}: {_TAKES}")
    annotation = hints.get(parameters[0].name)
    kind = typing.get_origin(annotation) or annotation
    if kind not in {Batch, SyncBatch}:
        raise HandlerError(f"{where}: {_TAKES}: annotate `{parameters[0].name}`, as in Batch[str, int]")
    if (kind is Batch) is not is_async(function):
        wanted = "async: it takes a Batch" if is_async(function) else "not async: it takes a SyncBatch"
        raise HandlerError(f"{where} is {wanted}")
    if len(parameters) == 2:
        context = hints.get(parameters[1].name)
        if (typing.get_origin(context) or context) is not BatchContext:
            raise HandlerError(f"{where}: {_TAKES}, not {context!r}")
    if result_annotation(hints) not in {None, Any}:
        raise HandlerError(f"{where}: a batch handler returns nothing: give each job its result by `item.succeed`")
    payload, result = typing.get_args(annotation) or (Any, Any)
    item: type[BaseContext[Any]] = JobItem if kind is Batch else SyncJobItem
    return Signature(payload, data_type(payload, where, is_result=False), True, item, result)


def check_no_batch(function: Callable[..., Any]) -> None:
    """Raise HandlerError for a function that takes a batch and is not registered for one."""
    parameters, hints = parameters_of(function), annotations_of(function)
    annotation = hints.get(parameters[0].name) if parameters else None
    if (typing.get_origin(annotation) or annotation) in (Batch, SyncBatch):
        raise HandlerError(f"{place_of(function)} takes a batch: register it by `@app.batch`")


def _positional(function: Callable[..., Any]) -> list[Parameter]:
    """Return the parameters that a call fills. Raises: HandlerError, for others without a default."""
    where, positional = place_of(function), []
    for parameter in parameters_of(function):
        is_optional = parameter.default is not Parameter.empty
        if parameter.kind in {Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD}:
            raise HandlerError(f"{where}: parameter `{parameter.name}` must be positional")
        if not is_optional:
            positional.append(parameter)
    return positional
