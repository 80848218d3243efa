"""The scenario of handlers that misbehave in every way, in two releases side by side."""

from collections.abc import Iterator
from pathlib import Path

import anyio
from chaos.evidence import Evidence
from chaos.fleet import Timing
from chaos.misdeeds import MISDEEDS, RELEASE
from chaos.service import Service
from chaos.stage import Stage
from chaos.submitter import Wish
from waiting import wait_until

TIMING = Timing(grace_s=0.5, more={"CLEANUP_S": "2"})
RATE_PER_S = 40.0
ROLL_EVERY_S = 3.0

OLD_FORM = Wish(type="chaos.evolving", weight=6, more={"color": "red"})
NEW_FORM = Wish(type="chaos.evolving", weight=6, more={"colour": "red"})

MIX = (
    Wish(type="chaos.misdeed", weight=10, times=(0, len(MISDEEDS) - 1)),
    Wish(type="chaos.misthread", weight=5, times=(0, len(MISDEEDS) - 1)),
    Wish(type="chaos.tidy", weight=3),
    Wish(type="chaos.litter", weight=1),
    Wish(type="chaos.quick", weight=8),
    Wish(type="chaos.slow", weight=5, seconds=(0.2, 2.0)),
    OLD_FORM,
    NEW_FORM,
)


async def hostile(stage: Stage) -> None:
    """Handlers do all that handlers can do while releases come and go: workers and neighbours do not notice."""
    old, changing, new = stage.fleet.of("worker")
    await _release(stage, "new", new)
    stop = anyio.Event()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(stage.submitter.load, RATE_PER_S, MIX, stop)
        with anyio.move_on_after(stage.seconds):
            while True:
                for release in ("new", "old"):
                    await anyio.sleep(ROLL_EVERY_S)
                    await _release(stage, release, changing)
        stop.set()
    ended = [f"{name} ended with {code}" for name, _, code in stage.kubelet.ended if code]
    stage.expect(not ended, f"handlers ended workers: {', '.join(ended)}")
    stage.expect(not stage.kubelet.killed, f"handlers hung workers: {', '.join(stage.kubelet.killed)}")
    stage.expect(old.pids[1:] == [], "the worker of the older release did not stay")


async def _release(stage: Stage, release: str, worker: Service) -> None:
    """Replace a worker by one of a release, as a deployment does."""
    worker.environ = {RELEASE: release}
    before = worker.pid
    await stage.terminate(worker)
    await wait_until(lambda: worker.pid != before, f"{worker.name} has left")
    await stage.fleet.wait_one_ready(worker)


def nothing_is_charged(evidence: Evidence) -> Iterator[str]:
    """Complain of each job that was charged a crash, because no handler may end its worker."""
    for job in evidence.jobs.values():
        if job.crashes:
            yield f"{job.id} was charged {job.crashes} crashes"


def no_job_is_stained(evidence: Evidence) -> Iterator[str]:
    """Complain of each job that found something that another one left."""
    for job_id, effects in evidence.effects.items():
        for effect in effects:
            if effect.event.startswith("stained "):
                yield f"{job_id} started in what another job had left: {effect.event.removeprefix('stained ')}"


def clean_up_ends(evidence: Evidence) -> Iterator[str]:
    """Complain of each clean-up that began and did not end."""
    untidy = 0
    for job_id, effects in evidence.effects.items():
        begun = {effect.fence for effect in effects if effect.event == "untidy"}
        untidy += len(begun)
        if begun - {effect.fence for effect in effects if effect.event == "tidied"}:
            yield f"{job_id} could not clean up"
    if not untidy:
        yield "no handler had to clean up: nothing was shown"


def nothing_is_left_behind(evidence: Evidence) -> Iterator[str]:
    """Complain of each program that outlived the handler that started it."""
    pids = [
        int(effect.event.split()[1])
        for effects in evidence.effects.values()
        for effect in effects
        if effect.event.startswith("litter ")
    ]
    for pid in pids:
        if b"sleep" in _command(pid):
            yield f"process {pid} was left behind"
    if not pids:
        yield "no handler has started a program: nothing was shown"


def releases_cost_nothing(evidence: Evidence) -> Iterator[str]:
    """Complain of each submission and job that fared worse than in a fleet of its own release."""
    for entry in evidence.ledger.entries:
        refusals = [answer.problem for answer in entry.answers if answer.status == 422]
        if refusals:
            yield f"{entry.key} ({entry.type}) was refused: {refusals[0]}"
    evolving = [job for job in evidence.jobs.values() if job.type == "chaos.evolving"]
    for job in evolving:
        if job.attempts != 1:
            yield f"{job.id} was charged {job.attempts} attempts"
    if not evolving:
        yield "no job of two releases: nothing was shown"


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
