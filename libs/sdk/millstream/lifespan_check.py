"""Checks at the start that the lifespan of an app is one: a function that returns an async context manager."""

import inspect
from collections.abc import Callable
from inspect import Parameter
from typing import Any

from millstream.errors import HandlerError
from millstream.function_reader import code_of, parameters_of, place_of

_POSITIONAL = {Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD, Parameter.VAR_POSITIONAL}


def check_lifespan(app: str, lifespan: Any) -> None:
    """Raise HandlerError for what can be no lifespan of an app."""
    if trouble := _trouble(lifespan):
        shown = place_of(lifespan) if callable(lifespan) else repr(lifespan)
        raise HandlerError(f"the lifespan of app `{app}` ({shown}) {trouble}")


def takes_app(lifespan: Callable[..., Any]) -> bool:
    """Return whether a lifespan takes the app as its argument."""
    return any(parameter.kind in _POSITIONAL for parameter in parameters_of(lifespan))


def _trouble(lifespan: Any) -> str:
    """Return what is wrong with a lifespan; empty when nothing is."""
    if hasattr(lifespan, "__aenter__") and not isinstance(lifespan, type):
        return "has been called already: give the function itself"
    if not callable(lifespan):
        return "is no function: put @asynccontextmanager over a function that yields the state"
    if _is_bare(code_of(lifespan)):
        return "is no async context manager: put @asynccontextmanager over it"
    if inspect.isgeneratorfunction(inspect.unwrap(code_of(lifespan))):
        return "is a context manager that is not async: put @asynccontextmanager over an `async def`"
    needed = [one for one in parameters_of(lifespan) if one.default is Parameter.empty and one.kind in _POSITIONAL]
    if len([one for one in needed if one.kind is not Parameter.VAR_POSITIONAL]) > 1:
        return "takes more than the app: give the rest by functools.partial"
    return ""


def _is_bare(function: Any) -> bool:
    return (
        inspect.isasyncgenfunction(function)
        or inspect.iscoroutinefunction(function)
        or inspect.isgeneratorfunction(function)
    )
