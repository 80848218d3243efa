"""With one line of a script of workflows broken, the test of its rule fails."""

from collections.abc import AsyncIterator

import pytest
from dispatcher.workflows import test_ends, test_maps, test_reruns, test_workflows
from dispatcher.workflows.conftest import Mill
from leftovers import delete_namespace
from streams import test_partitions_of_keys
from streams.planting import Bug

from millstream_streams import open_broker
from millstream_streams.store import script_runner


async def placed_twice(mill: Mill) -> None:
    """Run the test of late partitions."""
    office = test_partitions_of_keys.Office(mill.broker)
    await office.register()
    await test_partitions_of_keys.test_a_partition_that_was_decided_on_holds(office, is_map=False)


BUGS = {
    "an edge counts as often as it is told": (
        Bug("workflows/note", "edge-counts-twice", "    pass(flow, node, now)"),
        test_workflows.test_an_edge_counts_once_also_after_a_redrive,
    ),
    "a node starts with the first edge": (
        Bug("workflows/note", "first-edge-suffices", ""),
        test_workflows.test_news_that_are_told_again_change_nothing,
    ),
    "a node that is ready is not put into the outbox": (
        Bug("workflows/note", "ready-and-forgotten", ""),
        test_workflows.test_nodes_run_in_order_and_the_workflow_succeeds,
    ),
    "news count also when they are older": (
        Bug("workflows/note", "any-news", "  local is_news = true"),
        test_workflows.test_news_that_are_told_again_change_nothing,
    ),
    "a request makes two workflows": (
        Bug("workflows/create", "created-twice", ""),
        test_workflows.test_a_request_with_a_key_makes_one_workflow,
    ),
    "a map ends with its first item": (
        Bug("workflows/note", "first-item-suffices", "  if true then"),
        lambda mill: test_maps.test_each_item_has_a_job_and_the_results_are_in_order(mill, 5),
    ),
    "news of items count also when they are older": (
        Bug("workflows/note", "item-counts-twice", ""),
        test_maps.test_news_of_an_item_count_once,
    ),
    "items count that were confirmed before": (
        Bug("workflows/take_starts", "late-items-count", "  if from then return false end"),
        test_maps.test_items_that_are_confirmed_late_free_no_lease_of_another_dispatcher,
    ),
    "a map that has ended goes on where it was": (
        Bug("workflows/note", "redriven-item-is-not-looked-for", ""),
        test_maps.test_a_redriven_item_that_redis_has_lost_is_started_again_although_its_round_was_not_confirmed,
    ),
    "an end is not told": (
        Bug("workflows/note", "end-is-not-recorded", ""),
        test_ends.test_an_end_is_given_out_until_it_is_confirmed,
    ),
    "an older end confirms a newer one": (
        Bug("workflows/take_ended", "an-older-end-will-do", "  local is_stored = true"),
        test_ends.test_an_end_that_was_overtaken_is_stored_once_more,
    ),
    "a job that was lost keeps the version of its first life": (
        Bug("workflows/end_check", "versions-of-another-life", "  move(flow, node, letter, 'g', 4, run, now)"),
        test_workflows.test_a_lost_job_that_was_redriven_is_told_of_in_its_second_life,
    ),
    "a rerun does not compare the turn": (
        Bug("workflows/rerun", "rerun-of-another-turn", ""),
        test_reruns.test_a_rerun_that_was_overtaken_is_decided_on_anew,
    ),
    "the partition of a job is decided on twice": (
        Bug("workflows/take_starts", "placed-twice", "  return false"),
        placed_twice,
    ),
}


@pytest.mark.parametrize("name", BUGS)
async def test_a_planted_bug_is_found(doomed: Mill, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """With one line of a script broken, the test of its rule fails."""
    bug, test = BUGS[name]
    monkeypatch.setattr(script_runner, "load_script", bug.load)
    with pytest.raises((AssertionError, ValueError, KeyError)):
        await test(doomed)


@pytest.fixture
async def doomed(redis_url: str, namespace: str) -> AsyncIterator[Mill]:
    """Yield a mill whose keys are not checked at the end, because a broken script runs on it."""
    async with open_broker(redis_url, namespace=namespace) as opened:
        yield Mill(opened)
        await delete_namespace(opened.client, namespace)
