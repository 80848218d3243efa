"""Checks what scripts keep true of a queue with limits, beside what `audit` checks of every queue."""

import time
from collections import Counter
from typing import Any

import msgspec
from streams.audit import Snapshot

from millstream_contracts import Queue
from millstream_streams import Broker
from millstream_streams.store.keys import GROUP

MARK = b"~flow"


async def audit_gate(broker: Broker, queue: Queue, snapshot: Snapshot) -> None:
    """Raise AssertionError with each violation in words; `snapshot` is of the same moment."""
    gate = await _read(broker, queue, snapshot)
    if gate is None:
        left = [name for name, ids in snapshot.lanes.items() if ids]
        assert not left, f"the queue has no limits, and jobs wait in the lanes {left}"
        return
    complaints = [*_miscounted(gate, snapshot), *_stranded(gate, snapshot), *_silent(gate, snapshot)]
    assert not complaints, "\n".join(complaints)


class Gate(msgspec.Struct):
    """What Redis holds of the limits of a queue."""

    flow: dict[str, Any]
    is_paused: bool
    slots: dict[str, int]
    held: Counter[str]
    """Entries of the streams by key."""
    length: int
    """Of the streams."""
    undelivered: int
    rings: list[dict[str, float]]
    singles: list[list[str]]
    """The keys that have their turns first, because each has one job, by priority."""
    waiting: dict[str, int]
    rates: dict[str, float]
    parked: list[int]
    tat: float
    mark: int | None
    now_ms: float
    breaker: bytes | None
    breaker_until: float
    probes: int
    held_until: float
    """Up to when a handler holds the queue back, in Unix ms."""
    keys_held: dict[str, float]
    """The same of its keys."""
    quota: int | None
    """The part of the quota of its tenant; None where that has none."""
    strays: set[bytes]
    """Probes that have no entry."""

    def is_full(self, key: str) -> bool:
        """Return whether a key has no slot left."""
        return key != "" and self.slots.get(key, 0) >= self.flow.get("kc", 2**31)

    def has_tokens(self, spent_until: float, every: str, burst: str) -> bool:
        """Return whether a rate lets one more start."""
        if every not in self.flow:
            return True
        step = self.flow[every]
        return (self.now_ms + self.flow[burst] * step - max(spent_until, self.now_ms)) / step >= 1

    def may_start(self, key: str) -> bool:
        """Return whether the limits of a key let one more start."""
        if key == "":
            return True
        has_room = not self.is_full(key) and self.has_tokens(self.rates.get(key, 0), "kr", "krb")
        return has_room and self.keys_held.get(key, 0) <= self.now_ms

    @property
    def breaker_lets_in(self) -> bool:
        """Return whether the circuit breaker lets one more start."""
        breaker = self.flow.get("b")
        if not breaker or self.breaker not in {b"open", b"forced", b"half"}:
            return True
        if self.breaker == b"half":
            return self.probes < breaker["probes"]
        return self.breaker == b"open" and self.breaker_until <= self.now_ms

    @property
    def has_room(self) -> bool:
        """Return whether the limits of the queue let one more start."""
        return self.breaker_lets_in and not self.is_held and self.has_slot and self.has_tokens(self.tat, "r", "rb")

    @property
    def has_slot(self) -> bool:
        """Return whether the limit of the queue and its part of a quota have a slot for one more."""
        return self.length < min(self.flow.get("c", 2**31), 2**31 if self.quota is None else self.quota)

    @property
    def is_held(self) -> bool:
        """Return whether a handler holds the queue back."""
        return self.held_until > self.now_ms

    @property
    def waits_for_a_time(self) -> bool:
        """Return whether time alone lets jobs in, other than that of a breaker; a part of no starts is no such time."""
        is_spent = not self.has_tokens(self.tat, "r", "rb") and self.flow.get("rb") != 0
        return is_spent or bool(self.waiting) or self.is_held


def _miscounted(gate: Gate, snapshot: Snapshot) -> list[str]:
    complaints = []
    if gate.strays:
        complaints.append(f"the probes {gate.strays} have no entry")
    if gate.slots != dict(gate.held):
        complaints.append(f"slots are {gate.slots}, and streams hold {dict(gate.held)}")
    for index, counted in enumerate(gate.parked, start=1):
        found = sum(len(ids) for name, ids in snapshot.lanes.items() if name.startswith(f"{index}:"))
        if counted != found:
            complaints.append(f"{counted} jobs of priority {index} are counted in lanes, and {found} wait there")
    return complaints


