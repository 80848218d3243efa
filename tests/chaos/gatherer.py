"""Collects the evidence from Redis, the effect files and the logs, once everything has come to rest."""

import json
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterator, Mapping

import msgspec
from chaos.counters import Counters
from chaos.effects import Effect, read_effects
from chaos.evidence import Evidence, JobRecord, Refusal, Step
from chaos.fleet import Fleet, Timing
from chaos.handlers import LONGEST_SNOOZE_S, app
from chaos.journal import Journal
from chaos.ledger import Ledger
from chaos.tenancy import Tenancy
from redis.exceptions import ResponseError
from streams.audit import audit, counts_of
from streams.gate_audit import audit_gate
from streams.seeds import events
from streams.unique_audit import audit_unique

from millstream_contracts import Event, JobSpec, Queue
from millstream_dispatcher.projector import GROUP as HISTORY
from millstream_streams import Broker
from millstream_streams.store.keys import GROUP

_decode_spec = msgspec.msgpack.Decoder(JobSpec).decode
_decode_payload = msgspec.msgpack.Decoder(dict).decode


async def gather(
    broker: Broker,
    fleet: Fleet,
    *,
    ledger: Ledger,
    journal: Journal,
    timing: Timing,
    unrest: list[str],
    counters: dict[int, Counters],
    tenancy: Tenancy,
) -> Evidence:
    """Return the evidence of a run. `unrest` are complaints of the caller."""
    effects = _by_job(read_effects(fleet.effects))
    forgotten = tenancy.set_apart(effects)
    evidence = Evidence(
        ledger=ledger,
        effects=effects,
        faults=journal.faults,
        refusals=[refusal for refusal in _refusals(fleet) if refusal.job not in forgotten],
        services={pid: service.name for service in fleet.services for pid in service.pids},
        unrest=unrest,
        counters=counters,
        tenancy=tenancy,
        lease_ms=round(timing.lease_s * 1000),
        pass_ms=round(timing.interval_s * 1000),
        slots=timing.concurrency * len(fleet.of("worker")),
        max_crashes=timing.max_crashes,
    )
    pauses_ms = {entry.key: round(entry.delay_s * 1000) for entry in ledger.entries}
    for queue in await broker.registry.queues():
        evidence.jobs |= {job.id: job async for job in _jobs(broker, queue, pauses_ms)}
        for event in await events(broker, queue):
            for step in _steps(event):
                evidence.steps.setdefault(step.id, []).append(step)
        evidence.misplaced += await _misplaced(broker, queue)
    return evidence


async def unsettled(broker: Broker) -> list[str]:
    """Return what is still under way, in words."""
    found = []
    for queue in await broker.registry.queues():
        depths = await broker.store.measure(queue)
        counts = {
            "ready": sum(depths.queued),
            "running": depths.running,
            "scheduled": depths.scheduled,
            "blocked": depths.blocked,
        }
        found += [f"{queue.type}: {count} {name}" for name, count in counts.items() if count]
    return found


async def unwritten(broker: Broker) -> list[str]:
    """Return which queues have events that the history has not stored, in words."""
    found = []
    for queue in await broker.registry.queues():
        stream = broker.keys.of(queue).events
        groups = {one["name"]: one for one in await broker.client.xinfo_groups(stream)}
        group = groups.get(HISTORY.encode(), {"last-delivered-id": b"0-0", "pending": 0})
        unread = await broker.client.xrange(stream, min="(" + group["last-delivered-id"].decode(), count=1)
        if unread or group["pending"]:
            found.append(f"{queue.type}: events that the history lacks, {group['pending']} of them under way")
    return found


async def in_hand(broker: Broker, job_type: str = "") -> Counter[int]:
    """Return how many jobs, of any type or of one, each worker holds, by its pid."""
    held: Counter[int] = Counter()
    for queue in await broker.registry.queues():
        if job_type not in {"", queue.type}:
            continue
        for stream in broker.keys.of(queue).ready:
            try:
                rows = await broker.client.xinfo_consumers(stream, GROUP)
            except ResponseError:  # nothing was ever submitted with this priority
                continue
            for row in rows:
                if row["name"] != b"reaper":
                    _, pid, _ = row["name"].rsplit(b":", 2)
                    held[int(pid)] += row["pending"]
    return held


async def _jobs(broker: Broker, queue: Queue, pauses_ms: Mapping[str, int]) -> AsyncIterator[JobRecord]:
    keys = broker.keys.of(queue)
    async for key in broker.client.scan_iter(match=f"{broker.keys.namespace}:{{{queue.tag}}}:job:*", count=1000):
        fields = await broker.client.hgetall(key)
        record = _record(queue, key.decode().removeprefix(keys.job_prefix), fields)
        longest_ms = max(pauses_ms.get(record.key, 0), _longest_pause_ms(queue))
        yield msgspec.structs.replace(record, longest_pause_ms=longest_ms)


def _longest_pause_ms(queue: Queue) -> int:
    """Return the longest delay of a handler's retry or snooze."""
    return round(max(app.handlers[queue.type].policy.backoff.cap_s, LONGEST_SNOOZE_S) * 1000)


def _record(queue: Queue, job_id: str, fields: dict[bytes, bytes]) -> JobRecord:
    spec = _decode_spec(fields[b"spec"])
    state, held = fields[b"state"].decode(), fields.get(b"token", b"").decode()
    return JobRecord(
        id=job_id,
        type=queue.type,
        tenant=queue.tenant,
        state=state,
        key=_decode_payload(spec.payload)["key"],
        max_attempts=spec.max_attempts or app.handlers[queue.type].policy.max_attempts,
        # A success keeps the token of its commit where it was.
        done_token=(held if state == "succeeded" else "") or fields.get(b"done_token", b"").decode(),
        reason=fields.get(b"reason", b"").decode(),
        **counts_of({name.decode(): value for name, value in fields.items()}),
    )


def _steps(event: Event) -> Iterator[Step]:
    for one in event.jobs:
        yield Step(
            id=one.id,
            version=one.version,
            kind=event.kind,
            state=one.state,
            deliveries=one.deliveries,
            worker=event.worker,
            at_ms=event.at_ms,
            detail=one.detail,
        )


async def _misplaced(broker: Broker, queue: Queue) -> list[str]:
    try:
        snapshot = await audit(broker, queue)
        await audit_gate(broker, queue, snapshot)
        await audit_unique(broker, queue, snapshot)
    except AssertionError as error:
        return [f"{queue.type}: {line}" for line in str(error).splitlines()]
    return []


def _by_job(effects: list[Effect]) -> dict[str, list[Effect]]:
    found: defaultdict[str, list[Effect]] = defaultdict(list)
    for effect in effects:
        found[effect.job].append(effect)
    return dict(found)


def _refusals(fleet: Fleet) -> Iterator[Refusal]:
    """Yield the refused commits in the logs of workers, which outlive their processes, as metrics do not."""
    for worker in fleet.of("worker"):
        for line in worker.log_lines():
            if '"outcome refused"' in line:
                said = json.loads(line)
                yield Refusal(said["job_id"], int(said["worker"].split(":")[1]))
            elif '"outcome":"lost"' in line:
                # The line does not say which process wrote it: any of those that have filled this place.
                job_id = json.loads(line)["job_id"]
                yield from (Refusal(job_id, pid, given_up=True) for pid in worker.pids)
