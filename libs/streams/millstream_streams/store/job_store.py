"""The transitions of jobs: one method, one script, one atomic step. See scripts/*.lua for what each does."""

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
from redis.asyncio.cluster import RedisCluster

from millstream_contracts import (
    Cancelled,
    Dead,
    HandedBack,
    JobId,
    Outcome,
    Priority,
    Queue,
    RetryAt,
    Snoozed,
    Succeeded,
    limits,
)
from millstream_streams.connection.connections import Client
from millstream_streams.connection.faults import REDIS_ERRORS, NoObserver, RedisObserver, with_retries
from millstream_streams.errors import NotDurableError, StoreError, StoreUnavailableError
from millstream_streams.store.clock import RedisClock
from millstream_streams.store.deliveries import (
    ActionCode,
    Blocked,
    Claim,
    Commit,
    CommitCode,
    Delivery,
    Depths,
    Durability,
    Edge,
    EnqueueCode,
    Enqueued,
    Expiry,
    Lease,
    LeaseCode,
    NewJob,
    News,
    NewSpec,
    Parents,
    ReadEntry,
    RecoveredJob,
    Recovery,
    Release,
    ResolveCode,
    Told,
)
from millstream_streams.store.keys import HISTORY_GROUP, PRIORITIES, Keys
from millstream_streams.store.scripting import Argument, load_script, run_script
from millstream_streams.store.specs import read_error, read_int, read_spec, read_wait

FROM_THE_START = ("0-0", "0-0", "0-0")

CONFIRM_WITHIN_S = 2.0
"""How long a replica or a disk may take. With `appendfsync everysec` a disk takes up to a second."""

STORED_WITHIN_S = limits.MIN_RESULT_TTL_S - 1.0
"""How long a call may try to store jobs: a job can be read for longer, so a repetition in time meets it."""

STACK_KEPT_S = 10.0
"""How long the answer to a request for a stack is kept: longer than any request waits for it."""

LINK_AGAIN_S = 60.0
LINK_AGAIN_AT_MOST_S = 3600.0
"""How long after its parents were told of it a blocked job is looked at again; later at half its age."""

CHILDREN_AT_ONCE = 100
"""How many children of a job are told in one round: a script must not stand still for ten thousand."""

_CONFIRMATIONS: dict[Durability, tuple[Argument, ...]] = {
    Durability.REPLICATED: ("WAIT", 1, round(CONFIRM_WITHIN_S * 1000)),
    Durability.FSYNCED: ("WAITAOF", 1, 0, round(CONFIRM_WITHIN_S * 1000)),
}

_PRIORITY_INDEX = {priority: index for index, priority in enumerate(PRIORITIES, start=1)}
# Decode tables for the hot path: calling an enumeration takes longer than the rest of an answer.
_ENQUEUE_CODES = {code.value: code for code in EnqueueCode}
_TOO_LATE = EnqueueCode.TOO_LATE.value
_OTHERS = (EnqueueCode.REPLAYED, EnqueueCode.KEY_REUSED)
"""The codes of new jobs that Redis did not store."""
_COMMIT_CODES = {code.value: code for code in CommitCode}
_NO_TIMES = (None, None, None, None)
_NO_HISTORY = (None, None, None)
_encode = msgspec.msgpack.Encoder().encode


