"""The scenario of limits: no more jobs run at once than limits say, of all and of a key, whatever is killed."""

from collections.abc import Callable, Iterable, Iterator, Sequence

import anyio
from chaos.breakers import BREAKABLE, break_and_mend, set_breaker
from chaos.effects import Effect
from chaos.evidence import Evidence
from chaos.journal import Fault
from chaos.kills import kills_beside_redis
from chaos.moves import failover
from chaos.stage import Stage
from chaos.standstill import watching
from chaos.submitter import EVERYDAY, Wish, key_of
from chaos.task import GATHERED, SPLIT_PARTITIONS

from millstream_contracts import DEFAULT_TENANT, JobType, KeyLimits, Queue, QueueLimits

LIMITED = Queue(DEFAULT_TENANT, JobType("chaos.slow"))
SPLIT = [Queue(DEFAULT_TENANT, JobType("chaos.split"), partition) for partition in range(SPLIT_PARTITIONS)]
PACKED = Queue(DEFAULT_TENANT, JobType("chaos.gathered"))
AT_ONCE = 3
AT_ONCE_OF_SPLIT = SPLIT_PARTITIONS
"""The least that can be split, so that parts have to move."""
AT_ONCE_OF_PACKED = GATHERED + 1
"""So that no two full calls run side by side."""
KEYS = 4
OF_A_KEY = 1
_LIMITS = QueueLimits(concurrency=AT_ONCE, per_key=KeyLimits(concurrency=OF_A_KEY), weights={"customer 1": 3.0})
MIX = (
    Wish(type=LIMITED.type, weight=60, seconds=(0.1, 0.8), keys=KEYS),
    Wish(type=SPLIT[0].type, weight=30, seconds=(0.1, 0.8), keys=2),
    Wish(type=PACKED.type, weight=40, seconds=(0.1, 0.5), times=(0, 1), keys=2),
    Wish(type="chaos.told", weight=8, times=(1, 2), keys=2),
    *(wish for wish in EVERYDAY if wish.type not in {LIMITED.type, "chaos.parent"}),
)
READ_WITHIN_S = 2.0
_FAILOVERS = {"primary killed", "SENTINEL FAILOVER"}


async def limits(stage: Stage) -> None:
    """Kill every service, workers with what they have just read, and Redis beside limits, unique jobs and a breaker."""
    await set_limit(stage)
    await set_breaker(stage)
    async with watching(stage, [LIMITED, *SPLIT, PACKED, BREAKABLE]), anyio.create_task_group() as faults:
        faults.start_soon(kills_beside_redis, stage.apart("kills"))
        faults.start_soon(_kill_with_reads, stage.apart("reads"))
        await break_and_mend(stage)


async def limits_failover(stage: Stage) -> None:
    """Kill the primary, or let Sentinel swap it, beside limits: places are counted right, and no job waits for ever."""
    await set_limit(stage)
    async with watching(stage, [LIMITED, *SPLIT, PACKED]):
        await failover(stage)


async def set_limit(stage: Stage) -> None:
    """Limit two types, the keys of one of them, and one of several partitions, between which the limit is split."""
    await stage.broker.registry.add_queues([LIMITED, *SPLIT, PACKED])
    await stage.broker.settings.limit(LIMITED, _LIMITS)
    await stage.broker.settings.limit(PACKED, QueueLimits(concurrency=AT_ONCE_OF_PACKED))
    for queue in SPLIT:
        await stage.broker.settings.limit(queue, QueueLimits(concurrency=AT_ONCE_OF_SPLIT), is_split=True)
    await stage.broker.budgets.deal(SPLIT)


async def _kill_with_reads(stage: Stage) -> None:
    """Kill workers between a blocking read and the claim of what it has brought."""
    killed = 0
    with anyio.move_on_after(stage.seconds):
        while True:
            await anyio.sleep(stage.rng.uniform(0.5, 2.0))
            killed += await stage.kill_with_a_read(stage.any_of("worker"), READ_WITHIN_S)
            stage.figures["killed with a read"] = f"{killed} workers"


def no_more_run_at_once_than_the_limit_says(evidence: Evidence) -> Iterator[str]:
    """Complain when more jobs of the type ran at once, or never as many, because then nothing was shown."""
    most = most_at_once(evidence)
    if most > AT_ONCE:
        yield f"{most} jobs of {LIMITED.type} ran at once, and the limit is {AT_ONCE}"
    elif most < AT_ONCE:
        yield f"never more than {most} jobs of {LIMITED.type} ran at once: nothing was shown"


