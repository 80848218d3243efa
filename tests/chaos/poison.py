"""The scenario of jobs that kill their worker."""

from collections.abc import Iterator

import anyio
from chaos.evidence import Evidence
from chaos.fleet import Timing
from chaos.gatherer import unsettled
from chaos.stage import Stage
from chaos.submitter import Wish
from waiting import wait_until

KINDS = ("chaos.segfault", "chaos.oom", "chaos.hog", "chaos.endless")
BURIED_WITHIN_S = 90.0
TIMING = Timing(max_crashes=3, more={"STALLED_LOOP_S": "2"})
NEIGHBOURS = (
    Wish(type="chaos.quick", weight=6),
    Wish(type="chaos.slow", weight=4, seconds=(0.2, 2.0)),
    Wish(type="chaos.thread", seconds=(0.1, 1.0)),
)


async def poison(stage: Stage) -> None:
    """Segfault, OOM, endless loop, blocked event loop: dead for the right reason, neighbours unharmed."""
    await anyio.sleep(1.0)
    for kind in KINDS:
        await stage.submitter.submit(Wish(type=kind))
        await anyio.sleep(stage.seconds / len(KINDS))

    async def all_buried() -> bool:
        depths = [
            await stage.broker.store.measure(queue)
            for queue in await stage.broker.registry.queues()
            if queue.type in KINDS
        ]
        return sum(depth.dead for depth in depths) == len(KINDS)

    try:
        await wait_until(all_buried, "every poisonous job is buried", BURIED_WITHIN_S)
    except AssertionError as error:
        stage.expect(None, f"{error}; {'; '.join(await unsettled(stage.broker))}")
    stage.figures["workers lost"] = str(len(stage.kubelet.ended))
    stage.figures["killed by liveness"] = ", ".join(stage.kubelet.killed) or "none"


def neighbours_were_there(evidence: Evidence) -> Iterator[str]:
    """Complain when no job beside a poisonous one was charged, because then none ran beside it."""
    if not any(job.crashes and job.type not in KINDS for job in evidence.jobs.values()):
        yield "no other job ever ran beside a poisonous one"