class JobStore:
    """Every change of a job's state.

    Methods take at most `limits.MAX_SCRIPT_JOBS` jobs, all of one queue (else ValueError). Each is idempotent and is
    tried again for `patience_s` while Redis is away; then it raises StoreUnavailableError. StoreFullError comes at
    once.
    """

    def __init__(
        self,
        client: Client,
        keys: Keys,
        *,
        patience_s: float = 5.0,
        retention_s: float = 3600.0,
        observer: RedisObserver | None = None,
        confirming: Client | None = None,
        clock: RedisClock | None = None,
    ) -> None:
        self.keys = keys
        self._client = client
        self._confirming = confirming or client
        """A client for calls that wait for a confirmation, which take longer than others."""
        self._patience_s = patience_s
        self._retention_ms = round(retention_s * 1000)
        """How long a job can be read that no commit ended: cancelled, expired or discarded."""
        self._observer = observer or NoObserver()
        self._clock = clock or RedisClock()
        """The estimate of the clock of Redis, which each claim updates, because a worker may submit jobs."""

    async def enqueue(
        self, queue: Queue, jobs: Sequence[NewJob], durability: Durability | None = None
    ) -> list[Enqueued]:
        """Store new jobs. Idempotent by job id, and by idempotency key for a day.

        Those without a key are stored within :data:`STORED_WITHIN_S` or not at all.
        Raises: StoreUnavailableError; NotDurableError, when they are stored and `durability` was not confirmed in time.
        """
        _check_size(jobs)
        prefix = self.keys.of(queue).idempotency_prefix.encode()
        rows: list[Argument] = []
        for job in jobs:
            rows += (job.id, job.spec, _options(job, prefix))
        confirmed: int | list[int] = 1
        if durability is None:
            replies = await self._run_in_time("enqueue", queue, rows)
        else:
            replies, confirmed = await self._run_in_time("enqueue", queue, rows, then=_CONFIRMATIONS[durability])
        now_ms = int(replies.pop(0))
        enqueued = [_enqueued(job, reply, now_ms) for job, reply in zip(jobs, replies, strict=True)]
        if not _is_confirmed(confirmed):
            others = (job.id for job, one in zip(jobs, enqueued, strict=True) if one.code in _OTHERS)
            raise NotDurableError(f"not confirmed as {durability} within {CONFIRM_WITHIN_S:g} s", frozenset(others))
        return enqueued

    async def claim(
        self,
        queue: Queue,
        *,
        consumer: str,
        nonce: str,
        limit: int,
        shares: tuple[int, int, int] = (0, 0, 0),
        read: Sequence[ReadEntry] = (),
        resume: bool = False,
        patience_s: float | None = None,
    ) -> Claim:
        """Claim up to `limit` ready jobs.

        `shares` says how many to take from high, normal and low before filling up in that order. `read` are entries
        that a blocking read returned; they are adopted beyond the limit. `resume` also returns what this consumer holds
        from an earlier claim whose response was lost. `nonce` must be new for each call, and the same when a call is
        repeated after a lost response. `patience_s` is this call's own.
        """
        tail: list[Argument] = [limit, *shares, self._retention_ms]
        for entry in read:
            tail += (entry.priority_index, entry.entry, entry.id)

        def arguments(failures: int) -> list[Argument]:
            return [consumer, nonce, "1" if resume or failures else "", *tail]

        asked_at = self._clock.asking()
        ask_again_ms, now, fresh, history, expired = await self._run("claim", queue, arguments, patience_s)
        self._clock.heard(int(now) / 1000, asked_at)
        return Claim(deliveries_of_claim(queue, nonce, int(now), fresh, history), int(ask_again_ms), int(expired))

    async def renew(self, queue: Queue, *, consumer: str, leases: Sequence[Lease]) -> list[LeaseCode]:
        """Renew the leases that this worker still has, and store progress."""
        _check_size(leases)
        arguments: list[Argument] = [consumer]
        for lease in leases:
            arguments += (lease.priority_index, lease.entry, lease.id, lease.token, lease.progress)
        return [LeaseCode(int(code)) for code in await self._run("renew", queue, arguments)]

    async def commit(self, queue: Queue, *, worker: str, commits: Sequence[Commit]) -> list[CommitCode]:
        """Commit outcomes other than HandedBack. A stale delivery is refused, and its code says so."""
        _check_size(commits)
        arguments: list[Argument] = [worker, len(commits)]
        unstored_progress: list[Argument] = []
        for commit in commits:
            job, (outcome, blob) = commit.delivery, _encode_outcome(commit.outcome)
            arguments += (f"{job.priority_index} {commit.ttl_ms} {outcome}", job.id, job.token, job.entry, blob)
            if commit.progress is not None:
                unstored_progress += (job.id, job.token, _encode(commit.progress))
        arguments += unstored_progress
        return [_COMMIT_CODES[code] for code in await self._run("commit", queue, arguments)]

    async def hand_back(self, queue: Queue, *, worker: str, deliveries: Sequence[Delivery]) -> list[CommitCode]:
        """Hand deliveries back at once, at no cost to the jobs."""
        _check_size(deliveries)
        arguments: list[Argument] = [worker, self._retention_ms]
        for job in deliveries:
            arguments += (job.id, job.token, job.priority_index, job.entry)
        return [CommitCode(int(code)) for code in await self._run("hand_back", queue, arguments)]

    async def mark_isolated(self, queue: Queue, tokens: Sequence[tuple[JobId, str]], *, waits: bool) -> list[bool]:
        """Mark deliveries as waiting to run alone, or remove the mark: a marked one is charged no crash.

        Returns: for each, whether the caller still has it.
        """
        _check_size(tokens)
        arguments: list[Argument] = ["1" if waits else ""]
        for job_id, token in tokens:
            arguments += (job_id, token)
        return [code == 1 for code in await self._run("mark_isolated", queue, arguments)]

    async def note_unreadable(self, queue: Queue, job_id: JobId, token: str, digest: str) -> set[str]:
        """Record that the release with this registration cannot read a job.

        Returns: the digests of all registrations whose releases could not; empty when the delivery is stale.
        """
        reply = await self._run("note_unreadable", queue, [job_id, token, digest])
        return set(reply.decode().split())

    async def release_due(self, queue: Queue, *, limit: int = limits.MAX_SCRIPT_JOBS) -> Release:
        """Release due jobs."""
        released, expired, next_in_ms = await self._run("release_due", queue, [limit, self._retention_ms])
        return Release(int(released), int(expired), read_wait(next_in_ms))

    async def recover(
        self,
        queue: Queue,
        *,
        lease_ms: int,
        max_crashes: int,
        cursors: tuple[str, str, str] = FROM_THE_START,
        limit: int = limits.MAX_SCRIPT_JOBS,
    ) -> Recovery:
        """Recover deliveries whose lease has run out; bury the jobs that crashed too often."""
        arguments: list[Argument] = [lease_ms, max_crashes, limit, self._retention_ms, *cursors]
        next_cursors, requeued, buried, strays, cancelled = await self._run("recover", queue, arguments)
        high, normal, low = (cursor.decode() for cursor in next_cursors)
        return Recovery(
            cursors=(high, normal, low),
            requeued=[_recovered(row) for row in requeued],
            buried=[_recovered(row) for row in buried],
            strays=int(strays),
            cancelled=int(cancelled),
        )

    async def expire(self, queue: Queue, *, limit: int = limits.MAX_SCRIPT_JOBS) -> Expiry:
        """Expire the jobs that have not started in time."""
        expired, next_in_ms = await self._run("expire", queue, [limit, self._retention_ms])
        return Expiry(int(expired), read_wait(next_in_ms))

    async def cancel(self, queue: Queue, ids: Sequence[JobId]) -> list[ActionCode]:
        """Cancel jobs: waiting ones at once, running ones through their worker."""
        _check_size(ids)
        return _codes(await self._run("cancel", queue, [self._retention_ms, *ids]))

    async def redrive(
        self,
        queue: Queue,
        ids: Sequence[JobId],
        *,
        died_by_ms: int | None = None,
        specs: Mapping[JobId, NewSpec] | None = None,
    ) -> list[ActionCode]:
        """Make dead jobs ready again, counted from zero; with `died_by_ms` only those that died until then.

        By that bound an operation that is repeated redrives no job which has died again. Jobs of `specs` get another
        spec in the same step.
        """
        _check_size(ids)
        arguments: list[Argument] = [_bound(died_by_ms)]
        for job_id in ids:
            new = specs.get(job_id) if specs else None
            arguments += (job_id, new.blob, new.version) if new else (job_id, "", "")
        return _codes(await self._run("redrive", queue, arguments))

    async def discard(self, queue: Queue, ids: Sequence[JobId], *, died_by_ms: int | None = None) -> list[ActionCode]:
        """Discard dead jobs; with `died_by_ms` only those that died until then."""
        _check_size(ids)
        return _codes(await self._run("discard", queue, [self._retention_ms, _bound(died_by_ms), *ids]))

    async def erase(self, queue: Queue, ids: Sequence[JobId]) -> list[ActionCode]:
        """Remove jobs with all that is stored of them. One that runs is refused as in the wrong state."""
        _check_size(ids)
        return _codes(await self._run("erase", queue, list(ids)))

    async def announce(self, queue: Queue, *, upto: str = "", limit: int) -> list[tuple[str, JobId]]:
        """Note that the dead letters up to this entry are announced, and return the next ones, oldest first.

        The first call for a queue begins with the deaths from then on.
        """
        reply = await self._run("announce", queue, [upto, limit])
        return [(entry.decode(), JobId(job_id.decode())) for entry, job_id in _rows(reply, 2)]

    async def listen(self, queue: Queue, pairs: Sequence[tuple[JobId, JobId]]) -> list[str]:
        """Note children at their parents, which are of this queue. Returns: the state of each parent, or `unknown`."""
        _check_size(pairs)
        arguments: list[Argument] = []
        for parent, child in pairs:
            arguments += (parent, child)
        return [state.decode() for state in await self._run("listen", queue, arguments)]

    async def resolve(self, queue: Queue, edges: Sequence[Edge]) -> list[ResolveCode]:
        """Tell blocked jobs of this queue of their parents; each counts once."""
        _check_size(edges)
        arguments: list[Argument] = [self._retention_ms]
        for edge in edges:
            arguments += (edge.child, edge.parent, edge.state)
        return [ResolveCode(int(code)) for code in await self._run("resolve", queue, arguments)]

    async def linked(self, queue: Queue, ids: Sequence[JobId]) -> int:
        """Note that all parents of these jobs know of them. Returns: how many are still blocked."""
        _check_size(ids)
        limits_ms = [round(LINK_AGAIN_S * 1000), round(LINK_AGAIN_AT_MOST_S * 1000)]
        return int(await self._run("linked", queue, [*limits_ms, *ids]))

    async def take_blocked(
        self, queue: Queue, *, limit: int = 20, lease_s: float = 30.0
    ) -> tuple[list[Blocked], int | None]:
        """Lease blocked jobs that have to be looked at. Returns: them, and the ms until the next look, None for none.

        A job has up to `limits.MAX_PARENTS` parents, so a call takes few.
        """
        next_in_ms, rows = await self._run("take_blocked", queue, [limit, round(lease_s * 1000)])
        return [Blocked(_id(job_id), [_id(one) for one in parents]) for job_id, *parents in rows], read_wait(next_in_ms)

    async def take_news(
        self, queue: Queue, *, limit: int = limits.MAX_SCRIPT_JOBS, lease_s: float = 30.0
    ) -> tuple[list[News], int | None]:
        """Lease jobs whose children have to be told. Returns: them, and the ms until there is more, None for none."""
        arguments: list[Argument] = [limit, round(lease_s * 1000), CHILDREN_AT_ONCE]
        next_in_ms, rows = await self._run("take_news", queue, arguments)
        found = [
            News(_id(job_id), state.decode(), version.decode(), [_id(one) for one in children])
            for job_id, state, version, *children in rows
        ]
        return found, read_wait(next_in_ms)

    async def end_news(self, queue: Queue, told: Sequence[Told]) -> int:
        """Note which children were told. Returns: how many parents need to tell no more."""
        _check_size(told)
        arguments: list[Argument] = []
        for one in told:
            arguments += (one.parent, one.version, one.child, "1" if one.is_kept else "")
        return int(await self._run("end_news", queue, arguments))

    async def watch(self, queue: Queue, job_id: JobId) -> ActionCode:
        """Ask for a hint when the job settles. DONE_BEFORE: it has settled already."""
        return ActionCode(int(await self._run("watch", queue, [job_id])))

    async def ask_stack(self, queue: Queue, job_id: JobId, number: str) -> ActionCode:
        """Ask the worker of a running job where its handler is. `number` is that of the request, new for each."""
        return ActionCode(int(await self._run("ask_stack", queue, [job_id, number])))

    async def tell_stack(self, queue: Queue, job_id: JobId, token: str, number: str, stack: bytes) -> bool:
        """Answer such a request, for STACK_KEPT_S. Returns: False, when the delivery is not current any more."""
        key = self.keys.of(queue).stack_prefix + number
        told = await self._run("tell_stack", queue, [job_id, token, key, stack, round(STACK_KEPT_S * 1000)])
        return bool(int(told))

    async def measure(self, queue: Queue, *, due_soon_s: float = 0.0) -> Depths:
        """Count what the queue holds. Jobs that are due within `due_soon_s` count as due soon."""
        asked_at = self._clock.asking()
        reply = await self._run("measure", queue, [round(due_soon_s * 1000)])
        found = {name.decode(): int(number) for name, number in _rows(reply, 2)}
        self._clock.heard(found["now_ms"] / 1000, asked_at)
        return _depths(found)

    async def trim_events(self, queue: Queue, *, keep: int, cap: int, kept_s: float = 0.0) -> tuple[int, int]:
        """Remove acknowledged events, some thousands at most; repeat until a call removes none.

        Events of the last `kept_s` stay, but never more than `cap`. `keep` is for a stream without a group.
        Returns: how many were removed, and how many of them no group had seen.
        """
        arguments: list[Argument] = [keep, cap, round(kept_s * 1000), HISTORY_GROUP]
        removed, lost = await self._run("trim_events", queue, arguments)
        return int(removed), int(lost)

    async def close_gap(self, queue: Queue, last: str) -> bool:
        """Forget the gap that ends with this entry. Returns: False, when more was lost since: that is the gap now."""
        return bool(int(await self._run("close_gap", queue, [last])))

    async def leave_events(self, queue: Queue) -> bool:
        """Remove the group that reads events for webhooks. Returns: False when a job of the queue has a callback."""
        return bool(await self._run("leave_events", queue, []))

    async def sweep_consumers(self, queue: Queue, *, idle_ms: int) -> int:
        """Remove consumers that hold nothing and were not seen for long. Returns: how many."""
        return int(await self._run("sweep_consumers", queue, [idle_ms]))

    async def try_rights(self, queue: Queue, commands: Sequence[str] = ()) -> list[str]:
        """Run a script that writes, on a queue without jobs. Returns: the commands that the user may not call.

        `xack` is always tried. Commands are named as an ACL names them; see the script for those that it knows.
        """
        return [name.decode() for name in await self._run("try_rights", queue, list(commands))]

    async def _run_in_time(self, name: str, queue: Queue, rows: list[Argument], then: tuple[Argument, ...] = ()) -> Any:
        """Run a script that stores jobs, for :data:`STORED_WITHIN_S`. Raises: StoreUnavailableError, when it is late.

        A first try that is refused has stored nothing. Only the clock can have been wrong then, and the refusal tells
        the right one.
        """
        tries = 0

        def arguments(failures: int) -> list[Argument]:
            nonlocal tries
            tries = failures + 1
            return [limits.IDEMPOTENCY_TTL_S * 1000, not_after_ms, *rows]

        for _ in range(2):
            asked_at = self._clock.asking()
            not_after_ms = self._clock.now_ms() + round(STORED_WITHIN_S * 1000)
            reply = await self._run(name, queue, arguments, then=then)
            codes = reply[0] if then else reply
            if _TOO_LATE not in codes:
                return reply
            self._clock.heard(int(codes[0]) / 1000, asked_at)
            if tries > 1:
                break
        raise StoreUnavailableError(f"Redis did not respond within {STORED_WITHIN_S:g} s, and may have stored the jobs")

    async def _run(
        self,
        name: str,
        queue: Queue,
        arguments: Any,
        patience_s: float | None = None,
        then: tuple[Argument, ...] = (),
    ) -> Any:
        """Run a script until it is answered or patience runs out.

        `arguments` is a list, or a function of the number of earlier failures that returns one. `then` is sent behind
        the script on the same connection, and answered with it.
        """
        keys = self.keys.of(queue)
        script = load_script(name)

        async def call(failures: int) -> Any:
            values = arguments(failures) if callable(arguments) else arguments
            client = self._confirming if then else self._client
            return await run_script(client, script, keys.script_keys, [keys.job_prefix, *values], then=then)

        begun = time.perf_counter()
        try:
            patience_s = self._patience_s if patience_s is None else patience_s
            reply = await with_retries(call, patience_s, self._observer.count_reconnect)
        except StoreUnavailableError as error:
            error.others_may_answer = isinstance(self._client, RedisCluster)
            raise
        except REDIS_ERRORS as error:
            # A defect, or a key that another program wrote. Its text may hold arguments, so only the code is passed on.
            raise StoreError(f"{name} on {queue.tag} failed: {str(error).partition(' ')[0]}") from error
        self._observer.observe_call(name, time.perf_counter() - begun)
        return reply


