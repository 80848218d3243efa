"""The sync client is generated from the async one."""

import importlib.util
from pathlib import Path

import millstream

WRITER = Path(millstream.__file__).parents[1] / "write_sync_client.py"


def test_the_sync_client_is_the_one_that_is_generated() -> None:
    """`sync_client.py` is what `make generate` makes of `async_client.py`."""
    spec = importlib.util.spec_from_file_location("write_sync_client", WRITER)
    assert spec is not None
    assert spec.loader is not None
    writer = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(writer)
    assert writer.sync_client() == writer.TARGET.read_text(), "run `make generate`"
