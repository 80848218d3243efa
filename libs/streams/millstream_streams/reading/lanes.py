"""Reads which keys of a queue with limits have jobs, and where a job stands among them, as it was a moment ago."""

from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import quote, unquote

import msgspec
from msgspec import Struct

from millstream_contracts import UNDECODABLE, JobId, Priority, Queue
from millstream_streams.connection.connections import Client
from millstream_streams.connection.faults import with_retries
from millstream_streams.connection.replies import ask_many, fields_of
from millstream_streams.store.keys import PRIORITIES, Keys, QueueKeys
from millstream_streams.store.specs import read_int

MAX_NAMES = 10_000
"""Of the turns of one priority, so many keys are looked at."""
MAX_SEARCHED = 1_000
"""How far a lane is searched for a job."""
MAX_RUNNING = 1_000
"""Entries of a stream among which those of a key are looked for."""


class LaneKey(Struct, frozen=True):
    """A key with jobs in a queue with limits."""

    key: str
    """Empty for the jobs without one."""
    parked: int
    """Jobs that wait; in a lane of more than a thousand, a few of them may have left it."""
    in_flight: int
    """Jobs that run, or that a worker is about to be given."""
    weight: float = 1.0
    free_at_ms: int | None = None
    """When its rate lets one more start; None where it does now."""
    held_until_ms: int | None = None
    """Up to when a handler holds it back; None when none does."""


class Place(Struct, frozen=True):
    """Where a parked job stands."""

    key: LaneKey
    flow: dict[str, Any]
    """The limits in force, in the form of scripts/_gate.lua."""
    length: int
    """Of the streams: jobs of all keys in flight."""
    free_at_ms: int | None
    """When the rate of the queue lets one more start; None where it does now."""
    turn: int | None
    """From 1, among the keys that may start; None for one that may not."""
    turns: int
    position: int | None
    """From 1, in its lane; None where it is farther behind than is looked."""
    running: list[JobId]
    """Jobs of its key in flight."""


class LaneReader:
    """Reads lanes. Every method may raise StoreUnavailableError."""

    def __init__(self, client: Client, keys: Keys, now_ms: Callable[[], int], *, patience_s: float = 5.0) -> None:
        """Take `now_ms`, which gives Unix ms by the clock of Redis."""
        self._client = client
        self._keys = keys
        self._now_ms = now_ms
        self._patience_s = patience_s

    async def keys(self, queue: Queue) -> list[LaneKey]:
        """Return the keys of a queue that have jobs parked or in flight, or are held back, in no order.

        There are none without limits.
        """
        return await with_retries(lambda _: self._read_keys(queue), self._patience_s, lambda: None)

    async def place(self, queue: Queue, job_id: JobId, priority: Priority, key: str) -> Place | None:
        """Return where a job stands that is parked; None for one that is not."""
        return await with_retries(
            lambda _: self._read_place(queue, job_id, priority, key), self._patience_s, lambda: None
        )

    async def _read_keys(self, queue: Queue) -> list[LaneKey]:
        keys = self._keys.of(queue)
        flow, *_ = await self._flow(keys)
        if flow is None:
            return []
        names, singles = set[str](), list[str]()
        for priority in PRIORITIES:
            alone = await read_singles(self._client, keys, priority)
            singles += alone
            names.update(await lane_names(self._client, keys, priority), alone)
        held = await self._held(keys)
        listed = sorted(names | set(held))
        counts = [("LLEN", keys.lane_of(priority, name)) for name in listed for priority in PRIORITIES]
        parked = await ask_many(self._client, counts) if counts else []
        slots, rates, now_ms = await self._state(keys, listed)
        lengths = await ask_many(self._client, [("XLEN", stream) for stream in keys.ready])
        slots[""] = max(0, _sum(lengths) - sum(slots.values()))
        found = [
            _lane_key(
                name,
                _sum(parked[3 * at : 3 * at + 3]) + singles.count(name),
                slots=slots,
                rates=rates,
                held=held,
                flow=flow,
                now_ms=now_ms,
            )
            for at, name in enumerate(listed)
        ]
        return [one for one in found if one.parked or one.in_flight or one.held_until_ms]

    async def _read_place(self, queue: Queue, job_id: JobId, priority: Priority, key: str) -> Place | None:
        keys, name = self._keys.of(queue), quote(key, safe="")
        flow, entry, tat = await self._flow(keys, job_id)
        if flow is None or entry is not None:
            return None
        ring, lane = keys.ring_of(priority), keys.lane_of(priority, name)
        score, turns, at, parked, *lengths = await ask_many(
            self._client,
            [
                ("ZSCORE", ring, name),
                ("ZCARD", ring),
                ("LPOS", lane, job_id, "MAXLEN", MAX_SEARCHED),
                ("LLEN", lane),
                *(("XLEN", stream) for stream in keys.ready),
            ],
        )
        slots, rates, now_ms = await self._state(keys, [name])
        held = await self._held(keys)
        singles = await read_singles(self._client, keys, priority)
        is_single = singles.get(name) == job_id
        before = list(singles).index(name) if is_single else None
        if score is not None and not is_single:
            [lanes_before] = await ask_many(self._client, [("ZCOUNT", ring, "-inf", b"(" + _bytes(score))])
            before = len(singles) + int(lanes_before)
        ahead = 0 if is_single else int(name in singles)
        count = int(parked or 0) + int(name in singles)
        return Place(
            key=_lane_key(name, count, slots=slots, rates=rates, held=held, flow=flow, now_ms=now_ms),
            flow=flow,
            length=_sum(lengths),
            free_at_ms=_free_at(tat, flow.get("r"), flow.get("rb"), now_ms),
            turn=None if before is None else before + 1,
            turns=int(turns or 0) + len(singles),
            position=1 if is_single else None if at is None else int(at) + 1 + ahead,
            running=await self._running(keys, name) if name and slots.get(name) else [],
        )

    async def _flow(self, keys: QueueKeys, job_id: str = "") -> tuple[dict[str, Any] | None, bytes | None, float]:
        packed, entry, tat = await ask_many(
            self._client,
            [
                ("HGET", keys.settings, "!flow"),
                ("HGET", keys.job(job_id), "entry"),
                ("HGET", keys.flow, "tat"),
            ],
        )
        try:
            flow = msgspec.msgpack.decode(packed, type=dict[str, Any]) if packed else None
        except UNDECODABLE:
            flow = None
        return flow, entry, float(tat or 0)

    async def _state(self, keys: QueueKeys, names: list[str]) -> tuple[dict[str, int], dict[str, float], int]:
        asked = [("HMGET", keys.slots, *names), ("ZMSCORE", keys.rates, *names)]
        held, spent = await ask_many(self._client, asked)
        slots = {name: read_int(count) for name, count in zip(names, held or (), strict=False)}
        rates = {name: float(until) for name, until in zip(names, spent or (), strict=False) if until is not None}
        return slots, rates, self._now_ms()

    async def _held(self, keys: QueueKeys) -> dict[str, int]:
        """Return the keys that handlers hold back, :data:`MAX_NAMES` at most, with the Unix ms up to which they do."""
        asked = ("ZRANGEBYSCORE", keys.held, f"({self._now_ms()}", "+inf", "WITHSCORES", "LIMIT", 0, MAX_NAMES)
        [found] = await ask_many(self._client, [asked])
        flat = list(found or ())
        return {flat[at].decode(errors="replace"): round(float(flat[at + 1])) for at in range(0, len(flat), 2)}

    async def _running(self, keys: QueueKeys, name: str) -> list[JobId]:
        asked = [("XRANGE", stream, "-", "+", "COUNT", MAX_RUNNING) for stream in keys.ready]
        ids = []
        for entries in await ask_many(self._client, asked):
            for _, fields in entries or ():
                found = fields_of(fields)
                if found.get(b"k") == name.encode() and b"id" in found:
                    ids.append(JobId(found[b"id"].decode(errors="replace")))
        return ids