def _is_confirmed(reply: int | list[int]) -> bool:
    """Return whether the reply of WAIT (a number of replicas) or WAITAOF (local and replicated) is a confirmation."""
    return (reply[0] if isinstance(reply, list) else reply) > 0


def _bound(ms: int | None) -> str:
    return "" if ms is None else str(ms)


def _check_size(items: Sequence[object]) -> None:
    if len(items) > limits.MAX_SCRIPT_JOBS:
        raise ValueError(f"{len(items)} jobs in one call: at most {limits.MAX_SCRIPT_JOBS}, or Redis stands still")


def _options(job: NewJob, prefix: bytes) -> bytes:
    """Return all fields of a new job except id and spec, in the form of enqueue.lua; nothing for most jobs."""
    known = job.idempotency
    times = (job.delay_ms, job.run_at_ms, job.expires_in_ms, job.expires_at_ms)
    if (
        times == _NO_TIMES
        and job.priority is Priority.NORMAL
        and not (known or job.waited or job.callback or job.parents)
    ):
        return b""
    run_at, expires_at = _moment(job.delay_ms, job.run_at_ms), _moment(job.expires_in_ms, job.expires_at_ms)
    fingerprint, key = (known.fingerprint, prefix + known.key) if known else ("", b"")
    waited = "1" if job.waited else ""
    callback, parents = job.callback.decode(), _parents(job.parents) if job.parents else ""
    first = f"{_PRIORITY_INDEX[job.priority]} {run_at} {expires_at} {waited} {callback} {parents} {fingerprint} "
    return first.encode() + key


