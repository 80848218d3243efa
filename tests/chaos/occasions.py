"""The scenario of schedules: each occasion has one job, whichever processes are killed."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any

import anyio
import httpx2
from chaos.evidence import Evidence
from chaos.fleet import NO_ANSWER
from chaos.stage import Stage
from waiting import wait_until

from millstream_contracts import DEFAULT_TENANT, JobId, made_at_ms

EVERY_MS = 1_000
COUNT = 12
REGULAR = "regular "
"""How the keys of jobs begin whose schedule leaves out no occasion."""
SINGLE = "single "
"""How the keys of jobs begin whose schedule skips while the last job has not ended."""
WITHIN_S = 60.0


async def schedules(stage: Stage) -> None:
    """Kill every service while schedules fire each second: each occasion starts one job, and none is left out."""
    names = [f"s{number}" for number in range(COUNT)]
    for number, name in enumerate(names):
        await _ask(stage, "PUT", name, _definition(name, is_regular=number % 3 != 0))
    with anyio.move_on_after(stage.seconds):
        while True:
            await anyio.sleep(stage.rng.uniform(0.3, 1.5))
            kind = stage.rng.choice(("dispatcher", "dispatcher", "worker", "reaper", "ingest"))
            await stage.kill(stage.any_of(kind))
    for name in names:
        await _ask(stage, "POST", f"{name}/pause")
    await wait_until(lambda: _is_stored(stage), "all jobs that were decided on are stored", WITHIN_S)
    found = await stage.broker.schedules.read(DEFAULT_TENANT, names)
    for stored in found.values():
        stage.expect(not stored.missed and not stored.failed, f"{stored.name} has missed or refused occasions")
    stage.figures["occasions"] = str(sum(stored.fired for stored in found.values()))
    stage.figures["skipped"] = str(sum(stored.skipped for stored in found.values()))


def each_occasion_has_one_job(evidence: Evidence) -> Iterator[str]:
    """Complain of an occasion with two jobs, and of one between two others that has none."""
    nominals: defaultdict[str, list[int]] = defaultdict(list)
    for job in evidence.jobs.values():
        nominals[job.key].append(made_at_ms(JobId(job.id)))
    if not nominals:
        yield "no schedule has fired: nothing was shown"
    for key, moments in nominals.items():
        yield from (f"`{key}` has {count} jobs for {at}" for at, count in Counter(moments).items() if count > 1)
        wanted = range(min(moments), max(moments) + 1, EVERY_MS)
        if key.startswith(REGULAR) and len(wanted) != len(set(moments)):
            yield f"`{key}` has jobs for {len(set(moments))} of {len(wanted)} occasions"


def _definition(name: str, *, is_regular: bool) -> dict[str, Any]:
    key = f"{REGULAR if is_regular else SINGLE}{name}"
    job = {"type": "chaos.spread" if is_regular else "chaos.slow", "payload": {"key": key, "seconds": 0.5}}
    # Late by as much as the machine likes, so that none is missed.
    return {"every_s": EVERY_MS / 1000, "late_s": 3600, "overlap": "allow" if is_regular else "skip", "job": job}


async def _ask(stage: Stage, method: str, path: str, body: dict[str, Any] | None = None) -> None:
    """Send a request to some ingest until one is accepted."""
    async with httpx2.AsyncClient(trust_env=False, timeout=5.0) as http:

        async def is_accepted() -> bool:
            ingest = stage.any_of("ingest")
            try:
                url = f"{ingest.url('listening')}/v1/schedules/{path}"
                response = await http.request(method, url, json=body)
            except NO_ANSWER:
                return False
            return response.status_code < 300

        await wait_until(is_accepted, f"{method} {path} is accepted", WITHIN_S)


async def _is_stored(stage: Stage) -> bool:
    """Return whether no job waits in the outboxes."""
    keys = [stage.broker.keys.of_schedules(shard) for shard in await stage.broker.schedules.shards()]
    return not any([await stage.broker.client.zcard(one.outbox) for one in keys])
