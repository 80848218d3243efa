"""The sync client and its handle are generated from the async ones."""

import importlib.util
from pathlib import Path

import millstream

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
