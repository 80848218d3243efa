"""Checks what all scripts keep true: each job is in exactly one place, and each entry of a place is a job."""

from itertools import islice
from typing import Any

import msgspec
from msgspec import Struct

from millstream_contracts import JobState, Priority, Queue
from millstream_streams import Broker
from millstream_streams.store.keys import GROUP, PRIORITIES, QueueKeys
from millstream_streams.store.plain import deliveries_of, version_of

Hash = dict[str, bytes]


class Snapshot(Struct, frozen=True):
    """All that Redis holds of a queue's jobs."""

    names: list[str]
    """The keys of the queue in Redis, whole."""
    jobs: dict[str, Hash]
    ttl_ms: dict[str, int]
    lanes: dict[str, list[str]]
    """The jobs that limits hold back, by `<priority index>:<key>`."""
    singles: list[list[tuple[str, str]]]
    """Per priority: the jobs that share a list because each is alone of its key, with that."""
    ready: list[dict[str, str]]
    """Per priority: entry to job id."""
    pending: list[set[str]]
    """Per priority: the entries that a worker holds."""
    due: dict[str, int]
    dead: dict[str, str]
    """Entry to job id."""
    blocked: dict[str, int]
    outbox: dict[str, int]
    """Jobs whose children have to be told; no place of its own."""
    open_parents: dict[str, set[str]]
    """By blocked job."""
    expiring: dict[str, int]
    """An index over jobs with an expiry, and no place of its own; it may also name jobs that have started or ended."""

    def places_of(self, job_id: str) -> list[tuple[str, str]]:
        """Return each place that names this job, with the job's position in it."""
        found = [
            (f"ready:{priority}", entry)
            for priority, entries in zip(PRIORITIES, self.ready, strict=True)
            for entry, named in entries.items()
            if named == job_id
        ]
        found += [("due", str(self.due[job_id]))] if job_id in self.due else []
        found += [("blocked", "")] if job_id in self.blocked else []
        found += [(f"backlog:{name}", "") for name, ids in self.lanes.items() for one in ids if one == job_id]
        return found + [("dlq", entry) for entry, named in self.dead.items() if named == job_id]


def counts_of(fields: Hash) -> dict[str, int]:
    """Return the counts of a job; a first delivery and an only attempt are not stored and follow from its state."""
    written = {name: int(fields.get(name, 0)) for name in ("attempts", "crashes", "deliveries", "handbacks")}
    return written | {
        "attempts": written["attempts"] or int(fields["state"] == b"succeeded"),
        "deliveries": written["deliveries"] or int("started_at" in fields),
    }


async def audit(broker: Broker, queue: Queue) -> Snapshot:
    """Return what a queue holds, once it is found consistent. Raises: AssertionError with each violation in words."""
    snapshot = await _read(broker, queue)
    complaints = [
        complaint
        for job_id, fields in snapshot.jobs.items()
        for complaint in (
            *_misplaced(snapshot, job_id, fields),
            *_misheld(snapshot, job_id, fields),
            *_mortality(snapshot, job_id, fields),
            *_unlinked(snapshot, job_id, fields),
            *_deathless(snapshot, job_id, fields),
        )
    ]
    complaints += _strays(snapshot)
    assert not complaints, "\n".join(complaints)
    return snapshot


async def recount(broker: Broker, snapshot: Snapshot, queue: Queue) -> None:
    """Check that the events name each transition of each job once and in order. Raises: AssertionError."""
    told: dict[str, list[tuple[int, str, int]]] = {}
    for _, fields in await broker.client.xrange(broker.keys.of(queue).events):
        values = iter(msgspec.msgpack.decode(fields[b"jobs"]))
        for job_id, version, deliveries in zip(values, values, values, strict=True):
            told.setdefault(job_id, []).append((version, fields[b"state"].decode(), deliveries))
    complaints = []
    for job_id, fields in snapshot.jobs.items():
        events, state = told.get(job_id, []), JobState(fields["state"].decode())
        named = {name.encode(): value for name, value in fields.items()}
        version = version_of(named, state)
        if [event[0] for event in events] != list(range(1, version + 1)):
            complaints.append(f"{job_id} is at version {version}, and its events are {events}")
        elif events[-1][1:] != (state, deliveries_of(named)):
            complaints.append(
                f"{job_id} is {state} after {deliveries_of(named)} deliveries; its last event: {events[-1]}"
            )
    assert not complaints, "\n".join(complaints)


