"""The system page: checks by part, each with what mends it; servers, processes and duties."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from litestar import Response, get
from msgspec import Struct

from millstream import Client, ProcessStatus, System, SystemCheck
from millstream_console.live.view import Content, View
from millstream_console.pages.system.report import report_of
from millstream_console.web.visit import Visit
from millstream_contracts import DutyInfo

PARTS = {
    "redis": "Redis",
    "history": "History",
    "services": "Services",
    "duties": "Duties",
    "encryption": "Encryption",
}
"""The parts of the system, in the order of their panels."""

_WORST_FIRST = {"bad": 0, "warn": 1, "ok": 2}


class Duty(Struct, frozen=True):
    """A duty, and the process that does it."""

    info: DutyInfo
    process: ProcessStatus


async def read_system(client: Client) -> Content:
    """Return what was checked."""
    system = await client.system()
    return {
        "system": system,
        "panels": panels_of(system.checks),
        "failing": sum(check.status != "ok" for check in system.checks),
        "worst": min((check.status for check in system.checks), key=_WORST_FIRST.__getitem__, default="ok"),
        "primary": next((one for one in system.redis.servers if one.role == "primary"), None) if system.redis else None,
        "processes": sorted(system.processes, key=lambda one: (one.service, one.name)),
        "releases": Counter((one.service, one.version) for one in system.processes),
        "mixed": len({one.version for one in system.processes}) > 1,
        "duties": duties_of(system),
        "report": report_of(system),
    }


SYSTEM = View("system.html", read_system, "system")


@get("/system")
async def show_system(visit: Visit) -> Response[Any]:
    """Show how the installation fares."""
    return await visit.show(SYSTEM)


def panels_of(checks: Sequence[SystemCheck]) -> list[tuple[str, list[SystemCheck]]]:
    """Return the checks by part, the worst first; a part of a newer release stands at the end."""
    names = [*PARTS, *sorted({check.name for check in checks} - PARTS.keys())]
    panels = [(PARTS.get(name, name), [check for check in checks if check.name == name]) for name in names]
    return [(title, sorted(found, key=lambda one: _WORST_FIRST[one.status])) for title, found in panels if found]


def duties_of(system: System) -> list[Duty]:
    """Return the duties of all processes, those that fail first."""
    found = [Duty(info, process) for process in system.processes for info in process.duties]
    return sorted(found, key=lambda one: (not one.info.failures, one.process.service, one.info.name, one.process.name))


HANDLERS = (show_system,)
