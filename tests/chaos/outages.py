"""The scenario of a Redis that is unreachable for each service in turn and for all, with measurements."""

from collections import Counter
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import NoReturn

import anyio
from chaos.fault_proxy import Traffic
from chaos.journal import now_ms
from chaos.ledger import Answer
from chaos.service import Service, Usage
from chaos.stage import Stage
from msgspec import Struct

SHORT_S = 1.0
LONG_S = (5.0, 30.0)
"""The least and the most time of a long outage."""
JUDGED_S = 10.0
"""The time from which on the traffic counts as a rate, and a service with a heartbeat has missed one: the first retries
are quick on purpose.
"""
PROBE_EVERY_S = 0.5
PAUSE_S = 2.0

CONNECTIONS_PER_S = 25.0
"""The connections of one process beyond which it is a busy loop; so is half of a core, except for ingest, which answers
its callers.
"""
COMMANDS_PER_S = 100.0
CORES = 0.5
REFUSED_WITHIN_S = 2.0
"""The bound on a refusal: one second is promised, and the other is for two cores under load."""


class Measured(Struct):
    """The measurements of one service while its Redis was away."""

    service: Service
    traffic: Traffic
    usage: Usage
    probes: Counter[str]

    def describe(self, seconds: float) -> tuple[float, float, float, str]:
        """Return connections and commands a second, cores, and the results of the probes."""
        traffic = self.service.proxy.traffic.since(self.traffic)
        cores = (self.service.usage().cpu_s - self.usage.cpu_s) / seconds
        probes = ", ".join(f"{name} x{count}" for name, count in sorted(self.probes.items()))
        return traffic.connections / seconds, traffic.commands / seconds, cores, probes


async def outage(stage: Stage) -> None:
    """Redis away from each service in turn, 1 s and up to 30 s: all recover by themselves, none is busy meanwhile."""
    kinds = ("worker", "dispatcher", "reaper", "ingest")
    rounds = 2 * (len(kinds) + 1)
    least_s, most_s = LONG_S
    long_s = min(most_s, max(least_s, 2 * (stage.seconds / rounds - PAUSE_S) - SHORT_S))
    for kind in (*kinds, "everything"):
        for seconds, how in ((SHORT_S, "refuse"), (long_s, stage.rng.choice(("refuse", "swallow")))):
            services = stage.fleet.services if kind == "everything" else [stage.any_of(kind)]
            await _take_away(stage, kind, services, how, seconds)
    stage.expect(not stage.kubelet.killed, f"a liveness probe killed {stage.kubelet.killed} while Redis was away")


async def _take_away(stage: Stage, kind: str, services: Sequence[Service], how: str, seconds: float) -> None:
    measured = [Measured(one, one.proxy.traffic, one.usage(), Counter()) for one in services]
    begun_ms = now_ms()
    async with _away(stage, kind, services, how):
        with anyio.move_on_after(seconds):
            await _probe(stage, measured)
        for one in measured:
            _judge(stage, one, how, seconds)
    ended_ms = now_ms()
    begun = anyio.current_time()
    for service in services:
        await stage.fleet.wait_one_ready(service)
    took_s = anyio.current_time() - begun
    stage.figures[f"{kind} without Redis, {how} {seconds:g} s"] = f"ready {took_s:.1f} s after; " + _sum(
        measured, seconds
    )
    if kind in {"ingest", "everything"}:
        _judge_refusals(stage, begun_ms, ended_ms, how, seconds)
    await anyio.sleep(PAUSE_S)


def _away(stage: Stage, kind: str, services: Sequence[Service], how: str) -> AbstractAsyncContextManager[object]:
    return stage.all_away(how) if kind == "everything" else stage.away(services[0], how)


async def _probe(stage: Stage, measured: Sequence[Measured]) -> NoReturn:
    while True:
        for one in measured:
            for route in ("livez", "readyz"):
                one.probes[f"{route} {await stage.fleet.probe(one.service, route)}"] += 1
        await anyio.sleep(PROBE_EVERY_S)


def _judge(stage: Stage, one: Measured, how: str, seconds: float) -> None:
    connections, commands, cores, _ = one.describe(seconds)
    name = one.service.name
    stage.expect(not one.probes["livez 503"], f"{name} failed its liveness probe while Redis was away ({how})")
    if seconds < JUDGED_S:
        return
    stage.expect(connections <= CONNECTIONS_PER_S, f"{name} made {connections:.0f} connections a second ({how})")
    stage.expect(commands <= COMMANDS_PER_S, f"{name} sent {commands:.0f} commands a second ({how})")
    stage.expect(cores <= CORES or one.service.kind == "ingest", f"{name} used {cores:.2f} of a core ({how})")
    if one.service.kind in {"ingest", "worker"}:
        stage.expect(one.probes["readyz 503"], f"{name} was ready while Redis was away ({how})")


def _judge_refusals(stage: Stage, begun_ms: int, ended_ms: int, how: str, seconds: float) -> None:
    """Complain when ingest refused too slowly."""
    answers = [
        answer
        for entry in stage.submitter.ledger.entries
        for answer in entry.answers
        if begun_ms <= answer.at_ms <= ended_ms and answer.status in {0, 500, 503}
    ]
    if not answers:
        return
    slowest = max(answer.seconds for answer in answers)
    stage.figures[f"503 while {how} {seconds:g} s"] = f"{len(answers)}, the slowest after {slowest:.2f} s"
    stage.expect(slowest <= REFUSED_WITHIN_S, f"ingest said 503 only after {slowest:.2f} s ({how})")
    stage.expect(all(answer.status == 503 for answer in answers), f"ingest answered {_statuses(answers)} ({how})")


def _statuses(answers: Sequence[Answer]) -> str:
    return ", ".join(sorted({str(answer.status) for answer in answers}))


def _sum(measured: Sequence[Measured], seconds: float) -> str:
    rows = [one.describe(seconds) for one in measured]
    connections, commands, cores = (max(row[at] for row in rows) for at in range(3))
    probes = f"; {rows[0][3]}" if len(rows) == 1 else ""
    return f"{connections:.1f} connections/s, {commands:.1f} commands/s, {cores:.2f} cores{probes}"
