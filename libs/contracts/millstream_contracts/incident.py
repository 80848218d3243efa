"""What is wrong for so long that people are told."""

from datetime import datetime

from msgspec import Struct


class Incident(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A condition that holds, from its first sight to its end. Times are Unix milliseconds, by the clock of Redis."""

    rule: str
    """Which kind of condition: `dead-letters`, `no-worker`."""
    key: str = ""
    """What it is about, such as a job type; empty for the installation as a whole."""
    summary: str
    """What is wrong, in a sentence."""
    opened_ms: int
    seen_ms: int
    """When a dispatcher last saw the condition hold."""
    notices: int = 0
    """How many notices were sent, resolved ones not counted."""
    noticed_ms: int = 0

    @property
    def id(self) -> str:
        """Return what tells this incident from the others that are open."""
        return f"{self.rule} {self.key}".rstrip()


class OpenIncident(Struct, frozen=True, kw_only=True):
    """An open incident as the API shows it."""

    rule: str
    about: str
    summary: str
    opened_at: datetime
    notices: int
