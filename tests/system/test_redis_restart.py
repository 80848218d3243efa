"""After a kill and restart of Redis the running system goes on, and no accepted job is lost."""

import os
import signal
from contextlib import ExitStack

import anyio
import httpx2
from system.running import notes, running_system, settled, started
from waiting import wait_until

from millstream_cli.embedded import start_embedded_redis
from millstream_contracts import JobState


async def test_system_recovers_by_itself_when_redis_was_killed_and_is_started_again(
    own_redis, redis_binary, tmp_path, folder
):
    """The system answers 503 without Redis; afterwards running, ready and scheduled jobs end in the same processes."""
    payload = {"folder": str(folder)}
    with ExitStack() as servers, running_system(tmp_path, redis_url=own_redis.url) as system:
        async with system.http() as http, system.client() as client, anyio.create_task_group() as tasks:
            pids = await system.worker_pids()
            running = [await client.submit(kind, payload) for kind in ("chore.gate", "chore.thread", "chore.process")]
            await started(folder, len(running))
            waiting = [await client.submit("chore.count", payload, delay=delay) for delay in (0.5, 1.0, 2.0)]
            os.kill(own_redis.pid, signal.SIGKILL)
            own_redis.close()
            await wait_until(lambda: is_refused(http), "submissions are refused")
            await wait_until(lambda: is_unready(http), "readiness says so")
            assert (await http.get("/livez")).status_code == 200
            # This one ends while Redis is away.
            (folder / "go").touch()
            await wait_until(lambda: notes(folder, "done"), "a handler ends meanwhile")
            late = []
            tasks.start_soon(submit_patiently, late, client, payload)
            servers.enter_context(start_embedded_redis(own_redis.folder, own_redis.port, binary=redis_binary))
            await system.wait_all_ready()
            await wait_until(lambda: late, "a client that went on asking is heard", 60)
            jobs = await settled(client, [job.id for job in (*running, *waiting, *late)])
            assert {job.state for job in jobs} == {JobState.SUCCEEDED}
            assert {job.attempts for job in jobs} == {1}
            assert {note["job"] for note in notes(folder, "done")} >= {job.id for job in (*waiting, *late)}
            assert await system.worker_pids() == pids
            assert system.restarts() == []


async def submit_patiently(found: list, client, payload: dict) -> None:
    """Submit a job, again until it is accepted."""
    found.append(await client.submit("chore.count", payload))


async def is_refused(http: httpx2.AsyncClient) -> bool:
    """Return whether a submission is refused with Retry-After."""
    answer = await http.post("/v1/jobs", json={"type": "chore.retried"})
    if answer.status_code == 202:
        return False
    assert answer.status_code == 503, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert int(answer.headers["retry-after"]) >= 1
    return True


async def is_unready(http: httpx2.AsyncClient) -> bool:
    """Return whether the readiness probe fails."""
    return (await http.get("/readyz")).status_code == 503
