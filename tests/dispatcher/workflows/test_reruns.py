"""A rerun runs nodes again with all behind them, in jobs of their own, and keeps what the others have done."""

import pytest
from dispatcher.workflows.conftest import DEAD, QUEUES, Mill, T, node
from dispatcher.workflows.test_maps import encode, items, mapped
from streams.seeds import commit, job_of

from millstream_contracts import NodeState, Succeeded, WorkflowId, WorkflowState
from millstream_streams import ActionCode, RerunCode


async def rerun(mill: Mill, workflow: WorkflowId, places: list[int] | None = None, request: bytes = b"1") -> RerunCode:
    """Ask for a rerun."""
    return await mill.broker.workflows.rerun(T, workflow, places, request=request)


def diamond() -> list:  # type: ignore[type-arg]
    """Return four nodes, of which the last refers to the results of two."""
    payload = {"name": "d", "b": {"$result": "b"}, "c": {"$result": "c"}}
    return [
        node("a"),
        node("b", [0]),
        node("c", [0]),
        node("d", [1, 2], inputs=[1, 2], payload=payload),
    ]


async def test_failed_nodes_run_again_with_those_behind_them(mill: Mill) -> None:
    """A rerun of what has failed runs it and all behind it, once, with the results of the others."""
    workflow = await mill.create(diamond())
    await mill.work({"b": DEAD})
    assert await mill.state(workflow) is WorkflowState.STALLED
    (first,) = [one.job_id for one in await mill.nodes(workflow) if one.name == "b"]
    assert await rerun(mill, workflow) is RerunCode.DONE
    assert await mill.state(workflow) is WorkflowState.RUNNING
    assert await mill.work() == ["b", "d"]
    assert mill.payloads["d"] == {"name": "d", "b": "b", "c": "c"}
    assert await mill.state(workflow) is WorkflowState.SUCCEEDED
    assert (await mill.read(workflow)).run == 2
    assert first is not None
    assert (await job_of(mill.broker, QUEUES[0], first)).reason == "discarded"


async def test_the_times_of_a_node_are_those_of_its_last_run(mill: Mill) -> None:
    """A node that runs again begins anew, also when others begin it; the others keep their times."""
    workflow = await mill.create(diamond())
    await mill.work()
    before = await mill.nodes(workflow)
    assert await rerun(mill, workflow, [1]) is RerunCode.DONE
    a, b, _, d = await mill.nodes(workflow)
    assert (a.began_at_ms, a.ended_at_ms) == (before[0].began_at_ms, before[0].ended_at_ms)
    assert b.began_at_ms is not None
    assert b.began_at_ms >= (before[3].ended_at_ms or 0)
    assert (b.ended_at_ms, d.began_at_ms, d.ended_at_ms) == (None, None, None)
    await mill.work()
    _, b, _, d = await mill.nodes(workflow)
    assert b.ended_at_ms is not None
    assert d.began_at_ms == b.ended_at_ms


async def test_any_node_runs_again(mill: Mill) -> None:
    """A rerun from a node that has succeeded runs it and all behind it, in jobs with other ids."""
    workflow = await mill.create(diamond())
    await mill.work()
    before = [one.job_id for one in await mill.nodes(workflow)]
    assert await rerun(mill, workflow, [1]) is RerunCode.DONE
    assert await mill.work() == ["b", "d"]
    assert await mill.state(workflow) is WorkflowState.SUCCEEDED
    after = [one.job_id for one in await mill.nodes(workflow)]
    assert [one == other for one, other in zip(before, after, strict=True)] == [True, False, True, False]
    assert await rerun(mill, workflow, [0], b"2") is RerunCode.DONE
    assert len(await mill.work()) == 4


async def test_a_request_is_carried_out_once(mill: Mill) -> None:
    """A rerun that is asked for twice by one request runs its nodes once."""
    workflow = await mill.create([node("a")])
    await mill.work()
    assert [await rerun(mill, workflow, [0]) for _ in range(2)] == [RerunCode.DONE, RerunCode.REPLAYED]
    assert await mill.work() == ["a"]


async def test_nodes_that_have_not_ended_are_not_run_again(mill: Mill) -> None:
    """A rerun is refused while one of its nodes runs, and when nothing has failed."""
    workflow = await mill.create([node("a"), node("b", [0])])
    await mill.turn()
    taken = await mill.claim()
    assert await rerun(mill, workflow, [0]) is RerunCode.RUNNING
    assert await rerun(mill, workflow) is RerunCode.RUNNING
    await commit(mill.broker, taken["a"])
    await mill.work()
    assert await rerun(mill, WorkflowId("WF_00" + "0" * 26)) is RerunCode.NOT_FOUND


