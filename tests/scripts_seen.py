"""An observer of a store that counts the scripts that it called."""

from collections import Counter


class ScriptsSeen:
    """The calls of a store."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def observe_call(self, script: str, seconds: float) -> None:
        """Count a call."""
        self.counts[script] += 1

    def count_reconnect(self) -> None:
        """Count nothing."""

    def take(self) -> dict[str, int]:
        """Return the calls since the last time."""
        seen, self.counts = dict(self.counts), Counter()
        return seen
