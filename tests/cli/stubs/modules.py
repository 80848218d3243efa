"""Writes modules of contracts for handlers, and imports them."""

import importlib.util
import sys
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

from millstream import App
from millstream_cli.stubs.module_writer import write_module
from millstream_contracts import JobType, TypePolicy, TypeRegistration


def registered(job_type: str, takes: Any = Any, gives: Any = Any) -> TypeRegistration:
    """Return what a worker registers of a handler with these annotations."""

    def handle(payload: Any) -> Any:
        """Handle it."""

    handle.__annotations__ = {"payload": takes, "return": gives}
    return App("x").job(job_type)(handle).registration()


def of_schema(payload: Any, result: Any = None, job_type: str = "a.job") -> TypeRegistration:
    """Return a registration with schemas that any program may have written."""
    return TypeRegistration(
        type=JobType(job_type), policy=TypePolicy(), payload_schema=payload, result_schema=result, description="Do it."
    )


def imported(registrations: Iterable[TypeRegistration], folder: Path) -> ModuleType:
    """Write the module of contracts of these types, and import it."""
    path = folder / "contracts_written.py"
    path.write_text(write_module(registrations))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Annotations are read by the name of the module.
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module
