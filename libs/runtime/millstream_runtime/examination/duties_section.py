"""What is to be said of the duties of dispatchers and reapers: which fail, and of what."""

from collections.abc import Iterator, Sequence

from millstream_contracts import DutyInfo, ServiceInfo
from millstream_runtime.examination.section import Section

FAILS_FROM = 3
"""Passes that have to fail in a row, until it is more than one bad moment."""


def section_of_duties(found: Sequence[ServiceInfo]) -> Section:
    """Return what is to be said of the duties of these processes; a release that tells of none has none."""
    all_of_them = [(one, duty) for one in found for duty in one.duties]
    failing = [(one, duty) for one, duty in all_of_them if duty.failures >= FAILS_FROM]
    stumbling = [(one, duty) for one, duty in all_of_them if 0 < duty.failures < FAILS_FROM]
    return Section(
        name="duties",
        headline=f"duties: {len(failing)} of {len(all_of_them)} fail",
        objections=[_told(one, duty) for one, duty in failing],
        advice=[_told(one, duty) for one, duty in stumbling],
        passed=list(_passed(all_of_them)),
    )


def _told(process: ServiceInfo, duty: DutyInfo) -> str:
    who = f"the duty {duty.name} of {process.service} {process.name}"
    return f"{who} has failed {duty.failures} time{'' if duty.failures == 1 else 's in a row'}: {duty.last_error}"


def _passed(all_of_them: Sequence[tuple[ServiceInfo, DutyInfo]]) -> Iterator[str]:
    for service in sorted({one.service for one, _ in all_of_them}):
        names = {duty.name for one, duty in all_of_them if one.service == service}
        ill = {duty.name for one, duty in all_of_them if one.service == service and duty.failures}
        if well := sorted(names - ill):
            yield f"{len(well)} {'duty' if len(well) == 1 else 'duties'} of {service} went well: {', '.join(well)}"
