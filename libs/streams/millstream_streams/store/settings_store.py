"""What is set of queues: pauses, limits and circuit breakers, in hashes of each queue."""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

import msgspec
from msgspec import Struct

from millstream_contracts import (
    UNDECODABLE,
    Breaker,
    BreakerState,
    BreakerStatus,
    JobId,
    Queue,
    QueueLimits,
    StartLimits,
)
from millstream_streams.connection.connections import Client
from millstream_streams.connection.faults import with_retries
from millstream_streams.connection.replies import ask_many, unless_wrong_type
from millstream_streams.store.clock import RedisClock
from millstream_streams.store.keys import QueueKeys
from millstream_streams.store.queue_scripts import QueueScripts
from millstream_streams.store.specs import read_int, read_time

_encode = msgspec.msgpack.Encoder().encode
_decode_limits = msgspec.msgpack.Decoder(QueueLimits).decode


class StoredSettings(Struct, frozen=True):
    """What is set of one queue. Times are Unix ms, by the clock of Redis."""

    paused: bool = False
    paused_at_ms: int = 0
    pause_reason: str = ""
    limits: QueueLimits | None = None
    """Those in force: an operator's, or else those that handlers declare."""
    limits_at_ms: int = 0
    declared: QueueLimits | None = None
    """What handlers declare."""
    is_declared: bool = False
    """Whether those in force are what handlers declare."""
    breaker: BreakerStatus | None = None
    held_until_ms: int | None = None
    """Up to when a handler holds the queue back; None when none does."""
    held_by: JobId | None = None
    """The job whose handler asked for that."""
    is_suspended: bool = False
    """Whether its tenant is suspended."""
    quota_part: int | None = None
    """How many of the jobs that its tenant may have at once the queue may have now; None without such a quota."""
    keys_held_until_ms: int | None = None
    """Up to when handlers hold keys of the queue back, the last of them; None when none does."""


class SplitLimits(Struct, frozen=True):
    """What a partition has of limits that are split."""

    is_split: bool = False
    has_part: bool = False
    parked: int = 0


