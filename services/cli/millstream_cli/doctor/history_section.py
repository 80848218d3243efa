"""What the doctor says of the history database: whether it answers, and whose tables it has."""

from millstream_cli.doctor.report import Section
from millstream_history import HistoryError, open_history


async def examine_history(url: str) -> Section:
    """Look at the tables, and whether they take rows; nothing is stored. Raises: HistoryUrlError."""
    async with open_history(url) as history:
        try:
            schema = await history.look()
        except HistoryError as error:
            return Section(name="history", headline="history: does not take jobs", objections=[str(error)])
    if schema.newer:
        return Section(
            name="history",
            headline=f"history: revision {schema.revision}, of a newer release: takes jobs",
            advice=["the tables are of a newer release: this one writes what it knows"],
        )
    return Section(name="history", headline=f"history: revision {schema.revision}: takes jobs")
