"""The scenario of batches: each callback runs once, after all members, whichever processes are killed."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import suppress

import anyio
import msgspec
from chaos.evidence import Evidence
from chaos.kills import kills
from chaos.stage import Stage
from msgspec import Struct, field
from msgspec.structs import replace
from waiting import wait_until

from millstream_contracts import (
    DEFAULT_TENANT,
    BatchEvent,
    BatchId,
    BatchState,
    JobType,
    MemberState,
    Queue,
    Submission,
    new_job_id,
)
from millstream_streams import NewBatch, NewCallback, NewJob, PromiseCode, StoreError, assemble

PACK = "pack "
"""How the keys of members and callbacks begin: then come the number of the batch, and the member or the event."""

PACKS_PER_S = 3.0
WITHIN_S = 90.0
LEFT_OUT = 0.1
"""Share of members that are promised by a submitter that dies before it stores their jobs."""
LONG_MS = 3_600_000
SLOW = Queue(DEFAULT_TENANT, JobType("chaos.slow"))
QUEUES = (SLOW, *(Queue(DEFAULT_TENANT, JobType(name)) for name in ("chaos.quick", "chaos.flaky")))
CALLED = (BatchEvent.SUCCESS, BatchEvent.COMPLETE)

_encode = msgspec.msgpack.encode


async def batches(stage: Stage) -> None:
    """Kill every service while batches run: each callback runs once and after all members, and all succeed."""
    made: list[BatchId] = []
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_submitted, stage.apart("packs"), made)
        await kills(stage)
    await _ended(stage, made)
    found = await stage.broker.batches.read(DEFAULT_TENANT, made)
    stage.expect(len(found) == len(made), f"{len(made) - len(found)} batches are nowhere")
    for one in found.values():
        stage.expect(one.state is BatchState.SUCCEEDED, f"{one.id} is {one.state}: {one.counts}")
        stage.expect(one.fired == set(CALLED), f"{one.id} has fired {sorted(one.fired)}")
    members = sum(one.counts.get(MemberState.SUCCEEDED, 0) for one in found.values())
    stage.figures["batches"] = f"{len(found)}, with {members} members"


class Pack(Struct):
    """A batch as its jobs have left effects of it."""

    done: list[int] = field(default_factory=list)
    """When members ended for the first time."""
    began: defaultdict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    """When first deliveries of callbacks began, by event."""


def each_callback_ran_once_and_after_all_members(evidence: Evidence) -> Iterator[str]:
    """Complain of a callback that did not run, ran in two lives, or began before a member had ended."""
    packs = _packs(evidence)
    if not packs:
        yield "no batch ran: nothing was shown"
    for number, pack in packs.items():
        for event in CALLED:
            began = pack.began.get(event.value, [])
            if len(began) != 1:
                yield f"{event} of batch {number} had {len(began)} lives"
            elif pack.done and min(began) < max(pack.done):
                yield f"{event} of batch {number} began before all members had ended"


def _packs(evidence: Evidence) -> dict[str, Pack]:
    """Return all batches of which there are effects, by their numbers."""
    found: defaultdict[str, Pack] = defaultdict(Pack)
    for effects in evidence.effects.values():
        ours = [effect for effect in effects if effect.key.startswith(PACK)]
        if not ours:
            continue
        number, name = ours[0].key.removeprefix(PACK).split(" ")
        done = [effect.at_ms for effect in ours if effect.event == "done"]
        if name in set(CALLED):
            # A worker that was killed leaves a delivery without a commit: the next one is of the same life.
            found[number].began[name] += [one.at_ms for one in ours if (one.event, one.fence) == ("started", 1)]
        elif done:
            found[number].done.append(min(done))
    return found


async def _submitted(stage: Stage, made: list[BatchId]) -> None:
    ends_at = anyio.current_time() + stage.seconds
    while anyio.current_time() < ends_at:
        # One that could not be stored may be there or not: without its members it says nothing.
        with suppress(StoreError):
            seconds = [0.1] * stage.rng.randint(0, 12)
            new = _batch(stage, len(made))
            await stage.broker.batches.create(DEFAULT_TENANT, new)
            made.append(new.id)
            await _add(stage, new.id, len(made) - 1, seconds)
        if made:
            await _close(stage, made[-1])
        await anyio.sleep(stage.rng.uniform(0.5, 1.5) / PACKS_PER_S)


async def run_one(stage: Stage, seconds: Sequence[float]) -> None:
    """Run one batch whose members take so long, and return once it has ended."""
    new = _batch(stage, 0)
    await stage.broker.batches.create(DEFAULT_TENANT, new)
    await _add(stage, new.id, 0, seconds, left_out=0.0, queues=(SLOW,))
    await _close(stage, new.id)
    await _ended(stage, [new.id])


async def _ended(stage: Stage, made: Sequence[BatchId]) -> None:
    """Return once all batches have ended, with their callbacks."""

    async def have_ended() -> bool:
        try:
            found = await stage.broker.batches.read(DEFAULT_TENANT, made)
        except StoreError:
            return False
        return all(one.state.is_terminal and not one.starting | one.unsettled for one in found.values())

    await wait_until(have_ended, "all batches have ended", WITHIN_S)


async def _add(
    stage: Stage,
    batch: BatchId,
    number: int,
    seconds: Sequence[float],
    *,
    left_out: float = LEFT_OUT,
    queues: Sequence[Queue] = QUEUES,
) -> None:
    """Promise members, and store the jobs of most."""
    jobs = [(queue, _member(batch, number, at, queue, one)) for at, one in enumerate(seconds)
            for queue in (stage.rng.choice(queues),)]  # fmt: skip
    promised = await stage.broker.batches.promise(DEFAULT_TENANT, batch, [job.id for _, job in jobs])
    stage.expect(promised.code is PromiseCode.DONE, f"members of {batch} are not taken: {promised.code}")
    stored = [(queue, job) for queue, job in jobs if stage.rng.random() >= left_out]
    await stage.broker.registry.add_queues({queue for queue, _ in stored})
    for queue, job in stored:
        await stage.broker.store.enqueue(queue, [job])
    # Now and then the confirmation is lost: then a dispatcher finds the jobs.
    if stage.rng.random() >= LEFT_OUT:
        await stage.broker.batches.confirm(DEFAULT_TENANT, batch, stored=[job.id for _, job in stored])


async def _close(stage: Stage, batch: BatchId) -> None:
    while True:
        with suppress(StoreError):
            await stage.broker.batches.close(DEFAULT_TENANT, batch)
            return
        await anyio.sleep(0.1)


def _batch(stage: Stage, number: int) -> NewBatch:
    return NewBatch(
        id=stage.broker.batches.new_id(DEFAULT_TENANT),
        name="chaos",
        callbacks={event: _callback(number, event) for event in CALLED},
        expires_at_ms=stage.broker.clock.now_ms() + LONG_MS,
        retention_ms=LONG_MS,
    )


def _callback(number: int, event: BatchEvent) -> NewCallback:
    queue = QUEUES[1]
    return NewCallback(queue, new_job_id(queue), _encode(_submission(queue, f"{PACK}{number} {event.value}", 0.0)))


def _member(batch: BatchId, number: int, at: int, queue: Queue, seconds: float) -> NewJob:
    submission = _submission(queue, f"{PACK}{number} m{at}", seconds)
    return replace(assemble(new_job_id(queue), submission, submission.payload), batch=batch)


def _submission(queue: Queue, key: str, seconds: float) -> Submission:
    payload = msgspec.Raw(_encode({"key": key, "seconds": seconds, "times": 1}))
    return Submission(type=queue.type, payload=payload)