def _parents(parents: Parents) -> str:
    return f"{parents.after_failure};{','.join(parents.all)};{','.join(parents.open)}"


def _enqueued(job: NewJob, reply: int | list[Any], now_ms: int) -> Enqueued:
    if isinstance(reply, int):
        return Enqueued(_ENQUEUE_CODES[reply], job.id, now_ms)
    number, job_id, due_ms = reply
    code = _ENQUEUE_CODES[number]
    return Enqueued(code, JobId(job_id.decode()), now_ms, int(due_ms) if code is EnqueueCode.STORED else None)


def _moment(relative_ms: int | None, absolute_ms: int | None) -> str:
    if relative_ms is not None:
        return f"+{relative_ms}"
    return "" if absolute_ms is None else str(absolute_ms)


def _encode_outcome(outcome: Outcome) -> tuple[str, bytes]:
    """Return an outcome in the form of commit.lua, and its result or error."""
    if isinstance(outcome, Succeeded):  # most are, and the match takes three times as long to see it
        return "succeeded", bytes(outcome.result)
    match outcome:
        case RetryAt(after_ms, error):
            return f"retry_at {after_ms}", _encode(error)
        case Snoozed(after_ms):
            return f"snoozed {after_ms}", b""
        case Dead(reason, error):
            return f"dead {error.fingerprint} {reason}", _encode(error)
        case Cancelled(reason):
            return f"cancelled {reason}", b""
        case HandedBack():
            raise TypeError("a HandedBack goes through hand_back")