class SettingsStore:
    """Reads and changes what is set of queues. Every method may raise StoreUnavailableError and StoreError."""

    def __init__(self, scripts: QueueScripts, client: Client, clock: RedisClock, *, patience_s: float = 5.0) -> None:
        self._scripts = scripts
        self._clock = clock
        self._client = client
        self._patience_s = patience_s

    async def read(self, queue: Queue) -> StoredSettings:
        """Return what is set of a queue."""
        keys = self._scripts.keys.of(queue)
        found = await self._hash(keys.settings)
        set_by_hand, declared = _limits(found.get(b"limits")), _limits(found.get(b"declared"))
        limits = set_by_hand or declared
        ends = (read_int(found.get(name)) for name in (b"held_until", b"keys_held_until"))
        now_ms = self._clock.now_ms()
        held_until_ms, keys_held_until_ms = (end if end > now_ms else None for end in ends)
        held_by = found.get(b"held_by", b"").decode(errors="replace") if held_until_ms else ""
        return StoredSettings(
            paused=found.get(b"paused") == b"1",
            is_suspended=b"!suspended" in found,
            paused_at_ms=read_int(found.get(b"paused_at")),
            pause_reason=found.get(b"pause_reason", b"").decode(errors="replace"),
            limits=limits,
            limits_at_ms=read_int(found.get(b"limits_at" if set_by_hand else b"declared_at")),
            declared=declared,
            is_declared=set_by_hand is None and declared is not None,
            breaker=await self._breaker(keys) if limits and limits.breaker else None,
            held_until_ms=held_until_ms,
            keys_held_until_ms=keys_held_until_ms,
            held_by=JobId(held_by) if held_by else None,
            quota_part=read_int(found[b"!quota"].partition(b" ")[0]) if b"!quota" in found else None,
        )

    async def splits(self, queues: Sequence[Queue]) -> list[SplitLimits]:
        """Return what the partitions of a type have of limits that are split, in order."""
        keys = [self._scripts.keys.of(queue) for queue in queues]
        commands: list[tuple[Any, ...]] = [("HGET", one.settings, "!flow") for one in keys]
        commands += [("HMGET", one.flow, "parked1", "parked2", "parked3") for one in keys]
        replies = await with_retries(lambda _: ask_many(self._client, commands), self._patience_s, lambda: None)
        flows, counts = replies[: len(keys)], replies[len(keys) :]
        return [_split(flow, parked) for flow, parked in zip(flows, counts, strict=True)]

    async def spread(self, queues: Sequence[Queue]) -> None:
        """Let new partitions of a type have the limits that an operator has set, as the first one has them."""
        first, *others = sorted(queues)
        asked = _limits((await self._hash(self._scripts.keys.of(first).settings)).get(b"limits"))
        if asked is None:
            return
        is_split = (await self.splits([first]))[0].is_split
        if asked.is_split_type and not is_split:
            await self.limit(first, asked, is_split=True)
        for queue in others:
            held = _limits((await self._hash(self._scripts.keys.of(queue).settings)).get(b"limits"))
            if held != asked:
                await self.limit(queue, asked, is_split=True)

    async def _hash(self, key: str) -> dict[bytes, bytes]:
        """Return a hash; an empty one where something else has written another type."""
        found: dict[bytes, bytes] = await with_retries(
            lambda _: unless_wrong_type(self._client.hgetall(key), {}), self._patience_s, lambda: None
        )
        return found

    async def _breaker(self, keys: QueueKeys) -> BreakerStatus:
        """Return what a circuit breaker does now."""
        found = await self._hash(keys.flow)
        probing: int = await with_retries(
            lambda _: unless_wrong_type(self._client.scard(keys.probes), 0), self._patience_s, lambda: None
        )
        return _breaker(found, probing, self._clock.now_ms())

    async def open_breaker(self, queue: Queue, *, reason: str = "") -> bool | None:
        """Open a circuit breaker until it is closed by hand; return False when it was, and None without one."""
        return await self._steer_breaker(queue, "1", reason)

    async def close_breaker(self, queue: Queue) -> bool | None:
        """Close a circuit breaker; return False when it was closed, and None without one."""
        return await self._steer_breaker(queue, "", "")

    async def _steer_breaker(self, queue: Queue, way: str, reason: str) -> bool | None:
        code = await self._scripts.run("steer_breaker", queue, [way, reason])
        return None if code < 0 else bool(code)

    async def hold(self, queue: Queue, *, after_ms: int, job_id: JobId) -> None:
        """Have no job of a queue start for so many ms, as the handler of a job of the same type asks for."""
        await self._scripts.run("hold", queue, [after_ms, job_id])

    async def end_hold(self, queue: Queue, key: str = "") -> bool:
        """Let the jobs of a queue start that a handler holds back, or those of a key; return False when none does."""
        return bool(await self._scripts.run("end_hold", queue, [quote(key, safe="")]) == 1)

    async def limit(self, queue: Queue, limits: QueueLimits | None, *, is_split: bool = False) -> None:
        """Set the limits of a queue, or let it have those alone that handlers declare.

        They are in force from then on; nothing is stopped. `is_split` says that the queue is one of several of its
        type: of its limits of the type it has no part then, until they are dealt out (:class:`BudgetDealer`).
        """
        in_force = _in_force(limits, is_split=is_split)
        await self.tune(queue, in_force, asked=b"" if limits is None else _encode(limits))

    async def declare(
        self, queue: Queue, limits: QueueLimits | None, *, started_at_ms: int, is_split: bool = False
    ) -> None:
        """Set the limits that hold where no operator has set others, for a worker that started then; None for none.

        What a worker has declared that started later stays. `is_split` is as in :meth:`limit`.
        """
        asked = b"" if limits is None else _encode(limits)
        in_force = _in_force(limits, is_split=is_split)
        await self._scripts.run("tune", queue, [_encode(in_force), asked, started_at_ms])

    async def tune(self, queue: Queue, in_force: Mapping[str, Any], *, asked: bytes = b"") -> bool:
        """Set limits in the form of scripts/_gate.lua; return whether the queue has any."""
        return bool(await self._scripts.run("tune", queue, [_encode(in_force), asked, ""]) == 1)

    async def pause(self, queue: Queue, *, reason: str = "") -> bool:
        """Pause a queue; return False when it was paused before."""
        return bool(await self._scripts.run("pause", queue, ["1", reason]) == 1)

    async def resume(self, queue: Queue) -> bool:
        """Let a paused queue go on; return False when it was not paused."""
        return bool(await self._scripts.run("pause", queue, ["", ""]) == 1)

    async def suspend(self, queue: Queue) -> bool:
        """Let no job of a queue start while its tenant is suspended; return False when it was so before."""
        return bool(await self._scripts.run("suspend", queue, ["1"]) == 1)

    async def release(self, queue: Queue) -> bool:
        """Let a queue go on whose tenant is not suspended any more; return False when it did."""
        return bool(await self._scripts.run("suspend", queue, [""]) == 1)

    async def suspended(self, queues: Sequence[Queue]) -> list[bool]:
        """Return which of some queues are suspended, in order."""
        commands: list[tuple[Any, ...]] = [
            ("HGET", self._scripts.keys.of(one).settings, "!suspended") for one in queues
        ]
        replies = await with_retries(lambda _: ask_many(self._client, commands), self._patience_s, lambda: None)
        return [reply is not None for reply in replies]


