"""The same store where Sentinel says which server is the primary."""

import socket
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import redis
from streams.audit import audit
from streams.seeds import commit, recover_all, seed, seed_running, take
from waiting import wait_until

from millstream_cli.embedded import EmbeddedRedis
from millstream_cli.parent_watch import guarded
from millstream_cli.redis_finder import RedisBinary
from millstream_contracts import DEFAULT_TENANT, JobType, Queue
from millstream_streams import Broker, CommitCode, StoreUnavailableError, open_broker

QUEUE = Queue(DEFAULT_TENANT, JobType("email.send"))


@pytest.fixture
def sentinel_port(own_redis: EmbeddedRedis, redis_binary: RedisBinary, tmp_path: Path) -> Iterator[int]:
    """Yield the port of a Sentinel that watches a primary called `main`."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = tmp_path / "sentinel.conf"
    settings.write_text(
        f"port {port}\nbind 127.0.0.1\ndir {tmp_path}\nsentinel monitor main 127.0.0.1 {own_redis.port} 1\n"
    )
    with (tmp_path / "sentinel.log").open("wb") as log:
        command = guarded([str(redis_binary.path), str(settings), "--sentinel"])
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=subprocess.STDOUT)
    yield port
    process.terminate()
    process.wait()
    process.stdin.close()


@pytest.fixture
async def watched(sentinel_port: int) -> AsyncIterator[Broker]:
    """Yield a broker that asks Sentinel for its server."""
    async with open_broker(f"redis+sentinel://127.0.0.1:{sentinel_port}/main", patience_s=20.0) as opened:
        await wait_until(lambda: answers(sentinel_port), "Sentinel answers")
        yield opened


def answers(port: int) -> bool:
    """Return whether a Sentinel knows its primary."""
    with redis.Redis(host="127.0.0.1", port=port, protocol=2) as client:
        try:
            return bool(client.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "main"))
        except redis.ConnectionError:
            return False


async def test_jobs_go_through_where_sentinel_names_the_server(watched: Broker, own_redis: EmbeddedRedis) -> None:
    """Commands, blocking reads and listings reach the primary that Sentinel knows."""
    await take(watched, QUEUE)
    running = await seed_running(watched, QUEUE)
    assert await commit(watched, running) is CommitCode.COMMITTED
    (job_id,) = await seed(watched, QUEUE)
    reader = watched.reader()
    (entry,) = await reader.wait([QUEUE], consumer="w1", block_ms=1000)
    await reader.close()
    assert entry.id == job_id
    assert await recover_all(watched, QUEUE) == [job_id]
    await audit(watched, QUEUE)
    async with open_broker(own_redis.url) as direct:
        assert (await direct.store.measure(QUEUE)).queued == (0, 1, 0)
    assert (await watched.probe()).mode == "sentinel"


async def test_a_service_that_sentinel_does_not_know_is_unavailable(sentinel_port: int) -> None:
    """Sentinel may know it a moment later: it is no defect, and no traceback of redis-py."""
    await wait_until(lambda: answers(sentinel_port), "Sentinel answers")
    async with open_broker(f"redis+sentinel://127.0.0.1:{sentinel_port}/other", patience_s=0.0) as stray:
        with pytest.raises(StoreUnavailableError):
            await stray.registry.ping()
