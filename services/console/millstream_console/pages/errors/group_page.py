"""The page of one group of dead jobs, which have died of the same."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from litestar import Response, get
from markupsafe import Markup
from msgspec import Struct

from millstream import ApiError, Client, DeadGroup, Facet, Job, OperationGroup
from millstream_console.drawing.chart import Series, chart
from millstream_console.drawing.moments import absolute
from millstream_console.live.view import Content, View
from millstream_console.pages.decisions.chosen import Chosen
from millstream_console.pages.decisions.confirmation import Confirmation, needs_number
from millstream_console.pages.decisions.decision import DECISIONS
from millstream_console.pages.jobs import looking
from millstream_console.pages.operations import telling
from millstream_console.reading.at_once import AtOnce
from millstream_console.reading.errors import place_of
from millstream_console.web.visit import Visit
from millstream_contracts import JobCount

_SAMPLE = 500
"""The newest jobs of the group that are looked at."""
_STEPS = 48
_WORDINGS = 5
_FACET_VALUES = 3
_NOT_FALLING = frozenset({"state", "type", "fingerprint"})
"""All jobs of a group have these in common."""


class Wording(Struct, frozen=True):
    """One message among those of the group."""

    text: str
    count: int


async def read_group(client: Client, *, type: str, fingerprint: str) -> Content:
    """Return a group, what its newest jobs say, and where it falls."""
    q = query_of(type, fingerprint)
    async with AtOnce() as reads:
        opened = reads.begin(read_open_group(client, type=type, fingerprint=fingerprint))
        page = reads.begin(client.jobs(q, limit=_SAMPLE))
        falls = reads.begin(_falls(client, type, fingerprint))
    group, jobs = opened.value["group"], page.value.items
    count = JobCount(group.count if isinstance(group, DeadGroup) else 0, "exact")
    return {
        **opened.value,
        "q": q,
        "newest": await _newest(client, jobs),
        "sampled": len(jobs),
        "wordings": _wordings(jobs),
        "deaths": _deaths(jobs),
        "falls": falls.value,
        "decisions": DECISIONS,
        "chosen": Chosen(group=OperationGroup(type, fingerprint)),
        "count": count,
        "given": Confirmation(),
        "asks": needs_number(count, DECISIONS["redrive"]),
    }


async def read_open_group(client: Client, *, type: str, fingerprint: str) -> Content:
    """Return what changes of a group while its page is open."""
    async with AtOnce() as reads:
        groups = reads.begin(client.dead_groups(type=type, releases=True))
        listed = reads.begin(client.operations())
    wanted = OperationGroup(type, fingerprint)
    operations = [one for one in listed.value if one.group == wanted and telling.is_steerable(one)]
    return {
        "group": next((group for group in groups.value.items if group.fingerprint == fingerprint), None),
        "type": type,
        "fingerprint": fingerprint,
        "operations": operations,
        "tell": telling,
        "look": looking,
        "place_of": place_of,
    }


GROUP = View("group.html", read_group, "errors", refresh=read_open_group)


@get("/errors/group")
async def show_group(visit: Visit) -> Response[Any]:
    """Show a group."""
    if not (visit.text("type") and visit.text("fingerprint")):
        return visit.go("/errors")
    return await visit.show(GROUP, type=visit.text("type"), fingerprint=visit.text("fingerprint"))


def query_of(type: str, fingerprint: str) -> str:
    """Return the search for the jobs of a group."""
    return f"state:dead type:{type} fingerprint:{_quoted(fingerprint)}"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


async def _newest(client: Client, jobs: Sequence[Job]) -> Job | None:
    """Return the newest job with its payload and traceback; as the list has it where it is gone."""
    if not jobs:
        return None
    try:
        return await client.get(jobs[0].id)
    except ApiError:
        return jobs[0]


def _wordings(jobs: Sequence[Job]) -> list[Wording]:
    texts = Counter(job.error.message for job in jobs if job.error)
    return [Wording(text, count) for text, count in texts.most_common(_WORDINGS)]


def _deaths(jobs: Sequence[Job]) -> Markup:
    """Return a chart of when the jobs died; nothing for fewer than two moments."""
    moments = sorted(job.finished_at.astimezone(UTC) for job in jobs if job.finished_at)
    if len(moments) < 2 or moments[0] == moments[-1]:
        return Markup("")
    begin, end = moments[0], max(moments[-1], moments[0] + timedelta(seconds=_STEPS))
    step = (end - begin) / (_STEPS - 1)
    counts = [0] * _STEPS
    for moment in moments:
        counts[min(int((moment - begin) / step), _STEPS - 1)] += 1
    times: list[datetime] = [begin + step * index for index in range(_STEPS)]
    said = (
        f"{len(moments)} deaths from {absolute(begin)} to {absolute(moments[-1])} UTC, at most {max(counts)} in a step."
    )
    return chart("Deaths", [Series("c3", "died", counts, "", "area")], times, say=said)


async def _falls(client: Client, job_type: str, fingerprint: str) -> list[Facet]:
    try:
        # State and type as parameters: what has another state or type is not looked for, as that of a term would be.
        facets = await client.facets(f"fingerprint:{_quoted(fingerprint)}", type=job_type, state="dead")
    except ApiError:
        return []
    return [
        Facet(field=one.field, values=one.values[:_FACET_VALUES])
        for one in facets.items
        if one.field not in _NOT_FALLING
    ]


HANDLERS: tuple[Any, ...] = (show_group,)
