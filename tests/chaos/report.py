"""The results of a run as numbers, as a table and as complaints."""

from collections import Counter
from itertools import pairwise

from chaos.checker import Complaint
from chaos.evidence import Evidence
from chaos.journal import STALL
from chaos.lateness import recoveries
from chaos.ledger import Verdict
from chaos.scenario import Scenario
from chaos.stage import Stage
from msgspec import Struct

COLUMNS = (
    ("scenario", 14),
    ("accepted", 8),
    ("refused", 7),
    ("unknown", 7),
    ("succeeded", 9),
    ("dead", 5),
    ("effects", 7),
    ("commits refused", 15),
    ("longest stall", 13),
    ("recovery", 8),
    ("verdict", 8),
)


class Report(Struct, kw_only=True):
    """The results of one run."""

    scenario: str
    purpose: str
    accepted: int
    refused: int
    unknown: int
    states: dict[str, int]
    effects: int
    refused_commits: int
    stall_s: float
    """The longest time under load in which no handler did its work."""
    recovery_s: float
    """The longest time from a worker's death until a job of it was ready again, or from a fault's end until work
    was done again."""
    faults: dict[str, int]
    figures: dict[str, str]
    complaints: list[Complaint]
    seconds: float

    def row(self) -> str:
        """Return the line of the table."""
        values = (
            self.scenario,
            self.accepted,
            self.refused,
            self.unknown,
            self.states.get("succeeded", 0),
            self.states.get("dead", 0),
            self.effects,
            self.refused_commits,
            f"{self.stall_s:.1f} s",
            f"{self.recovery_s:.1f} s",
            f"{len(self.complaints)} wrong" if self.complaints else "kept",
        )
        return "  ".join(
            f"{value:<{width}}" if at == 0 else f"{value:>{width}}"
            for at, (value, (_, width)) in enumerate(zip(values, COLUMNS, strict=True))
        )

    def details(self) -> list[str]:
        """Return the results that do not fit into a table."""
        faults = ", ".join(f"{count} {kind}" for kind, count in sorted(self.faults.items()))
        return [
            f"{self.scenario}: {self.purpose}",
            f"  faults: {faults or 'none'}; {self.seconds:.0f} s in all",
            *(f"  {name}: {value}" for name, value in self.figures.items()),
        ]


def heading() -> str:
    """Return the header of the table."""
    return "  ".join(f"{name:<{width}}" if not at else f"{name:>{width}}" for at, (name, width) in enumerate(COLUMNS))


def report_of(
    scenario: Scenario,
    stage: Stage,
    evidence: Evidence,
    complaints: list[Complaint],
    loaded_ms: tuple[int, int],
    seconds: float,
) -> Report:
    """Return the report of a run."""
    done = sorted(effect.at_ms for effects in evidence.effects.values() for effect in effects if effect.event == "done")
    ledger = evidence.ledger
    return Report(
        scenario=scenario.name,
        purpose=scenario.purpose,
        accepted=ledger.count(Verdict.ACCEPTED),
        refused=ledger.count(Verdict.REFUSED),
        unknown=ledger.count(Verdict.UNKNOWN),
        states=Counter(job.state for job in evidence.jobs.values()),
        effects=len(done),
        refused_commits=sum(not refusal.given_up for refusal in evidence.refusals),
        stall_s=_longest_gap_s([loaded_ms[0], *(at for at in done if at < loaded_ms[1]), loaded_ms[1]]),
        recovery_s=_recovery_s(evidence, done),
        faults=Counter(fault.kind for fault in evidence.faults),
        figures=stage.figures | _stalls(evidence),
        complaints=complaints,
        seconds=seconds,
    )


def _stalls(evidence: Evidence) -> dict[str, str]:
    """Return for how long the suite itself was not running, which weakens the findings of that time."""
    stalls = [fault for fault in evidence.faults if fault.kind == STALL]
    lost_ms = sum((fault.ended_ms or fault.begun_ms) - fault.begun_ms for fault in stalls)
    return {"the machine stood still": f"{lost_ms / 1000:.1f} s"} if stalls else {}


def _longest_gap_s(moments: list[int]) -> float:
    return max((later - earlier for earlier, later in pairwise(sorted(moments))), default=0) / 1000


def _recovery_s(evidence: Evidence, done: list[int]) -> float:
    found = [took_ms for _, took_ms, _ in recoveries(evidence)]
    for fault in evidence.faults:
        if fault.ended_ms is not None and fault.ended_ms > fault.begun_ms:
            found += [at - fault.ended_ms for at in done if at >= fault.ended_ms][:1]
    return max(found, default=0) / 1000
