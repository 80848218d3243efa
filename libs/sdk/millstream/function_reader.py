"""Reads what users register as handlers: functions, partials, methods and objects that can be called."""

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

from millstream.errors import HandlerError


def checked_function(function: Any) -> Callable[..., Any]:
    """Return what is to be called for each job. Raises: HandlerError, for what cannot be a handler."""
    if isinstance(function, staticmethod):
        function = function.__func__
    if isinstance(function, classmethod):
        raise HandlerError(
            f"{place_of(function)} is a class method: register it when its class is made, as `Class.name`"
        )
    if isinstance(function, type):
        raise HandlerError(f"{place_of(function)} is a class: register a function, or an object with `__call__`")
    if not callable(function):
        raise HandlerError(f"a handler is a function, not {function!r}")
    code = code_of(function)
    if inspect.isgeneratorfunction(code) or inspect.isasyncgenfunction(code):
        raise HandlerError(
            f"{place_of(function)} is a generator: a handler returns its result, and reports its progress"
        )
    checked: Callable[..., Any] = function
    return checked


def code_of(function: Any) -> Any:
    """Return the function that runs in the end: that of a partial, a method, an object that can be called."""
    while isinstance(function, partial):
        function = function.func
    if inspect.isroutine(function) or isinstance(function, type) or hasattr(function, "__wrapped__"):
        return function
    return getattr(type(function), "__call__", function)  # noqa: B004 - its function, and not whether there is one


def is_coroutine_function(function: Any) -> bool:
    """Return whether a call gives a coroutine, and does nothing else."""
    return inspect.iscoroutinefunction(code_of(function))


def is_async(function: Any) -> bool:
    """Return whether a function is `async def`, also below decorators that are not but name what they wrap."""
    code = code_of(function)
    return inspect.iscoroutinefunction(code) or inspect.iscoroutinefunction(code_of(inspect.unwrap(code)))


def is_awaitable(value: object) -> bool:
    """Return whether a value can be awaited, by its true type."""
    return hasattr(type(value), "__await__")


def name_of(function: Any) -> str:
    """Return the name of a function; of an object that can be called that of its class."""
    named = code_of(function) if isinstance(function, partial) else function
    return str(getattr(named, "__name__", type(named).__name__))


def place_of(function: Any) -> str:
    """Return `module:function`, for messages; of an object that can be called its class."""
    while isinstance(function, partial):
        function = function.func
    named = function if hasattr(function, "__qualname__") else type(function)
    return f"{named.__module__}:{named.__qualname__}"


def line_of(function: Any) -> tuple[str, int] | None:
    """Return the file of a function, and the line of its first decorator; None for one without source."""
    code = getattr(inspect.unwrap(code_of(function)), "__code__", None)
    return None if code is None else (code.co_filename, code.co_firstlineno)


def parameters_of(function: Any) -> list[inspect.Parameter]:
    """Return the parameters. Raises: HandlerError, for a function of C that does not tell them."""
    try:
        return list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError) as error:
        raise HandlerError(f"{place_of(function)} does not tell its parameters: write a function around it") from error