def deliveries_of_claim(queue: Queue, nonce: str, now_ms: int, fresh: list[Any], history: list[Any]) -> list[Delivery]:
    """Return what claim.lua gave away: both lists are flat, six values a job and four for one with a past."""
    history_of = {row[0]: row[1:] for row in _rows(history, 4)} if history else {}
    deliveries = []
    for index, entry, job_id, spec, ready_at, number in _rows(fresh, 6):
        attempts, crashes, error = history_of.get(job_id, _NO_HISTORY)
        deliveries.append(
            Delivery(
                queue=queue,
                id=JobId(job_id.decode()),
                spec=read_spec(spec),
                priority_index=index,
                entry=entry.decode(),
                token=f"{number}:{nonce}",
                attempts=read_int(attempts),
                deliveries=number,
                crashes=read_int(crashes),
                ready_at_ms=read_int(ready_at),
                claimed_at_ms=now_ms,
                last_error=read_error(error),
            )
        )
    return deliveries


def _rows(values: list[Any], width: int) -> Iterator[tuple[Any, ...]]:
    """Cut a flat list into rows."""
    return zip(*[iter(values)] * width, strict=True)


def _depths(found: Mapping[str, int]) -> Depths:
    """Return the counts of measure.lua by their names."""
    return Depths(
        queued=(found["queued_high"], found["queued_normal"], found["queued_low"]),
        running=found["running"],
        scheduled=found["scheduled"],
        dead=found["dead"],
        paused=bool(found["paused"]),
        oldest_ready_age_ms=found["oldest_ready_age_ms"],
        oldest_dead_age_ms=found["oldest_dead_age_ms"],
        events=found["events"],
        next_due_in_ms=read_wait(found["next_due_in_ms"]),
        next_expiry_in_ms=read_wait(found["next_expiry_in_ms"]),
        due_soon=found["due_soon"],
        blocked=found["blocked"],
        outbox=found["outbox"],
        oldest_news_age_ms=found["oldest_news_age_ms"],
        next_news_in_ms=read_wait(found["next_news_in_ms"]),
        next_link_in_ms=read_wait(found["next_link_in_ms"]),
    )


def _recovered(row: list[Any]) -> RecoveredJob:
    job_id, spec, worker, delivery, charged = row
    return RecoveredJob(JobId(job_id.decode()), read_spec(spec), worker.decode(), delivery, bool(charged))


def _id(raw: bytes) -> JobId:
    """Return a job id; of what something else has written, an id that no job has."""
    return JobId(raw.decode(errors="replace"))


def _codes(replies: list[Any]) -> list[ActionCode]:
    return [ActionCode(int(code)) for code in replies]
