"""The list of errors: one row for what jobs of one type have died of in the same place."""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any

from litestar import Response, get

from millstream import ApiError, Client, DeadGroup, DeadGroups, DeadLetter
from millstream_console.live.view import Content, View
from millstream_console.pages.jobs import looking
from millstream_console.reading import errors
from millstream_console.reading.past import Absence, absence_in
from millstream_console.web.visit import Visit
from millstream_contracts import DeadSample, place_of

RANGES: dict[str, timedelta | None] = {
    "1d": timedelta(days=1),
    "7d": timedelta(days=7),
    "30d": timedelta(days=30),
    "all": None,
}
_LETTERS = 500


async def read_errors(client: Client, *, name: str, range: str) -> Content:
    """Return the groups whose type or error contains a text, each with when its jobs died."""
    found, has_history = await _groups(client, range)
    groups = [group for group in found.items if _fits(group, name.lower())]
    return {
        "groups": groups,
        "total": sum(group.count for group in found.items),
        "complete": found.complete,
        "has_history": has_history,
        "name": name,
        "range": range,
        "look": looking,
        "place_of": errors.place_of,
    }


async def read_total(client: Client, *, name: str, range: str) -> Content:
    """Return how many jobs have died by now: the rows of the page stay as they are."""
    found, _ = await _groups(client, range)
    return {"total": sum(group.count for group in found.items), "name": name, "range": range}


ERRORS = View("errors.html", read_errors, "errors", refresh=read_total)


@get("/errors")
async def show_errors(visit: Visit) -> Response[Any]:
    """Show what jobs have died of."""
    return await visit.show(ERRORS, name=visit.text("name"), range=visit.choice("range", tuple(RANGES), "7d"))


async def _groups(client: Client, range: str) -> tuple[DeadGroups, bool]:
    """Return the groups of the history, or those of the dead letters in Redis; and whether there is a history."""
    try:
        return await client.dead_groups(since=RANGES[range]), True
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


def _fits(group: DeadGroup, text: str) -> bool:
    error = group.sample.error
    return text in group.type.lower() or bool(error and text in f"{error.type}: {error.message}".lower())


HANDLERS: tuple[Any, ...] = (show_errors,)
