"""The transitions of jobs: one method, one script, one atomic step. See scripts/*.lua for what each does."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

import msgspec
from msgspec.structs import replace

from millstream_codec import PAYLOAD, RESULT, Codec, KeyLostError, Place
from millstream_contracts import (
    UNDECODABLE,
    Calling,
    Cancelled,
    Coding,
    Dead,
    HandedBack,
    JobId,
    Priority,
    Queue,
    RetryAt,
    Snoozed,
    Succeeded,
    Waiting,
    limits,
)
from millstream_streams.errors import NotDurableError, StoreUnavailableError
from millstream_streams.store.clock import RedisClock
from millstream_streams.store.deliveries import (
    ActionCode,
    Claim,
    Commit,
    CommitCode,
    Delivery,
    Depths,
    Durability,
    EnqueueCode,
    Enqueued,
    Expiry,
    KeyCounts,
    Lease,
    LeaseCode,
    NewJob,
    NewSpec,
    Parents,
    ReadEntry,
    RecoveredJob,
    Recovery,
    Release,
    UniqueKey,
)
from millstream_streams.store.keys import HISTORY_GROUP, PRIORITIES
from millstream_streams.store.queue_scripts import QueueScripts, check_size
from millstream_streams.store.scripting import Argument
from millstream_streams.store.specs import (
    coded_field,
    coded_spec,
    read_breaker,
    read_error,
    read_int,
    read_spec,
    read_wait,
)

FROM_THE_START = ("0-0", "0-0", "0-0")

CONFIRM_WITHIN_S = 2.0
"""How long a replica or a disk may take. With `appendfsync everysec` a disk takes up to a second."""

STORED_WITHIN_S = limits.MIN_RESULT_TTL_S - 1.0
"""How long a call may try to store jobs: a job can be read for longer, so a repetition in time meets it."""

STACK_KEPT_S = 10.0
"""How long the answer to a request for a stack is kept: longer than any request waits for it."""

_CONFIRMATIONS: dict[Durability, tuple[Argument, ...]] = {
    Durability.REPLICATED: ("WAIT", 1, round(CONFIRM_WITHIN_S * 1000)),
    Durability.FSYNCED: ("WAITAOF", 1, 0, round(CONFIRM_WITHIN_S * 1000)),
}

HASHED = "keyed:"
"""What a unique key of an encrypted job is shown behind: its keyed hash."""

MEMBER = "m"
"""What stands in place of a node in the field `flow` of a member of a batch."""

_PRIORITY_INDEX = {priority: index for index, priority in enumerate(PRIORITIES, start=1)}
# Decode tables for the hot path: calling an enumeration takes longer than the rest of an answer.
_ENQUEUE_CODES = {code.value: code for code in EnqueueCode}
_TOO_LATE = EnqueueCode.TOO_LATE.value
_OTHERS = (EnqueueCode.REPLAYED, EnqueueCode.KEY_REUSED, EnqueueCode.RETURNED, EnqueueCode.UNIQUE_CONFLICT)
"""The codes of new jobs that Redis did not store."""
_COMMIT_CODES = {code.value: code for code in CommitCode}
_NO_TIMES = (None, None, None, None)
_NO_HISTORY = (None, None, None, None)
_encode = msgspec.msgpack.Encoder().encode
_NIL = b"\xc0"


class JobStore:
    """Every change of a job's state but those of jobs that wait for others, which :class:`DependencyStore` has.

    Methods take at most `limits.MAX_SCRIPT_JOBS` jobs, all of one queue (else ValueError). Each is idempotent and is
    tried again for the patience of `scripts` while Redis is away; then it raises StoreUnavailableError. StoreFullError
    comes at once.
    """

    def __init__(
        self,
        scripts: QueueScripts,
        *,
        retention_s: float = 3600.0,
        clock: RedisClock | None = None,
        codec: Codec | None = None,
    ) -> None:
        self.keys = scripts.keys
        self._codec = codec or Codec()
        self._scripts = scripts
        self._retention_ms = round(retention_s * 1000)
        """How long a job can be read that no commit ended: cancelled, expired or discarded."""
        self._clock = clock or RedisClock()
        """The estimate of the clock of Redis, which each claim updates, because a worker may submit jobs."""

    async def enqueue(
        self,
        queue: Queue,
        jobs: Sequence[NewJob],
        durability: Durability | None = None,
        *,
        until_s: float | None = None,
        is_capped: bool = False,
    ) -> list[Enqueued]:
        """Store new jobs. Idempotent by job id, and by idempotency key for a day.

        Those without a key, and members of batches, are stored within :data:`STORED_WITHIN_S` or not at all; and not
        after `until_s` on the monotonic clock, when another may store them from then on. With `is_capped` those that
        the cap of the queue does not allow are not stored either.
        Raises: StoreUnavailableError; NotDurableError, when they are stored and `durability` was not confirmed in time.
        """
        check_size(jobs)
        prefix = self.keys.of(queue).idempotency_prefix.encode()
        rows: list[Argument] = ["1" if is_capped else ""]
        hashes = any(job.unique is not None for job in jobs)
        await self._prepare(queue, (job.coding for job in jobs), hashes=hashes)
        # Before the call: the tenant may be another by its end.
        encrypted = [self._codec.encrypts(job.coding, queue.tenant) for job in jobs]
        for job in jobs:
            blob = self._coded(queue, job.id, job.spec, job.coding)
            unique = job.unique and self._hidden(queue, job.unique, job.coding)
            rows += (job.id, blob, _options(job, unique, prefix, self._retention_ms))
        confirmed: int | list[int] = 1
        if durability is None:
            replies = await self._run_in_time("enqueue", queue, rows, until_s=until_s)
        else:
            replies, confirmed = await self._run_in_time(
                "enqueue", queue, rows, then=_CONFIRMATIONS[durability], until_s=until_s
            )
        now_ms = int(replies.pop(0))
        enqueued = [
            _enqueued(job, reply, now_ms, is_encrypted=is_encrypted)
            for job, reply, is_encrypted in zip(jobs, replies, encrypted, strict=True)
        ]
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
        ask_again_ms, now, fresh, history, expired = await self._scripts.run("claim", queue, arguments, patience_s)
        self._clock.heard(int(now) / 1000, asked_at)
        return Claim(deliveries_of_claim(queue, nonce, int(now), fresh, history), int(ask_again_ms), int(expired))

    async def renew(self, queue: Queue, *, consumer: str, leases: Sequence[Lease]) -> list[LeaseCode]:
        """Renew the leases that this worker still has, and store progress."""
        check_size(leases)
        arguments: list[Argument] = [consumer]
        for lease in leases:
            arguments += (lease.priority_index, lease.entry, lease.id, lease.token, lease.progress)
        return [LeaseCode(int(code)) for code in await self._scripts.run("renew", queue, arguments)]

    async def commit(self, queue: Queue, *, worker: str, commits: Sequence[Commit]) -> list[CommitCode]:
        """Commit outcomes other than HandedBack. A stale delivery is refused, and its code says so."""
        check_size(commits)
        try:
            await self._prepare(queue, (commit.coding for commit in commits))
        except StoreUnavailableError:
            # A worker without the keys lets go of a job without storing anything of it.
            if any(map(_carries, commits)):
                raise
        arguments: list[Argument] = [worker, len(commits)]
        beside: list[Argument] = []
        for commit in commits:
            job, (outcome, blob) = commit.delivery, self._encode_outcome(commit)
            arguments += (f"{job.priority_index} {commit.ttl_ms} {outcome}", job.id, job.token, job.entry, blob)
            if commit.progress is not None or commit.log_lines is not None:
                beside += (job.id, job.token, *self._beside(commit))
        arguments += beside
        return [_COMMIT_CODES[code] for code in await self._scripts.run("commit", queue, arguments)]

    async def hand_back(self, queue: Queue, *, worker: str, deliveries: Sequence[Delivery]) -> list[CommitCode]:
        """Hand deliveries back at once, at no cost to the jobs."""
        check_size(deliveries)
        arguments: list[Argument] = [worker, self._retention_ms]
        for job in deliveries:
            arguments += (job.id, job.token, job.priority_index, job.entry)
        return [CommitCode(int(code)) for code in await self._scripts.run("hand_back", queue, arguments)]

    async def mark_isolated(self, queue: Queue, tokens: Sequence[tuple[JobId, str]], *, waits: bool) -> list[bool]:
        """Mark deliveries as waiting to run alone, or remove the mark: a marked one is charged no crash.

        Returns: for each, whether the caller still has it.
        """
        check_size(tokens)
        arguments: list[Argument] = ["1" if waits else ""]
        for job_id, token in tokens:
            arguments += (job_id, token)
        return [code == 1 for code in await self._scripts.run("mark_isolated", queue, arguments)]

    async def note_unreadable(self, queue: Queue, job_id: JobId, token: str, digest: str) -> set[str]:
        """Record that the release with this registration cannot read a job.

        Returns: the digests of all registrations whose releases could not; empty when the delivery is stale.
        """
        reply = await self._scripts.run("note_unreadable", queue, [job_id, token, digest])
        return set(reply.decode().split())

    async def release_due(self, queue: Queue, *, limit: int = limits.MAX_SCRIPT_JOBS) -> Release:
        """Release due jobs."""
        released, expired, next_in_ms = await self._scripts.run("release_due", queue, [limit, self._retention_ms])
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
        next_cursors, requeued, buried, strays, cancelled = await self._scripts.run("recover", queue, arguments)
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
        expired, next_in_ms = await self._scripts.run("expire", queue, [limit, self._retention_ms])
        return Expiry(int(expired), read_wait(next_in_ms))

    async def cancel(self, queue: Queue, ids: Sequence[JobId]) -> list[ActionCode]:
        """Cancel jobs: waiting ones at once, running ones through their worker."""
        check_size(ids)
        return _codes(await self._scripts.run("cancel", queue, [self._retention_ms, *ids]))

    async def run_now(self, queue: Queue, ids: Sequence[JobId]) -> list[ActionCode]:
        """Make jobs ready that were to run later. DONE_BEFORE: they are ready already, or run."""
        check_size(ids)
        return _codes(await self._scripts.run("run_now", queue, [self._retention_ms, *ids]))

    async def set_priority(self, queue: Queue, ids: Sequence[JobId], priority: Priority) -> list[ActionCode]:
        """Give jobs that have not started another priority. DONE_BEFORE: they have it."""
        check_size(ids)
        return _codes(await self._scripts.run("set_priority", queue, [priority.value, *ids]))

    async def redrive(
        self,
        queue: Queue,
        ids: Sequence[JobId],
        *,
        died_by_ms: int | None = None,
        specs: Mapping[JobId, NewSpec] | None = None,
        fresh: bool = False,
    ) -> list[ActionCode]:
        """Make dead jobs ready again, counted from zero; with `died_by_ms` only those that died until then.

        By that bound an operation that is repeated redrives no job which has died again. Jobs of `specs` get another
        spec in the same step. A `fresh` one has no step of its handler behind it. A unique job takes its key again.
        """
        check_size(ids)
        arguments: list[Argument] = [_bound(died_by_ms), "1" if fresh else ""]
        await self._prepare(queue, (new.coding for new in (specs or {}).values()))
        for job_id in ids:
            new = specs.get(job_id) if specs else None
            blob = self._coded(queue, job_id, new.blob, new.coding) if new else b""
            arguments += (job_id, blob, new.version) if new else (job_id, "", "")
        return _codes(await self._scripts.run("redrive", queue, arguments))

    async def discard(self, queue: Queue, ids: Sequence[JobId], *, died_by_ms: int | None = None) -> list[ActionCode]:
        """Discard dead jobs; with `died_by_ms` only those that died until then."""
        check_size(ids)
        return _codes(await self._scripts.run("discard", queue, [self._retention_ms, _bound(died_by_ms), *ids]))

    async def erase(self, queue: Queue, ids: Sequence[JobId]) -> list[ActionCode]:
        """Remove jobs with all that is stored of them. One that runs is refused as in the wrong state."""
        check_size(ids)
        return _codes(await self._scripts.run("erase", queue, list(ids)))

    async def announce(self, queue: Queue, *, upto: str = "", limit: int) -> list[tuple[str, JobId]]:
        """Note that the dead letters up to this entry are announced, and return the next ones, oldest first.

        The first call for a queue begins with the deaths from then on.
        """
        reply = await self._scripts.run("announce", queue, [upto, limit])
        return [(entry.decode(), JobId(job_id.decode())) for entry, job_id in _rows(reply, 2)]

    async def watch(self, queue: Queue, job_id: JobId) -> ActionCode:
        """Ask for a hint when the job settles. DONE_BEFORE: it has settled already."""
        return ActionCode(int(await self._scripts.run("watch", queue, [job_id])))

    async def ask_stack(self, queue: Queue, job_id: JobId, number: str) -> ActionCode:
        """Ask the worker of a running job where its handler is. `number` is that of the request, new for each."""
        return ActionCode(int(await self._scripts.run("ask_stack", queue, [job_id, number])))

    async def tell_stack(self, queue: Queue, job_id: JobId, token: str, number: str, stack: bytes) -> bool:
        """Answer such a request, for STACK_KEPT_S. Returns: False, when the delivery is not current any more."""
        key = self.keys.of(queue).stack_prefix + number
        told = await self._scripts.run("tell_stack", queue, [job_id, token, key, stack, round(STACK_KEPT_S * 1000)])
        return bool(int(told))

    async def measure(self, queue: Queue, *, due_soon_s: float = 0.0) -> Depths:
        """Count what the queue holds. Jobs that are due within `due_soon_s` count as due soon."""
        asked_at = self._clock.asking()
        reply = await self._scripts.run("measure", queue, [round(due_soon_s * 1000)])
        found = {name.decode(): int(number) for name, number in _rows(reply, 2)}
        self._clock.heard(found["now_ms"] / 1000, asked_at)
        return _depths(found)

    async def is_idle(self, queue: Queue, *, quiet_s: float) -> bool:
        """Return whether nothing is left to do in a queue, and nothing has happened there for this long."""
        return bool(await self._scripts.run("is_idle", queue, [round(quiet_s * 1000)]))

    async def trim_events(self, queue: Queue, *, keep: int, cap: int, kept_s: float = 0.0) -> tuple[int, int]:
        """Remove acknowledged events, some thousands at most; repeat until a call removes none.

        Events of the last `kept_s` stay, but never more than `cap`. `keep` is for a stream without a group.
        Returns: how many were removed, and how many of them no group had seen.
        """
        arguments: list[Argument] = [keep, cap, round(kept_s * 1000), HISTORY_GROUP]
        removed, lost = await self._scripts.run("trim_events", queue, arguments)
        return int(removed), int(lost)

    async def close_gap(self, queue: Queue, last: str) -> bool:
        """Forget the gap that ends with this entry. Returns: False, when more was lost since: that is the gap now."""
        return bool(int(await self._scripts.run("close_gap", queue, [last])))

    async def leave_events(self, queue: Queue) -> bool:
        """Remove the group that reads events for webhooks. Returns: False when a job of the queue has a callback."""
        return bool(await self._scripts.run("leave_events", queue, []))

    async def sweep_consumers(self, queue: Queue, *, idle_ms: int) -> int:
        """Remove consumers that hold nothing and were not seen for long. Returns: how many."""
        return int(await self._scripts.run("sweep_consumers", queue, [idle_ms]))

    async def try_rights(self, queue: Queue, commands: Sequence[str] = ()) -> list[str]:
        """Run a script that writes, on a queue without jobs. Returns: the commands that the user may not call.

        `xack` is always tried. Commands are named as an ACL names them; see the script for those that it knows.
        """
        return [name.decode() for name in await self._scripts.run("try_rights", queue, list(commands))]

    async def _prepare(self, queue: Queue, codings: Iterable[Coding], *, hashes: bool = False) -> None:
        """Have the keys at hand by which some of it is encrypted. Raises: StoreUnavailableError."""
        try:
            await self._codec.prepare(queue.tenant, codings, hashes=hashes)
        except KeyLostError as error:
            # Another process may have it, or this one once it is put right: nothing is to be stored as it is.
            raise StoreUnavailableError(f"what jobs carry cannot be encrypted: {error}") from error

    def _coded(self, queue: Queue, job_id: JobId, spec: bytes, coding: Coding) -> bytes:
        """Return what is stored of a spec. Most are too small to be compressed, and are not looked into."""
        is_encrypted = self._codec.encrypts(coding, queue.tenant)
        if len(spec) < limits.COMPRESS_FROM_BYTES and not is_encrypted:
            return spec
        place = Place(queue.tenant, job_id, PAYLOAD)
        try:
            return coded_spec(spec, lambda payload: self._codec.write(payload, coding, place))
        except UNDECODABLE:
            if is_encrypted:
                raise
            return spec  # a payload that is nested too deep to be read, which a worker tells

    def _hidden(self, queue: Queue, unique: UniqueKey, coding: Coding) -> UniqueKey:
        """Return a unique key as it is stored: of an encrypted job a keyed hash, for it may be made of the payload."""
        if not self._codec.encrypts(coding, queue.tenant):
            return unique
        digest = self._codec.hashed(unique.digest, queue.tenant)
        return replace(unique, digest=digest, text=f"{HASHED}{digest}")

    def _encode_outcome(self, commit: Commit) -> tuple[str, bytes]:
        """Return an outcome in the form of commit.lua, and its result or error."""
        outcome, tenant = commit.outcome, commit.delivery.queue.tenant
        is_encrypted = self._codec.encrypts(commit.coding, tenant)
        if isinstance(outcome, Succeeded):  # most are, and the match takes three times as long to see it
            result = bytes(outcome.result)
            if result == _NIL or (len(result) < limits.COMPRESS_FROM_BYTES and not is_encrypted):
                return "succeeded", result
            place = Place(tenant, commit.delivery.id, RESULT)
            return "succeeded", coded_field(result, lambda value: self._codec.write(value, commit.coding, place))
        if isinstance(outcome, RetryAt | Dead) and is_encrypted:
            error = self._codec.write_error(outcome.error, commit.coding, tenant, commit.delivery.id)
            outcome = replace(outcome, error=error)
        return _encode_unsuccessful(outcome)

    def _beside(self, commit: Commit) -> tuple[bytes, bytes]:
        """Return the progress and the log lines of a commit as they are stored, empty for none."""
        tenant, job_id, coding = commit.delivery.queue.tenant, commit.delivery.id, commit.coding
        progress, lines = commit.progress, commit.log_lines
        return (
            b"" if progress is None else _encode(self._codec.write_progress(progress, coding, tenant, job_id)),
            b"" if lines is None else _encode(self._codec.write_lines(lines, coding, tenant, job_id)),
        )

    async def _run_in_time(
        self,
        name: str,
        queue: Queue,
        rows: list[Argument],
        then: tuple[Argument, ...] = (),
        until_s: float | None = None,
    ) -> Any:
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
            left_s = STORED_WITHIN_S if until_s is None else min(STORED_WITHIN_S, until_s - time.monotonic())
            not_after_ms = self._clock.now_ms() + round(left_s * 1000)
            reply = await self._scripts.run(name, queue, arguments, then=then)
            codes = reply[0] if then else reply
            if _TOO_LATE not in codes:
                return reply
            self._clock.heard(int(codes[0]) / 1000, asked_at)
            if tries > 1:
                break
        raise StoreUnavailableError(f"Redis did not respond within {STORED_WITHIN_S:g} s, and may have stored the jobs")


def _is_confirmed(reply: int | list[int]) -> bool:
    """Return whether the reply of WAIT (a number of replicas) or WAITAOF (local and replicated) is a confirmation."""
    return (reply[0] if isinstance(reply, list) else reply) > 0


def _carries(commit: Commit) -> bool:
    """Return whether a commit has something that may be a secret."""
    is_text = isinstance(commit.outcome, Succeeded | RetryAt | Dead)
    return is_text or commit.progress is not None or commit.log_lines is not None


def _bound(ms: int | None) -> str:
    return "" if ms is None else str(ms)


def _options(job: NewJob, unique_key: UniqueKey | None, prefix: bytes, retention_ms: int) -> bytes:
    """Return all fields of a new job except id and spec, in the form of enqueue.lua; for most jobs just the owner."""
    known = job.idempotency
    times = (job.delay_ms, job.run_at_ms, job.expires_in_ms, job.expires_at_ms)
    if (
        times == _NO_TIMES
        and job.priority is Priority.NORMAL
        and not (known or job.waited or job.called or job.callback or job.parents or job.node or job.batch or job.key)
        and unique_key is None
    ):
        return f"@{job.owner}".encode() if job.owner else b""
    run_at, expires_at = _moment(job.delay_ms, job.run_at_ms), _moment(job.expires_in_ms, job.expires_at_ms)
    fingerprint, key = (known.fingerprint, prefix + known.key) if known else ("", b"")
    waited = _waited(job)
    callback, parents = job.callback.decode(), _parents(job.parents) if job.parents else ""
    unique = _unique(unique_key, retention_ms) if unique_key else ""
    last = f"{callback} {parents} {quote(job.key, safe='')} {unique} {job.owner} {fingerprint} "
    first = f"{_PRIORITY_INDEX[job.priority]} {run_at} {expires_at} {waited} {last}"
    return first.encode() + key


def _waited(job: NewJob) -> str:
    """Return who waits for the end of a job, a letter each, and what it is of a workflow or a batch.

    `u` is for the unique key that its end frees.
    """
    client = ("1" if job.waited else "") + ("h" if job.called else "") + ("u" if job.unique else "")
    if job.batch is not None:
        return f"{client}f={job.batch}:{MEMBER}:1"
    if job.node is None:
        return client
    return f"{client}f{'r' if job.node.wants_result else ''}={job.node.text}"


def _unique(unique: UniqueKey, retention_ms: int) -> str:
    rule = f"{unique.scope}/{unique.digest}/{unique.on_conflict}/{unique.held_ms or 0}"
    return f"{rule}/{retention_ms}/{quote(unique.text, safe='')}"


def _parents(parents: Parents) -> str:
    return f"{parents.after_failure};{','.join(parents.all)};{','.join(parents.open)}"


def _enqueued(job: NewJob, reply: int | list[Any], now_ms: int, *, is_encrypted: bool) -> Enqueued:
    if isinstance(reply, int):
        return Enqueued(_ENQUEUE_CODES[reply], job.id, now_ms, is_encrypted=is_encrypted)
    number, job_id, due_ms, *replaced = reply
    code = _ENQUEUE_CODES[number]
    if code in {EnqueueCode.FULL, EnqueueCode.KEY_FULL}:
        return Enqueued(code, job.id, now_ms, retry_after_ms=int(due_ms))
    return Enqueued(
        code=code,
        id=JobId(job_id.decode()),
        now_ms=now_ms,
        due_ms=int(due_ms) or None if code is EnqueueCode.STORED else None,
        replaced=JobId(replaced[0].decode()) if replaced else None,
        is_encrypted=is_encrypted,
    )


def _moment(relative_ms: int | None, absolute_ms: int | None) -> str:
    if relative_ms is not None:
        return f"+{relative_ms}"
    return "" if absolute_ms is None else str(absolute_ms)


def _encode_unsuccessful(
    outcome: RetryAt | Snoozed | Waiting | Calling | Dead | HandedBack | Cancelled,
) -> tuple[str, bytes]:
    match outcome:
        case RetryAt(after_ms, error):
            return f"retry_at {after_ms}", _encode(error)
        case Dead(reason, error):
            return f"dead {error.fingerprint} {reason}", _encode(error)
        case HandedBack():
            raise TypeError("a HandedBack goes through hand_back")
        case _:
            return _encode_pause(outcome), b""


def _encode_pause(outcome: Snoozed | Waiting | Calling | Cancelled) -> str:
    match outcome:
        case Snoozed(after_ms, gate):
            return f"snoozed {after_ms} {gate}" if gate else f"snoozed {after_ms}"
        case Waiting(signal, after_ms):
            return f"waiting {after_ms} {signal}"
        case Calling(jobs):
            return f"calling {','.join(jobs)}"
        case Cancelled(reason):
            return f"cancelled {reason}"


def deliveries_of_claim(queue: Queue, nonce: str, now_ms: int, fresh: list[Any], history: list[Any]) -> list[Delivery]:
    """Return what claim.lua gave away: both lists are flat, six values a job and five for one with a past."""
    history_of = {row[0]: row[1:] for row in _rows(history, 5)} if history else {}
    deliveries = []
    for index, entry, job_id, spec, ready_at, number in _rows(fresh, 6):
        attempts, crashes, error, started_at = history_of.get(job_id, _NO_HISTORY)
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
                claimed_at_ms=read_int(started_at) or now_ms,
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
        parked=found["parked"],
        unstartable=found["unstartable"],
        breaker=read_breaker(found["breaker"]),
        breaker_opened=found["breaker_opened"],
        keys=_key_counts(found),
        held_until_ms=found["held_until_ms"] or None,
    )


def _key_counts(found: Mapping[str, int]) -> KeyCounts | None:
    if found["lanes"] < 0:
        return None
    return KeyCounts(lanes=found["lanes"], full=found["keys_full"], rate_limited=found["keys_rate_limited"])


def _recovered(row: list[Any]) -> RecoveredJob:
    job_id, spec, worker, delivery, charged = row
    return RecoveredJob(JobId(job_id.decode()), read_spec(spec), worker.decode(), delivery, bool(charged))


def _codes(replies: list[Any]) -> list[ActionCode]:
    return [ActionCode(int(code)) for code in replies]
