"""What the doctor says of the history database: whether it answers, whose tables it has, and what they lack."""

from datetime import UTC, datetime

from millstream_cli.doctor.report import Section
from millstream_history import History, HistoryError, open_history

FEWEST_DAYS_AHEAD = 3
"""The alert on missing partitions has the same bound."""


async def examine_history(url: str) -> Section:
    """Look at the tables, and whether they take rows; nothing is stored. Raises: HistoryUrlError."""
    async with open_history(url) as history:
        try:
            schema = await history.look()
            advice = await _advice(history)
        except HistoryError as error:
            return Section(name="history", headline="history: does not take jobs", objections=[str(error)])
    if schema.newer:
        return Section(
            name="history",
            headline=f"history: revision {schema.revision}, of a newer release: takes jobs",
            advice=["the tables are of a newer release: this one writes what it knows", *advice],
        )
    return Section(name="history", headline=f"history: revision {schema.revision}: takes jobs", advice=advice)


async def _advice(history: History) -> list[str]:
    """Return what makes searches slower than they need to be."""
    advice = []
    ahead = await history.days.ahead(datetime.now(UTC).date())
    if ahead < FEWEST_DAYS_AHEAD:
        days = "today and the days to come have no partition" if ahead < 0 else f"{ahead} days ahead have partitions"
        advice.append(f"{days}: every dispatcher with this database makes them, and logs why it cannot")
    indexes = await history.optional_indexes()
    if not indexes.error_text:
        advice.append(
            "errors are not indexed, so a search for words reads jobs one by one: install the extension pg_trgm, and "
            "run `millstream migrate`"
        )
    return advice
