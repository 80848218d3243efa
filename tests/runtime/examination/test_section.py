"""A section of an examination becomes checks, each with the command that mends it."""

import pytest

from millstream_runtime.examination.fixes import FIXES
from millstream_runtime.examination.section import Section
from millstream_streams import Capabilities, Vitals

BAD = Capabilities(
    server="redis",
    version=(7, 0),
    role="primary",
    uptime_s=1,
    waitaof=True,
    maxmemory_policy="allkeys-lru",
    appendonly=False,
    listpack_value=64,
    node_entries=100,
)
ILL = Vitals(
    used_bytes=1,
    max_bytes=2,
    machine_bytes=3,
    evicted_keys=0,
    aof_writes_ok=True,
    aof_rewrite_ok=True,
    snapshot_ok=True,
    appendfsync="no",
    min_replicas=0,
    online_replicas=1,
    link_to_primary_ok=None,
)


def test_a_section_becomes_checks_the_worst_first() -> None:
    """Objections are bad, advice is a warning, and what passed is well."""
    section = Section(name="redis", headline="", objections=["a"], advice=["b"], passed=["c"])
    assert [(one.status, one.detail) for one in section.checks()] == [("bad", "a"), ("warn", "b"), ("ok", "c")]


@pytest.mark.parametrize("line", [*BAD.objections(), *BAD.advice(), *ILL.advice()])
def test_each_finding_about_a_setting_has_its_command(line: str) -> None:
    """What is found about a setting of Redis has the command that sets it."""
    [check] = Section(name="redis", headline="", advice=[line]).checks()
    assert check.fix.startswith("CONFIG SET ")
    assert check.fix.split()[2] in line
    assert len(FIXES) > 1
