"""The public API of the SDK equals a list: `public_api.txt` is written by `python tests/sdk/test_public_api.py`."""

import inspect
import re
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import millstream
import millstream.handlers
from millstream.context import BaseContext
from millstream.job_options import JobOptions

GOLDEN = Path(__file__).with_name("public_api.txt")


def signature(owner: str, name: str, function: Any) -> str:
    """Return a function with its parameters, defaults and annotations, wherever the types of these are defined."""
    text = re.sub(r"\*<class '([\w.]+)'>", r"Unpack[\1]", f"{owner}{name}{inspect.signature(function)}")
    return re.sub(r"\b(?:[a-z_]\w*\.)+(?=[A-Za-z_])|'", "", text)


def members(owner: str, cls: type) -> Iterator[str]:
    """Yield the public members of a class, and the parameters of its constructor."""
    yield f"{owner}({', '.join(base.__name__ for base in cls.__bases__)})"
    for name, member in sorted(vars(cls).items()):
        if name.startswith("_") and name not in {"__init__", "__call__", "__iter__"}:
            continue
        function = getattr(member, "__func__", member)
        if inspect.isfunction(function):
            for form in typing.get_overloads(function) or [function]:
                kind = "async " if inspect.iscoroutinefunction(form) else ""
                yield f"    {kind}{signature('', name, form)}"
        elif isinstance(member, property):
            yield f"    {name}: property"
    if fields := getattr(cls, "__annotations__", None):
        yield f"    fields: {', '.join(fields)}"
    if hasattr(cls, "__struct_fields__"):
        yield f"    {signature('', cls.__name__, cls)}"


def described(module: Any) -> Iterator[str]:
    """Yield one or more lines for each name that a module exports."""
    for name in sorted(module.__all__):
        value = getattr(module, name)
        if inspect.isclass(value):
            yield from members(f"{module.__name__}.{name}", value)
        elif inspect.isfunction(value):
            yield signature(f"{module.__name__}.", name, value)
        else:
            yield f"{module.__name__}.{name}: {type(value).__name__}"


def public_api() -> str:
    """Return the public API, a line a function."""
    options = members("the options of App.job", JobOptions)
    shared = members("what contexts have in common", BaseContext)
    return "\n".join([*described(millstream), *options, *shared, *described(millstream.handlers), ""])


def test_the_public_api_is_the_one_that_is_listed() -> None:
    """Every public name, parameter and default equals the list."""
    assert public_api().splitlines() == GOLDEN.read_text().splitlines()


def test_the_clients_offer_the_same_calls() -> None:
    """`SyncClient` has the calls of `Client` with the same parameters; only the closing and iterators are others."""

    def named(member: Any) -> str:
        text = signature("", "", member).replace("AsyncIterator", "Iterator")
        return re.sub(r"\bSync(JobHandle|WorkflowRun|BatchHandle|BatchBlock)\b", r"\1", text)

    def calls(cls: type) -> dict[str, str]:
        return {
            {"aclose": "close"}.get(name, name): named(member)
            for name, member in vars(cls).items()
            if inspect.isfunction(member) and not name.startswith("_")
        }

    assert calls(millstream.SyncClient) == calls(millstream.Client)
    assert calls(millstream.SyncJobHandle) == calls(millstream.JobHandle)
    assert calls(millstream.SyncWorkflowRun) == calls(millstream.WorkflowRun)
    assert calls(millstream.SyncBatchHandle) == calls(millstream.BatchHandle)


def test_errors_are_named_as_users_import_them() -> None:
    """The full name of each public error, which jobs store, is the name under which `millstream` exports it."""
    errors = {name: value for name in millstream.__all__ if is_error(value := getattr(millstream, name))}
    assert {name: f"{error.__module__}.{error.__qualname__}" for name, error in errors.items()} == {
        name: f"millstream.{name}" for name in errors
    }
    assert {"Dead", "InvalidError"} <= errors.keys()


def is_error(value: object) -> bool:
    """Return whether a value is a class of exceptions."""
    return inspect.isclass(value) and issubclass(value, BaseException)


if __name__ == "__main__":
    GOLDEN.write_text(public_api())
