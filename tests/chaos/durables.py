"""The scenario of durable handlers: steps are taken at least once and never change, and no signal is lost."""

from collections import Counter, defaultdict
from collections.abc import Iterator

import anyio
import anyio.to_thread
import httpx2
from chaos.checker import CHILD_OF
from chaos.evidence import Evidence
from chaos.fleet import NO_ANSWER
from chaos.kills import kills
from chaos.moves import slot_move
from chaos.stage import Stage
from chaos.submitter import Wish
from chaos.topology_keepers import ClusterKeeper

from millstream_contracts import DEFAULT_TENANT, JobState, JobType, Queue

DURABLE = Wish(type="chaos.durable", seconds=(0.0, 0.5))
STEPS = {"first", "second", "third"}
CALLED = JobType("chaos.spread")
PER_S = 5.0
ANSWER_WITHIN_S = 5.0
PAUSE_S = 0.3


async def durables(stage: Stage) -> None:
    """Kill every service while durable handlers take steps, sleep, wait for signals and call other jobs."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_begin_all, stage.apart("durables"))
        await kills(stage)


async def durables_on_cluster(stage: Stage) -> None:
    """Kill every service and move slots while durable handlers and the jobs that they call lie on different nodes."""
    keeper = stage.redis
    assert isinstance(keeper, ClusterKeeper)
    queues = [Queue(DEFAULT_TENANT, JobType(DURABLE.type)), *(Queue(DEFAULT_TENANT, CALLED, at) for at in range(4))]
    names = [stage.broker.keys.of(queue).events for queue in queues]
    nodes = {(await anyio.to_thread.run_sync(keeper.cluster.node_of, name)).port for name in names}
    stage.expect(len(nodes) > 1, "all jobs lie on one node: nothing was shown")
    stage.figures["nodes"] = str(len(nodes))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(slot_move, stage.apart("moves"))
        await durables(stage)


async def _begin_all(stage: Stage) -> None:
    ends_at = anyio.current_time() + stage.seconds
    client = httpx2.AsyncClient(trust_env=False, timeout=ANSWER_WITHIN_S)
    async with client as http, anyio.create_task_group() as tasks:
        while anyio.current_time() < ends_at:
            tasks.start_soon(_begin, stage, http)
            await anyio.sleep(stage.rng.uniform(0.5, 1.5) / PER_S)


async def _begin(stage: Stage, http: httpx2.AsyncClient) -> None:
    """Submit a durable job, and send it its signal before, while or after it waits for that."""
    for job_id in (await stage.submitter.submit(DURABLE)).ids:
        await anyio.sleep(stage.rng.uniform(0.0, 1.5))
        await _signal(stage, http, job_id)


async def _signal(stage: Stage, http: httpx2.AsyncClient, job_id: str) -> None:
    """Send a signal until it is accepted: under one key it is one signal."""
    while True:
        url = stage.any_of("ingest").url("listening")
        try:
            answer = await http.post(
                f"{url}/v1/jobs/{job_id}/signals/go", json=job_id, headers={"Idempotency-Key": f"go {job_id}"}
            )
        except NO_ANSWER:
            pass
        else:
            if answer.status_code == 202:
                return
            stage.expect(answer.status_code == 503, f"a signal to {job_id} was answered {answer.text}")
        await anyio.sleep(PAUSE_S)


def steps_never_change(evidence: Evidence) -> Iterator[str]:
    """Complain when two deliveries have seen different results of a step, and when none has seen any."""
    seen: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for job_id, effects in evidence.effects.items():
        for effect in effects:
            if effect.event == "kept":
                step, _, result = effect.step.partition("=")
                seen[job_id, step].add(result)
    if not seen:
        yield "no step was taken"
    for (job_id, step), results in seen.items():
        if len(results) > 1:
            yield f"{job_id}: step {step} gave {', '.join(sorted(results))}"


def steps_are_taken(evidence: Evidence) -> Iterator[str]:
    """Complain when a step has a result that no run of its function gave."""
    for job_id, effects in evidence.effects.items():
        given = {effect.step for effect in effects if effect.event == "given"}
        for effect in effects:
            if effect.event == "kept" and effect.step not in given:
                yield f"{job_id}: {effect.step} was kept, and given by no run"


def each_call_is_one_job(evidence: Evidence) -> Iterator[str]:
    """Complain of each durable job that succeeded without its steps, or without the one job that it calls."""
    children = Counter(job.key for job in evidence.jobs.values())
    for job in evidence.jobs.values():
        if job.type != DURABLE.type or job.state != JobState.SUCCEEDED:
            continue
        kept = {effect.step.partition("=")[0] for effect in evidence.runs_of(job.id, "kept")}
        if kept != STEPS:
            yield f"{job.id} succeeded with the steps {', '.join(sorted(kept))}"
        if (count := children[CHILD_OF + job.key]) != 1:
            yield f"{job.id} succeeded, and has {count} jobs of its call"


RULES = (steps_never_change, steps_are_taken, each_call_is_one_job)


def describe_durables(evidence: Evidence) -> str:
    """Return how many steps were kept, and how often one ran again."""
    kept = {
        (effect.job, effect.step) for some in evidence.effects.values() for effect in some if effect.event == "kept"
    }
    given = [effect for some in evidence.effects.values() for effect in some if effect.event == "given"]
    return f"{len(kept)}, {len(given) - len(kept)} of them run again"
