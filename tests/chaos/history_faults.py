"""The scenario of a history database that fails in every way, with the rules that it must be whole at the end."""

from collections.abc import Iterator

import anyio
from chaos.evidence import Evidence
from chaos.gatherer import unwritten
from chaos.stage import Stage
from waiting import wait_until

from millstream_dispatcher.event_reader import ABANDONED_S

CAUGHT_UP_WITHIN_S = ABANDONED_S + 45.0
"""The time for what is waiting, with the batch of a dispatcher that was killed, which another takes over."""
ALIVE_WITHIN_S = 20.0


async def history_away(stage: Stage) -> None:
    """Kill, silence, slow, lock and fill the history database, and forbid it writes: jobs run on, nothing is lost."""
    history = stage.history
    assert history is not None
    faults = [history.killed, history.silent, history.slow, history.read_only, history.full, history.locked]
    stage.rng.shuffle(faults)
    longest_s = 0.0
    dispatcher_dies_in = stage.rng.randrange(len(faults))
    for number, fault in enumerate(faults):
        with stage.journal.lasting(f"history {fault.__name__}", "history"):
            async with fault():
                await _jobs_go_on(stage, fault.__name__)
                if number == dispatcher_dies_in:
                    await stage.kill(stage.any_of("dispatcher"))
                await anyio.sleep(max(1.0, stage.seconds / len(faults)))
        longest_s = max(longest_s, await _catch_up(stage, fault.__name__))
    stage.figures["history caught up"] = f"within {longest_s:.1f} s of each fault, under load"


async def _jobs_go_on(stage: Stage, fault: str) -> None:
    """Expect that a job which is submitted during a fault is run, retried and released."""
    before = len(stage.submitter.ledger.entries)

    def accepted() -> bool:
        return any(entry.ids for entry in stage.submitter.ledger.entries[before:])

    try:
        await wait_until(accepted, "a job is accepted", ALIVE_WITHIN_S)
    except AssertionError:
        stage.expect(None, f"no job was accepted while the history was {fault}")


async def _catch_up(stage: Stage, fault: str) -> float:
    """Wait until the history has what was there when the fault ended. Returns: how long that took, in seconds."""
    begun = anyio.current_time()

    async def has_all() -> bool:
        return not await unwritten(stage.broker)

    try:
        await wait_until(has_all, "the history has every event", CAUGHT_UP_WITHIN_S)
    except AssertionError:
        stage.expect(None, f"the history did not catch up after it was {fault}: {await unwritten(stage.broker)}")
    return anyio.current_time() - begun


def every_step_is_remembered(evidence: Evidence) -> Iterator[str]:
    """Complain of each transition that the events have and the history lacks, and of each that it has made up."""
    assert evidence.history is not None
    told = {(step.id, step.version, step.kind, step.state) for steps in evidence.steps.values() for step in steps}
    held = set(evidence.history.steps)
    yield from (
        f"{job}: the history lacks its step {version} ({kind})" for job, version, kind, _ in sorted(told - held)
    )
    yield from (f"{job}: the history made up step {version} ({kind})" for job, version, kind, _ in sorted(held - told))
    if len(evidence.history.steps) != len(held):
        yield f"the history has {len(evidence.history.steps) - len(held)} steps twice"


def every_end_is_remembered(evidence: Evidence) -> Iterator[str]:
    """Complain of each job whose state in the history is not that in Redis."""
    assert evidence.history is not None
    for job_id, job in evidence.jobs.items():
        held = evidence.history.states.get(job_id, "nothing")
        if held != job.state:
            yield f"{job_id}: Redis holds {job.state}, and the history {held}"
