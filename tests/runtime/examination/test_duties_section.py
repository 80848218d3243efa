"""A duty that fails is told of: once is a hint, several times in a row has to change."""

from datetime import UTC, datetime

import pytest

from millstream_contracts import DutyInfo, ServiceInfo
from millstream_runtime.examination.duties_section import FAILS_FROM, section_of_duties

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)


def process(*duties: DutyInfo) -> ServiceInfo:
    """Return a reaper with these duties."""
    times = {"started_at": NOW, "sent_at": NOW, "seen_at": NOW}
    return ServiceInfo(name="host:1:a", service="reaper", version="1", duties=list(duties), **times)


@pytest.mark.parametrize(
    ("failures", "is_bad", "words"),
    [(1, False, "1 time: away"), (FAILS_FROM - 1, False, "in a row: away"), (FAILS_FROM, True, "in a row: away")],
)
def test_a_duty_that_fails_is_told_with_its_error(failures: int, is_bad: bool, words: str) -> None:
    """One bad moment is advice, and FAILS_FROM failures in a row are an objection: with duty, process and error."""
    section = section_of_duties([process(DutyInfo(name="sweeper", failures=failures, last_error="away"))])
    assert (len(section.objections), len(section.advice)) == (int(is_bad), int(not is_bad))
    [line] = [*section.objections, *section.advice]
    assert line.startswith("the duty sweeper of reaper host:1:a has failed ")
    assert line.endswith(words)
    assert section.passed == []


def test_duties_that_went_well_are_named_by_service() -> None:
    """Duties that went well in every process are named once a service; a process that tells of none is passed over."""
    well, ill = DutyInfo(name="sweeper", last_success_at=NOW), DutyInfo(name="recoverer", failures=1)
    section = section_of_duties([process(well, DutyInfo(name="recoverer")), process(well, ill), process()])
    assert section.passed == ["1 duty of reaper went well: sweeper"]
    assert section_of_duties([process()]).passed == []