def _misplaced(snapshot: Snapshot, job_id: str, fields: Hash) -> list[str]:
    found, wanted = snapshot.places_of(job_id), _home(fields)
    state = fields["state"].decode()
    return [] if found == wanted else [f"{job_id} is {state}: it belongs at {wanted} and stands at {found}"]


def priority_place(fields: Hash) -> int:
    """Return the place of a job's stream among the three: their entries may have the same ids."""
    return PRIORITIES.index(Priority(fields.get("priority", b"normal").decode()))


def _home(fields: Hash) -> list[tuple[str, str]]:
    """Return the only places in which a job with this hash may be."""
    match JobState(fields["state"].decode()):
        case JobState.QUEUED if "entry" not in fields:
            return [(f"backlog:{priority_place(fields) + 1}:{fields.get('lane', b'').decode()}", "")]
        case JobState.QUEUED | JobState.RUNNING:
            return [(f"ready:{fields.get('priority', b'normal').decode()}", fields["entry"].decode())]
        case JobState.SCHEDULED:
            return [("due", fields["run_at"].decode())]
        case JobState.BLOCKED:
            return [("blocked", "")]
        case JobState.DEAD:
            return [("dlq", fields["dead_entry"].decode())]
        case _:
            return []


def _misheld(snapshot: Snapshot, job_id: str, fields: Hash) -> list[str]:
    """Report violations of the rule that a running job, and no other, is held by a worker with a token.

    A job that succeeded may keep the token of its commit, by which a commit that is sent again is recognised.
    """
    is_running, has_succeeded = fields["state"] == b"running", fields["state"] == b"succeeded"
    complaints = []
    if is_running and fields["entry"].decode() not in snapshot.pending[priority_place(fields)]:
        complaints.append(f"{job_id} is running, and pending with no worker")
    if is_running != bool(fields.get("token")) and not has_succeeded:
        complaints.append(f"{job_id} is {fields['state'].decode()} with the token {fields.get('token')!r}")
    deliveries = counts_of(fields)["deliveries"]
    if is_running and int(fields["token"].split(b":")[0]) != deliveries:
        complaints.append(f"{job_id} has the token {fields['token']!r} at delivery {deliveries}")
    return complaints


def _mortality(snapshot: Snapshot, job_id: str, fields: Hash) -> list[str]:
    """Report violations of the rule that a job has a TTL if and only if it has ended, and its children know it."""
    ttl_ms = snapshot.ttl_ms[job_id]
    has_ended = JobState(fields["state"].decode()).is_terminal and job_id not in snapshot.outbox
    if has_ended == (ttl_ms >= 0):
        return []
    return [f"{job_id} is {fields['state'].decode()} and lives for {ttl_ms} ms"]


def _unlinked(snapshot: Snapshot, job_id: str, fields: Hash) -> list[str]:
    """Report violations of the rule that a job has open parents if and only if it is blocked."""
    is_blocked = fields["state"] == b"blocked"
    if is_blocked == bool(snapshot.open_parents.get(job_id)):
        return []
    return [f"{job_id} is {fields['state'].decode()} with the open parents {snapshot.open_parents.get(job_id)}"]


def _deathless(snapshot: Snapshot, job_id: str, fields: Hash) -> list[str]:
    """Report violations of the rule that a job with an expiry is in the index of expiring jobs until it has started."""
    waits = fields["state"] in {b"queued", b"scheduled", b"blocked"} and "started_at" not in fields
    if not waits or "expires_at" not in fields or snapshot.expiring.get(job_id) == int(fields["expires_at"]):
        return []
    return [f"{job_id} expires at {fields['expires_at'].decode()}, and no dispatcher will notice"]


def _strays(snapshot: Snapshot) -> list[str]:
    named = [(f"ready {entry}", job_id) for entries in snapshot.ready for entry, job_id in entries.items()]
    named += [("due", job_id) for job_id in snapshot.due]
    named += [(f"backlog {name}", job_id) for name, ids in snapshot.lanes.items() for job_id in ids]
    named += [("blocked", job_id) for job_id in snapshot.blocked]
    named += [(f"dlq {entry}", job_id) for entry, job_id in snapshot.dead.items()]
    complaints = [f"{place} names {job_id}, which is no job" for place, job_id in named if job_id not in snapshot.jobs]
    for entries, held in zip(snapshot.ready, snapshot.pending, strict=True):
        complaints += [f"{entry} is pending and in no stream" for entry in held if entry not in entries]
    return complaints


