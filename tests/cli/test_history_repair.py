"""`history verify` finds what the history says otherwise than Redis, and repairs it; `rebuild` reads all jobs again."""

import json
from functools import partial

import anyio.to_thread
import pytest
from cli.commands import refused, run
from history_databases import execute, query
from msgspec.structs import replace
from streams.seeds import commit, new_job, seed, seed_running
from waiting import wait_until

from millstream_cli.exit_codes import ExitCode
from millstream_contracts import DEFAULT_TENANT, JobType, Queue, new_job_id
from millstream_dispatcher.assembly import open_projector
from millstream_history import open_history
from millstream_streams import Broker
from millstream_telemetry import HistoryMetrics, MetricRegistry

QUEUE, OTHER = Queue(DEFAULT_TENANT, JobType("invoice.send")), Queue(DEFAULT_TENANT, JobType("sms.send"))


@pytest.fixture
async def repair(broker: Broker, redis_url: str, namespace: str, history_url: str) -> partial:
    """Return a function that runs a command on a Redis with two queues and its history."""
    await broker.registry.add_queues([QUEUE, OTHER])
    settings = {
        "MILLSTREAM_REDIS_URL": redis_url,
        "MILLSTREAM_NAMESPACE": namespace,
        "MILLSTREAM_HISTORY_URL": history_url,
    }
    return partial(_run, settings)


async def _run(settings: dict[str, str], *words: str) -> tuple[int, object]:
    grace = ("--grace", "0") if "verify" in words else ()
    found = await anyio.to_thread.run_sync(lambda: run("history", *words, *grace, "--json", **settings))
    return found.exit_code, json.loads(found.stdout)


async def project(broker: Broker, url: str, moves: int) -> None:
    """Store the events of all queues, of which there are as many transitions."""
    stored = 0
    async with (
        open_history(url) as history,
        open_projector(history, broker, HistoryMetrics(MetricRegistry())) as projector,
    ):

        async def are_stored() -> bool:
            nonlocal stored
            stored += (await projector.run_once()).stored
            return stored >= moves

        await wait_until(are_stored, f"{moves} moves are stored")


async def test_a_history_that_agrees_is_said_to(broker: Broker, repair: partial, history_url: str) -> None:
    """Where all is stored nothing differs, and the command says how many jobs it has compared."""
    await commit(broker, await seed_running(broker, QUEUE))
    await seed(broker, OTHER, 2)
    await project(broker, history_url, 5)
    assert await repair("verify") == (0, {"compared": 3, "differences": [], "fixed": False})
    assert (await repair("verify", "--type", OTHER.type))[1]["compared"] == 2


async def test_jobs_that_are_missing_or_behind_are_found_and_repaired(
    broker: Broker, repair: partial, history_url: str
) -> None:
    """Jobs that the history lacks, or knows as they were, differ until they are repaired."""
    done = await seed_running(broker, QUEUE)
    await project(broker, history_url, 2)
    await commit(broker, done)
    [missing] = await seed(broker, OTHER)
    code, found = await repair("verify")
    assert code == ExitCode.FAILED
    assert {(one["id"], one["what"]) for one in found["differences"]} == {
        (done.id, "missing or behind"),
        (missing, "missing or behind"),
    }
    code, found = await repair("verify", "--fix")
    assert (code, found["fixed"], len(found["differences"])) == (0, True, 2)
    assert await repair("verify") == (0, {"compared": 2, "differences": [], "fixed": False})
    states = await query(history_url, "SELECT id, state FROM jobs")
    assert dict(states) == {done.id: "succeeded", missing: "queued"}


async def test_an_end_that_is_known_nowhere_is_found_and_noted(
    broker: Broker, repair: partial, history_url: str
) -> None:
    """A job that runs on in the history and that Redis does not have differs, until its end is noted as unknown."""
    lost = await seed_running(broker, QUEUE)
    await project(broker, history_url, 2)
    await broker.client.delete(broker.keys.of(QUEUE).job(lost.id))
    code, found = await repair("verify")
    assert code == ExitCode.FAILED
    assert found["differences"] == [{"id": lost.id, "what": "end not recorded"}]
    await repair("verify", "--fix")
    assert (await repair("verify"))[0] == 0
    assert await query(history_url, "SELECT outcome FROM jobs") == [("unknown",)]
    await broker.client.delete(*(broker.keys.of(QUEUE).ready))


async def test_jobs_before_the_time_are_left_out(broker: Broker, repair: partial) -> None:
    """With `--since` only younger jobs are compared."""
    old = replace(new_job(QUEUE), id=new_job_id(QUEUE, at_ms=1_700_000_000_000))
    await broker.store.enqueue(QUEUE, [new_job(QUEUE), old])
    assert (await repair("verify", "--since", "1h"))[1]["compared"] == 1
    assert (await repair("verify"))[1]["compared"] == 2


async def test_a_rebuild_reads_all_jobs_again(broker: Broker, repair: partial, history_url: str) -> None:
    """A rebuild stores every job of Redis, and deletes what only the history knew if it is told to."""
    await seed(broker, QUEUE, 3)
    await execute(
        history_url,
        "INSERT INTO jobs (tenant, id, type, partition, state, version, created_at) "
        "VALUES ('default', 'old', 'a', 0, 'succeeded', 3, now())",
    )
    assert await repair("rebuild") == (0, {"stored": 3})
    assert await query(history_url, "SELECT count(*) FROM jobs") == [(4,)]
    assert await repair("rebuild", "--empty", "--yes") == (0, {"stored": 3})
    assert await query(history_url, "SELECT count(*) FROM jobs") == [(3,)]


def test_without_a_database_the_command_says_so() -> None:
    """Without a history database there is nothing to compare."""
    refused(run("history", "verify"), "MILLSTREAM_HISTORY_URL is unset", code=2)
