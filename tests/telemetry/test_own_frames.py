"""Frames of users' code are told from those of Millstream."""

from pathlib import Path

import millstream
import millstream_workers
from millstream_telemetry import is_ours


def test_a_file_is_ours_by_the_folder_of_its_package() -> None:
    """A file is one of Millstream when it is in one of its packages, and not when a folder above it is called so."""
    sdk, workers = Path(millstream.__path__[0]), Path(millstream_workers.__path__[0])
    assert is_ours(str(sdk / "app.py"))
    assert is_ours(str(workers / "running" / "calling.py"))
    assert not is_ours("/srv/millstream/shop/jobs.py")
    assert not is_ours("/srv/millstream_workers/jobs.py")


def test_built_in_handlers_count_as_users_code() -> None:
    """A frame of a built-in handler is shown, because it says where its job failed."""
    assert not is_ours(str(Path(millstream.__path__[0]) / "handlers" / "report_generate.py"))