async def _read(broker: Broker, queue: Queue) -> Snapshot:
    """Return what a queue holds, by one walk over its keys and one pipeline: thousands of tests end with this."""
    keys, client = broker.keys.of(queue), broker.client
    base = keys.job_prefix.removesuffix("job:")
    names = [key.decode(errors="surrogateescape") async for key in client.scan_iter(match=f"{base}*", count=1000)]
    ids, lanes, waiting = (
        [name.removeprefix(prefix) for name in names if name.startswith(prefix)]
        for prefix in (keys.job_prefix, keys.lane_prefix, keys.open_prefix)
    )
    # A stream without a group has nothing pending: that error is an answer.
    found = iter(
        await _ask(client.pipeline(transaction=False), keys, ids, lanes, waiting).execute(raise_on_error=False)
    )
    high, normal, low, dlq, due, expiring, blocked, outbox = (_sound(one) for one in islice(found, 8))
    held_back = {name: [one.decode() for one in _sound(next(found))] for name in lanes}
    singles = [_pairs(_sound(next(found))) for _ in PRIORITIES]
    for index, pairs in enumerate(singles, start=1):
        for job_id, key in pairs:
            held_back.setdefault(f"{index}:{key}", []).insert(0, job_id)
    open_parents = {job_id: {one.decode() for one in _sound(next(found))} for job_id in waiting}
    pending = [_entries(rows) for rows in islice(found, 3)]
    hashes = {job_id: (_sound(next(found)), _sound(next(found))) for job_id in ids}
    alive = {job_id: pair for job_id, pair in hashes.items() if pair[0]}
    return Snapshot(
        names=names,
        lanes=held_back,
        singles=singles,
        jobs={job_id: {name.decode(): value for name, value in pair[0].items()} for job_id, pair in alive.items()},
        ttl_ms={job_id: pair[1] for job_id, pair in alive.items()},
        ready=[_ids_by_entry(stream) for stream in (high, normal, low)],
        pending=pending,
        due={member.decode(): int(score) for member, score in due if not member.startswith(b"~")},
        dead=_ids_by_entry(dlq),
        blocked={member.decode(): int(score) for member, score in blocked},
        outbox={member.decode(): int(score) for member, score in outbox},
        open_parents=open_parents,
        expiring={member.decode(): int(score) for member, score in expiring},
    )


def _ask(pipeline: Any, keys: QueueKeys, ids: list[str], lanes: list[str], waiting: list[str]) -> Any:
    """Put the commands of a snapshot into a pipeline, and return that."""
    for stream in (*keys.ready, keys.dlq):
        pipeline.xrange(stream)
    for zset in (keys.due, keys.expiring, keys.blocked, keys.outbox):
        pipeline.zrange(zset, 0, -1, withscores=True)
    for name in lanes:
        pipeline.lrange(keys.lane_prefix + name, 0, -1)
    for priority in PRIORITIES:
        pipeline.lrange(keys.singles_of(priority), 0, -1)
    for job_id in waiting:
        pipeline.smembers(keys.open_prefix + job_id)
    for stream in keys.ready:
        pipeline.xpending_range(stream, GROUP, min="-", max="+", count=100_000)
    for job_id in ids:
        pipeline.hgetall(keys.job_prefix + job_id)
        pipeline.pttl(keys.job_prefix + job_id)
    return pipeline


def _sound(answer: Any) -> Any:
    if isinstance(answer, Exception):
        raise answer
    return answer


def _pairs(rows: list[bytes]) -> list[tuple[str, str]]:
    pairs = [raw.decode().partition(" ") for raw in rows]
    return [(job_id, key) for job_id, _, key in pairs]


def _ids_by_entry(rows: list[tuple[bytes, dict[bytes, bytes]]]) -> dict[str, str]:
    return {entry.decode(): fields[b"id"].decode() for entry, fields in rows}


def _entries(rows: list[dict[str, bytes]] | Exception) -> set[str]:
    return set() if isinstance(rows, Exception) else {row["message_id"].decode() for row in rows}
