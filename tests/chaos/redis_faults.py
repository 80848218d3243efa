"""The scenarios of a Redis that dies, and of one that is full."""

import anyio
from chaos.gatherer import unsettled
from chaos.stage import Stage
from waiting import wait_until

DRAINED_WITHIN_S = 40.0


async def redis_restart(stage: Stage) -> None:
    """Kill and restart Redis with AOF always, its scripts gone: no accepted job is lost."""
    ends_at = anyio.current_time() + stage.seconds
    while True:
        async with stage.redis_dead():
            await anyio.sleep(stage.rng.uniform(0.2, 3.0))
        await anyio.sleep(stage.rng.uniform(2.0, 4.0))
        if anyio.current_time() > ends_at:
            return


async def full(stage: Stage) -> None:
    """Redis out of memory: 503 with Retry-After, what was accepted is worked off all the same, then all goes on."""
    ends_at = anyio.current_time() + stage.seconds
    while True:
        await anyio.sleep(stage.rng.uniform(0.5, 2.0))
        async with stage.redis_full():
            begun = anyio.current_time()
            await _worked_off(stage)
            stage.figures["worked off while full"] = f"within {anyio.current_time() - begun:.1f} s"
        await anyio.sleep(stage.rng.uniform(1.0, 2.0))
        if anyio.current_time() > ends_at:
            break
    _judge_refusals(stage)


async def _worked_off(stage: Stage) -> None:
    async def is_empty() -> bool:
        return not await unsettled(stage.broker)

    try:
        await wait_until(is_empty, "a full Redis is worked off", DRAINED_WITHIN_S)
    except AssertionError:
        left = "; ".join(await unsettled(stage.broker))
        stage.expect(None, f"a full Redis was not worked off within {DRAINED_WITHIN_S:g} s: {left}")


def _judge_refusals(stage: Stage) -> None:
    refusals = stage.submitter.ledger.answers(503)
    full_ones = [answer for answer in refusals if answer.problem == "store-full"]
    stage.expect(full_ones, "no submission was refused because Redis is full: nothing was shown")
    stage.expect(all(answer.retry_after_s >= 1 for answer in refusals), "a 503 said nothing about when to come back")
    stage.figures["503 store-full"] = f"{len(full_ones)} of {len(refusals)} refusals"
