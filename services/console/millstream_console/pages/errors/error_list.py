"""The list of errors: one row for what jobs have died of in the same place, whatever their types."""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any

from litestar import Response, get

from millstream import ApiError, Client, DeadGroup, DeadGroups, DeadLetter
from millstream_console.live.view import Content, View
from millstream_console.pages.errors.error_rows import fits, rows_of
from millstream_console.pages.jobs import looking
from millstream_console.reading import errors
from millstream_console.reading.past import Absence, absence_in
from millstream_console.web.visit import Visit
from millstream_contracts import DeadSample, limits, place_of

RANGES: dict[str, timedelta | None] = {
    "1d": timedelta(days=1),
    "7d": timedelta(days=7),
    "30d": timedelta(days=30),
    "all": None,
}
_LETTERS = 500
_LARGEST = 100
"""How many groups a page shows that was asked for no others."""


async def read_errors(client: Client, *, name: str, range: str, more: bool) -> Content:
    """Return the largest errors, or those of more whose types or text contain a text; and when jobs died."""
    limit = _limit(name, more)
    found, has_history = await _groups(client, range, limit)
    return {
        "rows": [row for row in rows_of(found.items) if fits(row, name.lower())],
        "total": sum(group.count for group in found.items),
        "complete": found.complete,
        "has_history": has_history,
        "name": name,
        "range": range,
        "limit": limit if len(found.items) == limit else None,
        "has_more": len(found.items) == limit < limits.MAX_DEAD_GROUPS,
        "look": looking,
        "place_of": errors.place_of,
    }


async def read_total(client: Client, *, name: str, range: str, more: bool) -> Content:
    """Return how many jobs have died by now: the rows of the page stay as they are."""
    found, _ = await _groups(client, range, _limit(name, more))
    return {"total": sum(group.count for group in found.items), "name": name, "range": range}


ERRORS = View("errors.html", read_errors, "errors", refresh=read_total)


@get("/errors")
async def show_errors(visit: Visit) -> Response[Any]:
    """Show what jobs have died of."""
    return await visit.show(
        ERRORS,
        name=visit.text("name"),
        range=visit.choice("range", tuple(RANGES), "7d"),
        more=visit.text("more") == "1",
    )


def _limit(name: str, more: bool) -> int:
    return limits.MAX_DEAD_GROUPS if name or more else _LARGEST


async def _groups(client: Client, range: str, limit: int) -> tuple[DeadGroups, bool]:
    """Return the groups of the history, or those of the dead letters in Redis; and whether there is a history."""
    try:
        return await client.dead_groups(since=RANGES[range], limit=limit), True
    except ApiError as error:
        if absence_in(error) is not Absence.NONE:
            raise
        letters = await client.dead(limit=_LETTERS)
        return DeadGroups(items=grouped(letters.items), complete=letters.next_cursor is None), False


def grouped(letters: Iterable[DeadLetter]) -> list[DeadGroup]:
    """Return dead letters in groups that died of the same, the largest first."""
    groups: dict[tuple[str, str], list[DeadLetter]] = {}
    for letter in letters:
        key = letter.fingerprint or f"reason:{letter.reason}"
        groups.setdefault((letter.type, key), []).append(letter)
    made = [_group(fingerprint, members) for (_, fingerprint), members in groups.items()]
    return sorted(made, key=lambda group: -group.count)


def _group(fingerprint: str, members: Sequence[DeadLetter]) -> DeadGroup:
    newest = max(members, key=lambda letter: letter.died_at)
    return DeadGroup(
        type=newest.type,
        fingerprint=fingerprint,
        count=len(members),
        first_seen=min(letter.died_at for letter in members),
        last_seen=newest.died_at,
        sample=DeadSample(newest.id, newest.error),
        place=place_of(newest.error.traceback) if newest.error else None,
    )


HANDLERS: tuple[Any, ...] = (show_errors,)