async def read_singles(client: Client, keys: QueueKeys, priority: Priority) -> dict[str, str]:
    """Return the keys, percent-encoded, that share a list because each has one job there, with its id, in their order.

    They have their turns before all others of the priority. Raises: redis.RedisError.
    """
    [found] = await ask_many(client, [("LRANGE", keys.singles_of(priority), 0, MAX_NAMES - 1)])
    pairs = (raw.decode(errors="replace").partition(" ") for raw in found or ())
    return {name: job_id for job_id, _, name in pairs}


async def lane_names(client: Client, keys: QueueKeys, priority: Priority) -> list[str]:
    """Return the keys of a queue that may have lanes of a priority, percent-encoded and sorted, '' for none first.

    They are those that have a turn, that are full, or whose rate is spent. Raises: redis.RedisError.
    """
    turns, slots, waiting = await ask_many(
        client,
        [
            ("ZRANGE", keys.ring_of(priority), 0, MAX_NAMES - 1),
            ("HKEYS", keys.slots),
            ("ZRANGE", keys.waiting, 0, MAX_NAMES - 1),
        ],
    )
    found = {raw.decode(errors="replace") for raw in (*(turns or ()), *(slots or ()), *(waiting or ()))}
    return sorted({"", *found})


def _lane_key(
    name: str,
    parked: int,
    *,
    slots: dict[str, int],
    rates: dict[str, float],
    held: dict[str, int],
    flow: dict[str, Any],
    now_ms: int,
) -> LaneKey:
    free_at_ms = _free_at(rates.get(name, 0.0), flow.get("kr"), flow.get("krb"), now_ms) if name else None
    weight = (flow.get("w") or {}).get(name, 1.0)
    return LaneKey(unquote(name), parked, slots.get(name, 0), float(weight), free_at_ms, held.get(name))


def _free_at(spent_until: float, every: float | None, burst: float | None, now_ms: int) -> int | None:
    """Return when a rate lets one more start, as `tokens` of scripts/_rates.lua does; None where it does now."""
    if not every or not burst:
        return None
    at = max(spent_until, now_ms) + every - burst * every
    return round(at) if at > now_ms else None


def _sum(counts: Sequence[Any]) -> int:
    return sum(int(count or 0) for count in counts)


def _bytes(score: Any) -> bytes:
    return score if isinstance(score, bytes) else repr(float(score)).encode()
