"""The test kit: what `app.testing()` gives, and the errors of tests. Needs the extra `testing`."""

from millstream_testing.errors import LeftoverError, TestingError
from millstream_testing.kit import Testing
from millstream_testing.running.stub import Stub
from millstream_testing.surface.submitted import Submitted
from millstream_testing.sync_kit import SyncTesting

__all__ = ["LeftoverError", "Stub", "Submitted", "SyncTesting", "Testing", "TestingError"]
