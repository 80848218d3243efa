"""The state of a server: its memory, its disk, its replicas. `doctor` shows it; no service refuses to start for it."""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

NEARLY_FULL = 0.80
ALMOST_FULL = 0.95
"""Shares of `maxmemory`: worth a warning, and worth acting at once."""

LARGE_SHARE_OF_MACHINE = 0.50
"""Share of the machine's memory from which a server without `maxmemory` may be killed while it forks."""

VITAL_SETTINGS = ("appendfsync", "min-replicas-to-write", "min-slaves-to-write")
"""The settings to read by CONFIG GET, under both names that releases use."""


class Vitals(Struct, frozen=True, kw_only=True):
    """A server's report about itself at this moment. What it hides, as managed services do, is None."""

    used_bytes: int | None
    max_bytes: int | None
    """`maxmemory`; 0 when there is no limit."""
    machine_bytes: int | None
    evicted_keys: int | None
    """The number of keys that were evicted since the start."""
    aof_writes_ok: bool | None
    aof_rewrite_ok: bool | None
    snapshot_ok: bool | None
    appendfsync: str | None
    min_replicas: int | None
    """`min-replicas-to-write`."""
    online_replicas: int
    link_to_primary_ok: bool | None
    """Whether a replica is connected to its primary; None for a primary."""

    @property
    def fill(self) -> float:
        """The share of `maxmemory` that is in use; 0 without a limit."""
        return (self.used_bytes or 0) / self.max_bytes if self.max_bytes else 0.0

    @property
    def unlimited_share(self) -> float:
        """The share of the machine's memory that a server without `maxmemory` takes; 0 with a limit."""
        is_known = self.max_bytes == 0 and self.machine_bytes
        return (self.used_bytes or 0) / self.machine_bytes if is_known and self.machine_bytes else 0.0

    def objections(self) -> list[str]:
        """Return what stops jobs now, or soon."""
        missing = self.link_to_primary_ok is None and self.online_replicas < (self.min_replicas or 0)
        found = {
            f"memory is at {self.fill:.0%} of maxmemory: a full Redis refuses new jobs": self.fill >= ALMOST_FULL,
            "aof_last_write_status is err: Redis cannot write its AOF and refuses jobs; look at its disk": (
                self.aof_writes_ok is False
            ),
            "rdb_last_bgsave_status is err: the last snapshot failed; look at the log of Redis": (
                self.snapshot_ok is False
            ),
            f"min-replicas-to-write is {self.min_replicas} and {self.online_replicas} are connected: Redis refuses "
            "jobs": missing,
            "master_link_status is down: this replica misses what is written, and a failover to it would lose that": (
                self.link_to_primary_ok is False
            ),
        }
        return [text for text, is_so in found.items() if is_so]

    def advice(self) -> list[str]:
        """Return what may stop jobs later, or lose them."""
        found = {
            f"memory is at {self.fill:.0%} of maxmemory: a full Redis refuses new jobs": (
                NEARLY_FULL <= self.fill < ALMOST_FULL
            ),
            f"maxmemory is 0, and Redis takes {self.unlimited_share:.0%} of the memory of its machine: set a limit": (
                self.unlimited_share > LARGE_SHARE_OF_MACHINE
            ),
            f"{self.evicted_keys or 0:,} keys have been evicted since Redis started: jobs may be among them": (
                bool(self.evicted_keys)
            ),
            "aof_last_bgrewrite_status is err: the AOF grows until a rewrite succeeds": self.aof_rewrite_ok is False,
            "appendfsync is no: a crash of the machine loses up to 30 s of jobs; set everysec": (
                self.appendfsync == "no"
            ),
            "min-replicas-to-write is 0: a primary that is cut off from its replicas goes on taking jobs, and the "
            "failover loses them; set it to 1": bool(self.online_replicas) and self.min_replicas == 0,
        }
        return [text for text, is_so in found.items() if is_so]


def vitals_of(info: Mapping[str, Any], settings: Mapping[str, str]) -> Vitals:
    """Return the state of a server by its responses to INFO and CONFIG GET."""
    replicas = settings.get("min-replicas-to-write", settings.get("min-slaves-to-write"))
    rows = [row for name, row in info.items() if name.startswith("slave") and isinstance(row, dict)]
    appends = bool(info.get("aof_enabled"))
    return Vitals(
        used_bytes=info.get("used_memory"),
        max_bytes=info.get("maxmemory"),
        machine_bytes=info.get("total_system_memory"),
        evicted_keys=info.get("evicted_keys"),
        aof_writes_ok=_is_ok(info, "aof_last_write_status") if appends else None,
        aof_rewrite_ok=_is_ok(info, "aof_last_bgrewrite_status") if appends else None,
        snapshot_ok=_is_ok(info, "rdb_last_bgsave_status"),
        appendfsync=settings.get("appendfsync") if appends else None,
        min_replicas=None if replicas is None else int(replicas),
        online_replicas=sum(row.get("state") == "online" for row in rows),
        link_to_primary_ok=info["master_link_status"] == "up" if "master_link_status" in info else None,
    )


def _is_ok(info: Mapping[str, Any], name: str) -> bool | None:
    return info[name] == "ok" if name in info else None