def no_more_of_a_split_limit_run_at_once(evidence: Evidence) -> Iterator[str]:
    """Complain when parts added up to more than their limit, or when no two jobs ran: then nothing was shown."""
    most = most_of_split(evidence)
    if most > AT_ONCE_OF_SPLIT:
        yield f"{most} jobs of {SPLIT[0].type} ran at once, and the limit of all partitions is {AT_ONCE_OF_SPLIT}"
    elif most < 2:
        yield f"never more than {most} jobs of {SPLIT[0].type} ran at once: nothing was shown"


def no_more_of_gathered_jobs_run_at_once(evidence: Evidence) -> Iterator[str]:
    """Complain when more jobs of the batch handler ran at once, or no two, because then nothing was shown."""
    most = _most_of_type(evidence, PACKED.type)
    if most > AT_ONCE_OF_PACKED:
        yield f"{most} jobs of {PACKED.type} ran at once, and the limit is {AT_ONCE_OF_PACKED}"
    elif most < 2:
        yield f"never more than {most} jobs of {PACKED.type} ran at once: nothing was shown"


def no_more_of_a_key_run_at_once_than_its_limit_says(evidence: Evidence) -> Iterator[str]:
    """Complain when more jobs of a key ran at once, or of a key none, because then nothing was shown."""
    for key, most in most_of_keys(evidence).items():
        if most > OF_A_KEY:
            yield f"{most} jobs of {key} ran at once, and the limit is {OF_A_KEY}"
        elif not most:
            yield f"no job of {key} ran: nothing was shown"


def most_at_once(evidence: Evidence) -> int:
    """Return how many jobs of the limited type ran at once at most, as their handlers saw it."""
    return _most_of_type(evidence, LIMITED.type)


def most_of_split(evidence: Evidence) -> int:
    """Return the same of the type whose limit is split."""
    return _most_of_type(evidence, SPLIT[0].type)


def _most_of_type(evidence: Evidence, job_type: JobType) -> int:
    theirs = (effects for job_id, effects in evidence.effects.items() if job_id.startswith(f"{job_type}_"))
    return most_running(theirs, _failovers(evidence))


def most_of_keys(evidence: Evidence) -> dict[str, int]:
    """Return the same of the jobs of each key."""
    jobs: dict[str, list[str]] = {f"customer {number}": [] for number in range(KEYS)}
    for entry in evidence.ledger.entries:
        if entry.type == LIMITED.type:
            jobs[key_of(entry.key, KEYS)] += entry.ids
    lost = _failovers(evidence)
    return {key: most_running((evidence.effects.get(job_id, []) for job_id in ids), lost) for key, ids in jobs.items()}


def _failovers(evidence: Evidence) -> list[Fault]:
    """Return the faults with which Redis may have lost that a job had started, and its place with it (promise 6)."""
    return [fault for fault in evidence.faults if fault.kind in _FAILOVERS]


def most_running(found: Iterable[list[Effect]], failovers: Sequence[Fault] = ()) -> int:
    """Return how many of some jobs ran at once at most, by the effects of each."""
    moments = [moment for effects in found for moment in _moments(effects, failovers)]
    # What ends in a millisecond makes room in it.
    running = most = 0
    for _, change in sorted(moments):
        running += change
        most = max(most, running)
    return most


def _moments(effects: list[Effect], failovers: Sequence[Fault]) -> Iterator[tuple[int, int]]:
    """Yield when deliveries began and ended.

    Left out are those of a killed worker, of which the end is not known, and those that a failover overtook.
    """
    done = {effect.fence: effect.at_ms for effect in effects if effect.event == "done"}
    for effect in effects:
        if effect.event != "started" or effect.fence not in done:
            continue
        begun_ms, ended_ms = effect.at_ms, done[effect.fence]
        if not any(fault.overlaps(begun_ms, ended_ms) for fault in failovers):
            yield begun_ms, 1
            yield ended_ms, -1


RULES = (
    no_more_run_at_once_than_the_limit_says,
    no_more_of_a_key_run_at_once_than_its_limit_says,
    no_more_of_a_split_limit_run_at_once,
    no_more_of_gathered_jobs_run_at_once,
)
DESCRIBE: dict[str, Callable[[Evidence], str]] = {
    "most of the split limit": lambda evidence: str(most_of_split(evidence)),
    "most at once": lambda evidence: str(most_at_once(evidence)),
    "most of a key": lambda evidence: str(max(most_of_keys(evidence).values())),
}
