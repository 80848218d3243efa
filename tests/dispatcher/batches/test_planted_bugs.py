"""With one line of a script of batches broken, the test of its rule fails."""

from collections.abc import AsyncIterator

import pytest
from dispatcher.batches import test_batches
from dispatcher.batches.conftest import Depot
from leftovers import delete_namespace
from streams.planting import Bug

from millstream_streams import open_broker
from millstream_streams.store import script_runner

BUGS = {
    "a callback fires at each look": (
        Bug("batches/note", "fires-twice", "  if not held[1] then return end"),
        test_batches.test_a_redriven_member_lets_its_batch_succeed,
    ),
    "a callback that has fired is not put into the outbox": (
        Bug("batches/close", "fired-and-forgotten", ""),
        test_batches.test_callbacks_run_when_all_members_have_succeeded,
    ),
    "a batch completes while it is open": (
        Bug("batches/note", "completes-while-open", "  if counts.pending == 0 then"),
        test_batches.test_callbacks_run_when_all_members_have_succeeded,
    ),
    "a batch succeeds beside failures": (
        Bug("batches/close", "success-beside-failures", "    local is_success = not batch.cancel"),
        test_batches.test_a_death_is_told_once_and_completes,
    ),
    "news count also when they are older": (
        Bug("batches/note", "any-news", "  local is_news = true"),
        test_batches.test_news_that_are_told_again_change_nothing,
    ),
    "a request makes two batches": (
        Bug("batches/create", "created-twice", ""),
        test_batches.test_a_request_with_a_key_makes_one_batch,
    ),
    "a member adds after its end": (
        Bug("batches/promise", "adds-after-its-end", ""),
        test_batches.test_a_member_adds_until_it_has_ended,
    ),
    "a promise that was made anew is dropped": (
        Bug("batches/confirm", "drops-what-was-promised-anew", "  else"),
        test_batches.test_a_promise_that_is_made_again_is_not_dropped,
    ),
    "a job with a key is stored after its promise": (
        Bug("enqueue", "kept-after-its-promise", "  if is_late and idempotency_key == '' then return -3 end"),
        test_batches.test_a_promised_job_is_not_stored_late,
    ),
    "members of a cancelled batch run on": (
        Bug("batches/cancel", "members-run-on", ""),
        test_batches.test_many_members_are_cancelled_in_rounds,
    ),
}


@pytest.mark.parametrize("name", BUGS)
async def test_a_planted_bug_is_found(doomed: Depot, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """With one line of a script broken, the test of its rule fails."""
    bug, test = BUGS[name]
    monkeypatch.setattr(script_runner, "load_script", bug.load)
    with pytest.raises((AssertionError, ValueError, KeyError, pytest.fail.Exception)):
        await test(doomed)


@pytest.fixture
async def doomed(redis_url: str, namespace: str) -> AsyncIterator[Depot]:
    """Yield a depot whose keys are not checked at the end, because a broken script runs on it."""
    async with open_broker(redis_url, namespace=namespace) as opened:
        yield Depot(opened)
        await delete_namespace(opened.client, namespace)
