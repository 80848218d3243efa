"""Counts the scripts that were answered, as an observer of a store."""

from collections import Counter


class ScriptsSeen:
    """What a store has asked Redis."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def observe_call(self, script: str, seconds: float) -> None:
        """Note an answer."""
        self.counts[script] += 1

    def count_reconnect(self) -> None:
        """Note nothing."""

    def take(self) -> dict[str, int]:
        """Return what was asked since the last time."""
        seen, self.counts = dict(self.counts), Counter()
        return seen
