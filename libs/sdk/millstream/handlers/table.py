"""Builds the table of a report from rows that are objects or lists."""

from collections.abc import Iterator

from msgspec import Struct

from millstream.steering import Dead

Cell = str | int | float | bool | None
Row = dict[str, Cell] | list[Cell]


class Table(Struct, frozen=True):
    """Column names, and rows with one cell for each column."""

    columns: list[str]
    rows: list[list[Cell]]


def build_table(columns: list[str] | None, rows: list[Row]) -> Table:
    """Return rows as a table. Raises: Dead, when they do not make one.

    The rows are either all objects or all lists. Without `columns`, the keys of the objects are the columns, in the
    order of their first appearance. With `columns`, other keys of an object are left out, and missing ones are empty.
    """
    if columns is None:
        columns = list(dict.fromkeys(_keys(rows)))
    if len(set(columns)) < len(columns):
        raise Dead("`columns` has a name twice")
    if len({isinstance(row, dict) for row in rows}) > 1:
        raise Dead("`rows` are either all objects or all lists")
    return Table(columns, [_cells(number, row, columns) for number, row in enumerate(rows)])


def _keys(rows: list[Row]) -> Iterator[str]:
    for row in rows:
        if not isinstance(row, dict):
            raise Dead("`columns` is needed when rows are lists")
        yield from row


def _cells(number: int, row: Row, columns: list[str]) -> list[Cell]:
    if isinstance(row, dict):
        return [row.get(column) for column in columns]
    if len(row) != len(columns):
        raise Dead(f"`rows[{number}]` has {len(row)} cells for {len(columns)} columns")
    return row
