"""The scenario of limits: no more jobs run at once than limits say, of all and of a key, whatever is killed."""

from collections.abc import Iterable, Iterator

from chaos.effects import Effect
from chaos.evidence import Evidence
from chaos.kills import kills
from chaos.stage import Stage
from chaos.submitter import EVERYDAY, Wish, key_of
from chaos.task import SPLIT_PARTITIONS

from millstream_contracts import DEFAULT_TENANT, JobType, KeyLimits, Queue, QueueLimits

LIMITED = Queue(DEFAULT_TENANT, JobType("chaos.slow"))
SPLIT = [Queue(DEFAULT_TENANT, JobType("chaos.split"), partition) for partition in range(SPLIT_PARTITIONS)]
AT_ONCE = 3
AT_ONCE_OF_SPLIT = SPLIT_PARTITIONS
"""The least that can be split, so that parts have to move."""
KEYS = 4
OF_A_KEY = 1
_LIMITS = QueueLimits(concurrency=AT_ONCE, per_key=KeyLimits(concurrency=OF_A_KEY), weights={"customer 1": 3.0})
MIX = (
    Wish(type=LIMITED.type, weight=60, seconds=(0.1, 0.8), keys=KEYS),
    Wish(type=SPLIT[0].type, weight=30, seconds=(0.1, 0.8), keys=2),
    Wish(type="chaos.told", weight=8, times=(1, 2), keys=2),
    *(wish for wish in EVERYDAY if wish.type not in {LIMITED.type, "chaos.parent"}),
)


async def limits(stage: Stage) -> None:
    """Kill every service beside a limit: no more jobs run at once than it says, and none waits for ever."""
    await set_limit(stage)
    await kills(stage)


async def set_limit(stage: Stage) -> None:
    """Limit one type, and each of its keys, and one of several partitions, between which the limit is split."""
    await stage.broker.registry.add_queues([LIMITED, *SPLIT])
    await stage.broker.settings.limit(LIMITED, _LIMITS)
    for queue in SPLIT:
        await stage.broker.settings.limit(queue, QueueLimits(concurrency=AT_ONCE_OF_SPLIT), is_split=True)
    await stage.broker.budgets.deal(SPLIT)


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
    return most_running(effects for job_id, effects in evidence.effects.items() if job_id.startswith(f"{job_type}_"))


def most_of_keys(evidence: Evidence) -> dict[str, int]:
    """Return the same of the jobs of each key."""
    jobs: dict[str, list[str]] = {f"customer {number}": [] for number in range(KEYS)}
    for entry in evidence.ledger.entries:
        if entry.type == LIMITED.type:
            jobs[key_of(entry.key, KEYS)] += entry.ids
    return {key: most_running(evidence.effects.get(job_id, []) for job_id in ids) for key, ids in jobs.items()}


def most_running(found: Iterable[list[Effect]]) -> int:
    """Return how many of some jobs ran at once at most, by the effects of each."""
    moments = [moment for effects in found for moment in _moments(effects)]
    # What ends in a millisecond makes room in it.
    running = most = 0
    for _, change in sorted(moments):
        running += change
        most = max(most, running)
    return most


def _moments(effects: list[Effect]) -> Iterator[tuple[int, int]]:
    """Yield when deliveries began and ended; those of a killed worker, of which the end is not known, are left out."""
    done = {effect.fence: effect.at_ms for effect in effects if effect.event == "done"}
    for effect in effects:
        if effect.event == "started" and effect.fence in done:
            yield effect.at_ms, 1
            yield done[effect.fence], -1
