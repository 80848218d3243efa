"""What is to be said of the history database: whether it answers, whose tables it has, and what they lack."""

from datetime import UTC, datetime

from millstream_history import History, HistoryError, HistoryState, open_history
from millstream_runtime.examination.section import Section

FEWEST_DAYS_AHEAD = 3
"""The alert on missing partitions has the same bound."""


async def examine_history(url: str) -> Section:
    """Look at the tables, and whether they take rows; nothing is stored. Raises: HistoryUrlError."""
    async with open_history(url) as history:
        try:
            schema = await history.look()
            state = await history.state()
        except HistoryError as error:
            return Section(name="history", headline="history: does not take jobs", objections=[str(error)])
    said = section_of_history(state)
    release = ", of a newer release" if schema.newer else ""
    headline = f"history: revision {schema.revision}{release}: takes jobs"
    return Section(name="history", headline=headline, advice=said.advice, passed=said.passed)


async def look_at_history(history: History) -> tuple[HistoryState | None, Section]:
    """Look at the tables as they are, by reads alone, which all services may do."""
    try:
        state = await history.state()
    except HistoryError as error:
        return None, Section(name="history", headline="history: does not answer", objections=[str(error)])
    return state, section_of_history(state)


def section_of_history(state: HistoryState) -> Section:
    """Return what is to be said of tables."""
    advice, passed = [], [f"the tables are at revision {state.schema.revision}"]
    if state.schema.newer:
        advice.append("the tables are of a newer release: this one writes what it knows")
    ahead = state.days_ahead(datetime.now(UTC).date())
    if ahead < FEWEST_DAYS_AHEAD:
        days = "today and the days to come have no partition" if ahead < 0 else f"{ahead} days ahead have partitions"
        advice.append(f"{days}: every dispatcher with this database makes them, and logs why it cannot")
    else:
        passed.append(f"{ahead} days ahead have partitions")
    if not state.indexes.error_text:
        advice.append(
            "errors are not indexed, so a search for words reads jobs one by one: install the extension pg_trgm, and "
            "run `millstream migrate`"
        )
    else:
        passed.append("errors are indexed")
    headline = f"history: revision {state.schema.revision}"
    return Section(name="history", headline=headline, advice=advice, passed=passed)
