"""Errors of the test kit.

TestingError              the test uses the kit in a way that cannot work
LeftoverError             a test has left jobs behind; an AssertionError
"""

from millstream import MillstreamError


class TestingError(MillstreamError):
    """The test uses the kit in a way that cannot work."""

    __test__ = False  # of pytest, which takes classes with such names for tests


class LeftoverError(AssertionError):
    """A test has left behind what it did not look at."""

    def __init__(self, leftovers: list[str]) -> None:
        self.leftovers = leftovers
        """A sentence for each."""
        super().__init__("the test leaves behind:\n" + "\n".join(f"  {one}" for one in leftovers))