def _stranded(gate: Gate, snapshot: Snapshot) -> list[str]:
    """Report lanes that hold jobs and have no turn, though neither their key is full nor their rate is spent."""
    complaints = []
    for name, ids in snapshot.lanes.items():
        index, _, key = name.partition(":")
        singles = gate.singles[int(index) - 1]
        has_turn = key in gate.rings[int(index) - 1] or key in gate.waiting or gate.is_full(key)
        if len(ids) > singles.count(key) and not has_turn:
            complaints.append(f"the lane {name} holds {ids} and has no turn")
        if singles.count(key) > 1:
            complaints.append(f"the key {key} stands {singles.count(key)} times among those that have one job")
    return complaints


def _silent(gate: Gate, snapshot: Snapshot) -> list[str]:
    """Report a queue in which jobs may start, and nothing tells a worker or a dispatcher."""
    names = [name for name, ids in snapshot.lanes.items() if ids]
    may_start = gate.has_room and any(gate.may_start(name.partition(":")[2]) for name in names)
    # What a blocking read has taken will be claimed, or comes back when its lease is over.
    was_read = any(snapshot.jobs[job_id]["state"] == b"queued" for ids in snapshot.ready for job_id in ids.values())
    is_woken = was_read or gate.mark is not None
    if gate.waiting and gate.mark is None:
        return [f"the keys {sorted(gate.waiting)} wait for their rate, and nothing looks at them then"]
    if may_start and not gate.is_paused and not is_woken:
        return [f"jobs of the lanes {names} may start, and nothing lies ready"]
    must_wake = bool(names) and not gate.is_paused and gate.waits_for_a_time
    if must_wake and gate.mark is None and not was_read and gate.has_slot:
        return ["rates are spent, or holds are on, and nothing wakes a dispatcher when they are over"]
    return []


async def _read(broker: Broker, queue: Queue, snapshot: Snapshot) -> Gate | None:
    keys, client = broker.keys.of(queue), broker.client
    base = keys.job_prefix.removesuffix("job:")
    packed, paused, held_until, part = await client.hmget(keys.settings, "!flow", "paused", "held_until", "!quota")
    if packed is None:
        assert part is None, f"the queue has the part {part!r} of a quota, and no gate"
        return None
    streams, pipeline = (
        [stream for stream in keys.ready if stream in snapshot.names],
        client.pipeline(transaction=False),
    )
    for stream in streams:
        pipeline.xrange(stream)
        pipeline.xinfo_groups(stream)
    pipeline.hgetall(f"{base}flow")
    pipeline.hgetall(f"{base}slots")
    pipeline.zscore(keys.due, MARK)
    pipeline.smembers(keys.probes)
    for zset in (f"{base}waiting", f"{base}rates", keys.held, *(f"{base}ring:{index}" for index in (1, 2, 3))):
        pipeline.zrange(zset, 0, -1, withscores=True)
    found = await pipeline.execute()
    of_streams, (state, slots, mark, members, *zsets) = found[: 2 * len(streams)], found[2 * len(streams) :]
    waiting, rates, keys_held, *rings = ({member.decode(): score for member, score in one} for one in zsets)
    entries = [fields for stream in of_streams[::2] for _, fields in stream]
    groups = [group for one in of_streams[1::2] for group in one if group["name"] == GROUP.encode()]
    probes = set(members)
    return Gate(
        flow=msgspec.msgpack.decode(packed),
        is_paused=paused == b"1",
        slots={key.decode(): int(count) for key, count in slots.items()},
        held=Counter(fields[b"k"].decode() for fields in entries if fields.get(b"k")),
        length=len(entries),
        undelivered=len(entries) - sum(group["pending"] for group in groups),
        rings=rings,
        singles=[[key for _, key in one] for one in snapshot.singles],
        waiting={key: int(at) for key, at in waiting.items()},
        rates=rates,
        parked=[int(state.get(f"parked{index}".encode(), 0)) for index in (1, 2, 3)],
        tat=float(state.get(b"tat", 0)),
        mark=None if mark is None else int(mark),
        now_ms=time.time() * 1000,
        breaker=state.get(b"b_state"),
        breaker_until=float(state.get(b"b_until", 0)),
        probes=len(probes),
        held_until=float(held_until or 0),
        keys_held=keys_held,
        quota=None if part is None else int(part.partition(b" ")[0]),
        strays=probes - {fields[b"id"] for fields in entries},
    )