def _in_force(limits: QueueLimits | None, *, is_split: bool = False) -> dict[str, Any]:
    """Return limits in the form of scripts/_gate.lua."""
    if limits is None:
        return {}
    per_key = limits.per_key or StartLimits()
    weights = {quote(key, safe=""): weight for key, weight in (limits.weights or {}).items()}
    found = {
        "c": limits.concurrency,
        "r": limits.every_ms,
        "rb": limits.starts_at_once,
        "kc": per_key.concurrency,
        "kr": per_key.every_ms,
        "krb": per_key.starts_at_once,
        "kcap": limits.per_key.cap if limits.per_key else None,
        "b": _packed(limits.breaker),
        "w": weights or None,
        "cap": limits.cap,
        # It limits nothing: with it alone the queue has a gate, and keys take turns.
        "fair": limits.fair or None,
    }
    if is_split and limits.concurrency is not None:
        found |= {"c": 0, "tc": limits.concurrency}
    if is_split and limits.rate is not None:
        found |= {"rb": 0, "tb": limits.starts_at_once, "tr": limits.every_ms}
    return {name: value for name, value in found.items() if value is not None}


def _packed(breaker: Breaker | None) -> dict[str, float] | None:
    """Return a breaker as scripts/_breaker.lua has it, with times in ms."""
    if breaker is None:
        return None
    return {
        "ratio": breaker.ratio,
        "window": round(breaker.window_s * 1000),
        "min": breaker.minimum,
        "cool": round(breaker.cool_down_s * 1000),
        "cap": round(breaker.cap_s * 1000),
        "probes": breaker.probes,
    }


def _breaker(found: Mapping[bytes, bytes], probing: int, now_ms: int) -> BreakerStatus:
    until_ms = read_int(found.get(b"b_until"))
    match found.get(b"b_state"):
        case b"forced":
            state = BreakerState.FORCED_OPEN
        case b"open":
            state = BreakerState.OPEN if until_ms > now_ms else BreakerState.HALF_OPEN
        case b"half":
            state = BreakerState.HALF_OPEN
        case _:
            return BreakerStatus(state=BreakerState.CLOSED)
    is_half = state is BreakerState.HALF_OPEN
    return BreakerStatus(
        state=state,
        since=read_time(found.get(b"b_since")),
        until=read_time(found.get(b"b_until")) if state is BreakerState.OPEN else None,
        failed=read_int(found.get(b"b_failed")),
        attempts=read_int(found.get(b"b_of")),
        succeeded=read_int(found.get(b"b_good")) if is_half else 0,
        probing=probing if is_half else 0,
        reason=found.get(b"b_reason", b"").decode(errors="replace"),
        in_a_row=read_int(found.get(b"b_row")),
    )


def _split(packed: bytes | None, parked: Sequence[bytes | None] | None) -> SplitLimits:
    try:
        flow: Any = msgspec.msgpack.decode(packed) if packed else {}
    except UNDECODABLE:
        flow = {}
    if not isinstance(flow, dict) or not ("tc" in flow or "tb" in flow):
        return SplitLimits()
    return SplitLimits(True, bool(flow.get("c") or flow.get("rb")), sum(read_int(one) for one in parked or ()))


def _limits(blob: bytes | None) -> QueueLimits | None:
    try:
        return None if blob is None else _decode_limits(blob)
    except UNDECODABLE:
        return None