async def test_a_dead_job_that_is_redriven_first_keeps_its_run(mill: Mill) -> None:
    """A rerun of a node whose dead job was redriven before the workflow knows of it is refused: there is one job."""
    workflow = await mill.create([node("a")])
    await mill.work({"a": DEAD})
    (one,) = await mill.nodes(workflow)
    assert one.job_id is not None
    assert await mill.broker.store.redrive(QUEUES[0], [one.job_id]) == [ActionCode.DONE]
    assert await rerun(mill, workflow) is RerunCode.RUNNING
    assert await mill.work() == ["a"]
    assert await mill.state(workflow) is WorkflowState.SUCCEEDED


async def test_a_rerun_that_died_after_it_discarded_is_taken_up(mill: Mill) -> None:
    """A rerun that ended between discarding and beginning leaves cancelled nodes, which the next one runs."""
    workflow = await mill.create([node("a"), node("b", [0])])
    await mill.work({"a": DEAD})
    (one, _) = await mill.nodes(workflow)
    assert one.job_id is not None
    await mill.broker.store.discard(QUEUES[0], [one.job_id])
    assert await rerun(mill, workflow) is RerunCode.DONE
    assert await mill.work() == ["a", "b"]
    assert await mill.state(workflow) is WorkflowState.SUCCEEDED


@pytest.mark.parametrize("at", ["before", "after"])
async def test_news_of_an_earlier_run_count_no_more(mill: Mill, at: str) -> None:
    """What is told of the discarded job before or after a rerun does not end its node."""
    workflow = await mill.create([node("a"), node("b", [0])])
    await mill.work({"a": DEAD})
    if at == "before":
        (one, _) = await mill.nodes(workflow)
        assert one.job_id is not None
        await mill.broker.store.discard(QUEUES[0], [one.job_id])
        await mill.messenger().run_once()
    assert await rerun(mill, workflow) is RerunCode.DONE
    await mill.messenger().run_once()
    assert (await mill.states(workflow))["a"] is NodeState.STARTING
    assert await mill.work() == ["a", "b"]


async def test_a_rerun_that_was_overtaken_is_decided_on_anew(mill: Mill) -> None:
    """A workflow that goes on between the decision about a rerun and its script is looked at again."""
    workflow = await mill.create([node("a"), node("b"), node("c", [1])])
    await mill.work({"a": DEAD, "b": DEAD})
    rerunner = mill.broker.workflows._rerunner
    decide, redriven = rerunner._plan, False

    async def overtaken(*arguments: object) -> object:
        nonlocal redriven
        plan = await decide(*arguments)  # type: ignore[arg-type]
        if not redriven:
            redriven = True
            (_, one, _) = await mill.nodes(workflow)
            assert one.job_id is not None
            await mill.broker.store.redrive(QUEUES[0], [one.job_id])
            await mill.messenger().run_once()
        return plan

    rerunner._plan = overtaken  # type: ignore[method-assign, assignment]
    assert await rerun(mill, workflow, [0]) is RerunCode.DONE
    assert sorted(await mill.work()) == ["a", "b", "c"]
    assert await mill.state(workflow) is WorkflowState.SUCCEEDED


async def test_a_cancelled_workflow_runs_again(mill: Mill) -> None:
    """A rerun of a cancelled workflow runs what had been cancelled, and it succeeds."""
    workflow = await mill.create([node("a"), node("b", [0]), node("c", [1])])
    await mill.turn()
    taken = await mill.claim()
    await mill.broker.workflows.cancel(T, workflow)
    await mill.turn()
    await commit(mill.broker, taken["a"])
    await mill.turn()
    assert await mill.state(workflow) is WorkflowState.CANCELLED
    assert await rerun(mill, workflow) is RerunCode.DONE
    assert await mill.work() == ["b", "c"]
    assert await mill.state(workflow) is WorkflowState.SUCCEEDED
    assert (await mill.read(workflow)).reason == ""


async def test_what_has_failed_before_a_node_runs_again_with_it(mill: Mill) -> None:
    """A rerun from a node behind a failed one runs that too: else it could not start."""
    workflow = await mill.create([node("a"), node("b", [0], after_failure="cancel"), node("c", [1])])
    await mill.work({"a": DEAD})
    assert await rerun(mill, workflow, [2]) is RerunCode.DONE
    assert await mill.work() == ["a", "b", "c"]


async def test_a_node_with_map_runs_again_with_all_its_items(mill: Mill) -> None:
    """A rerun of a node with `map` runs each item again, in jobs of the new run, and its dead jobs are discarded."""
    workflow = await mill.create(mapped())
    await mill.work({"list": Succeeded(encode(items(3))), "i1": DEAD})
    letter = mill.ids["i1"]
    assert await rerun(mill, workflow) is RerunCode.DONE
    ran = await mill.work()
    assert (sorted(ran[:-1]), ran[-1]) == (items(3), "all")
    assert mill.payloads["all"] == {"name": "all", "of": items(3)}
    assert (await job_of(mill.broker, QUEUES[0], letter)).reason == "discarded"
    assert mill.ids["i1"] != letter
