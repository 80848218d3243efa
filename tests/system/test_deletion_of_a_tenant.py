"""A tenant is deleted whole by dispatchers that are killed in the middle of it, as processes that users run."""

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from history_databases import connected, execute, query
from sqlalchemy import text
from streams.seeds import seed
from system.running import environment, millstream
from waiting import wait_until

from millstream_cli.parent_watch import guarded
from millstream_contracts import DEFAULT_TENANT, JobType, OperationState, Queue, Tenant
from millstream_history import TABLES_OF_TENANTS, open_history
from millstream_streams import Broker, StoredTenant

ACME = Tenant("acme")
QUEUES = [Queue(ACME, JobType("email.send"), number) for number in range(4)]
JOBS = 500
PATIENCE_S = 60


@contextmanager
def dispatcher(log: Path, settings: dict[str, str]) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a dispatcher until it is killed, which is at the end of the block at the latest."""
    command, environ = guarded(millstream("dispatcher")), environment(**settings)
    with (
        log.open("wb") as out,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=out, stderr=out, env=environ) as process,
    ):
        try:
            yield process
        finally:
            process.kill()


async def furnish(broker: Broker, history_url: str) -> None:
    """Give the tenant jobs in several queues, and a history of as many steps as there are tables to be held."""
    await broker.tenants.put_tenant(ACME, None, StoredTenant(created_at_ms=1, changed_at_ms=1))
    await broker.registry.add_queues(QUEUES)
    for queue in QUEUES:
        for _ in range(JOBS // 100):
            await seed(broker, queue, 100)
    rows = "SELECT 'acme', 'email.send', now(), 'started', n, 0, 1, 1 FROM generate_series(1, 5000) AS n"
    names = "tenant, type, at, kind, bucket, shard, n, sum_ms"
    for table in ("stats_minutes", "stats_hours"):
        await execute(history_url, f"INSERT INTO {table} ({names}) {rows}")


async def test_dispatchers_that_are_killed_in_the_middle_delete_it_whole(
    broker: Broker, redis_url: str, namespace: str, history_url: str, tmp_path: Path
) -> None:
    """Killed twice while the history is removed, the deletion ends with nothing left."""
    await furnish(broker, history_url)
    settings = {
        "MILLSTREAM_REDIS_URL": redis_url,
        "MILLSTREAM_NAMESPACE": namespace,
        "MILLSTREAM_HISTORY_URL": history_url,
        "MILLSTREAM_ADMIN_PORT": "0",
        "MILLSTREAM_DELETION_SETTLES_S": "0",
    }
    async with open_history(history_url) as history:
        await history.operations.add_deletion("op_1", ACME, 1, by="")

        async def shown() -> OperationState:
            found = await history.operations.find(DEFAULT_TENANT, "op_1")
            assert found is not None
            return found.shown.state

        for number, table in enumerate(("stats_minutes", "stats_hours")):
            await killed_at(table, history_url, tmp_path / f"{number}.log", settings)
            assert await shown() is OperationState.RUNNING
            assert await broker.tenants.get(ACME) is not None
        with ExitStack() as stack:
            for number in (2, 3):
                stack.enter_context(dispatcher(tmp_path / f"{number}.log", settings))

            async def is_done() -> bool:
                return await shown() is OperationState.DONE

            await wait_until(is_done, "the deletion is done", PATIENCE_S)
        found = await history.operations.find(DEFAULT_TENANT, "op_1")
        assert found is not None
        assert found.shown.removed["jobs"] == JOBS * len(QUEUES)
    assert await broker.tenants.get(ACME) is None
    assert await broker.registry.queues(ACME) == []
    pattern = f"{broker.keys.namespace}:{{acme/*"
    assert [key async for key in broker.client.scan_iter(match=pattern, count=1000)] == []
    for one in TABLES_OF_TENANTS:
        assert await query(history_url, f"SELECT count(*) FROM {one.name} WHERE tenant = 'acme'") == [(0,)]


async def killed_at(table: str, history_url: str, log: Path, settings: dict[str, str]) -> None:
    """Run a dispatcher, and kill it while it waits for a table that is held; then its lease is over, too."""
    waits = (
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database() "
        f"AND query LIKE 'DELETE FROM {table}%'"
    )
    async with connected(history_url) as holding:
        await holding.execute(text("BEGIN"))
        await holding.execute(text(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE"))
        with dispatcher(log, settings) as process:

            async def is_waiting() -> bool:
                return await query(history_url, waits) != [(0,)]

            await wait_until(is_waiting, f"the dispatcher waits for {table}", PATIENCE_S)
            process.kill()
        await holding.execute(text("ROLLBACK"))
    await execute(history_url, "UPDATE operations SET lease_until = NULL, next_at = now()")
