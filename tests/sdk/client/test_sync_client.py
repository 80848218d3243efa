"""The sync client and its handle are generated from the async ones."""

import importlib.util
import inspect
from pathlib import Path

import pytest

import millstream
from millstream import SyncClient, SyncJobHandle, SyncWorkflowRun

WRITER = Path(millstream.__file__).parents[1] / "write_sync_client.py"


def test_the_sync_client_is_the_one_that_is_generated() -> None:
    """Each generated module is what `make generate` makes of its source."""
    spec = importlib.util.spec_from_file_location("write_sync_client", WRITER)
    assert spec is not None
    assert spec.loader is not None
    writer = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(writer)
    for target in writer.SOURCES:
        assert writer.generated(target) == target.read_text(), "run `make generate`"


@pytest.mark.parametrize("kind", [SyncClient, SyncJobHandle, SyncWorkflowRun])
def test_no_method_of_the_sync_client_returns_an_awaitable(kind: type) -> None:
    """No method of a SyncClient or of its handles is a coroutine function: what it returns is there."""
    methods = dict(inspect.getmembers(kind, inspect.isfunction))
    assert {"submit", "result"} & methods.keys()
    assert [name for name, method in methods.items() if inspect.iscoroutinefunction(method)] == []
    assert [name for name, method in methods.items() if inspect.isasyncgenfunction(method)] == []
