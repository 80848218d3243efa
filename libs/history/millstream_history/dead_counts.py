"""Counts of the dead jobs of each day, by type and fingerprint: reading them costs by the groups and not by the jobs.

Triggers write each change of `jobs` as a row of its own, so that no writer waits for another; these rows are added to
the counts now and then. A reader adds both, and has the right numbers at any time.
"""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from millstream_history.connection import locks
from millstream_history.connection.database import transaction

# Of days too: a day that is dropped meanwhile would leave the counts that are being written.
_TRY_LOCK = text("SELECT pg_try_advisory_xact_lock(:lock)").bindparams(lock=locks.DAYS)
_FOLD = text(
    "WITH taken AS (DELETE FROM dead_changes RETURNING *), folded AS ("
    "INSERT INTO dead_counts AS known (tenant, day, type, fingerprint, n) "
    "SELECT tenant, day, type, fingerprint, sum(n) FROM taken "
    "GROUP BY 1, 2, 3, 4 HAVING sum(n) <> 0 ORDER BY 1, 2, 3, 4 "
    "ON CONFLICT (tenant, day, type, fingerprint) DO UPDATE SET n = known.n + excluded.n RETURNING n) "
    "SELECT (SELECT count(*) FROM taken), (SELECT count(*) FROM folded WHERE n = 0)"
)
_REMOVE_NONE = text("DELETE FROM dead_counts WHERE n = 0")


class DeadCounts:
    """The counts of a history database. Every method may raise HistoryError."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def fold(self) -> int:
        """Add the changes to the counts. Returns: how many changes; 0 too while another process is at it."""
        async with transaction(self._engine) as connection:
            if not (await connection.execute(_TRY_LOCK)).scalar_one():
                return 0
            taken, none = (await connection.execute(_FOLD)).one()
            if none:
                await connection.execute(_REMOVE_NONE)
            return int(taken)
