"""Ingest has probes and metrics, and starts and stops in order."""

import os
import signal
import socket
import subprocess
import sys

import anyio
import httpx2
import pytest
from ingest.serving import problem, running_ingest
from msgspec.structs import replace
from waiting import wait_until

from millstream_cli.embedded import start_embedded_redis
from millstream_contracts import DEFAULT_TENANT, queue_of
from millstream_runtime import AdminServer, BindError
from millstream_streams import UnsuitableRedisError, open_broker

PROGRAM = """
import sys
from millstream_ingest.settings import IngestSettings
from millstream_ingest.service import run_ingest
redis, namespace, port, drain_s = sys.argv[1:]
run_ingest(IngestSettings(redis_url=redis, namespace=namespace, port=int(port), drain_s=float(drain_s)))
"""


async def test_health_tells_what_was_looked_at(ingest):
    """`/health` lists each check by name."""
    health = await ingest.get("/health")
    assert health["ok"] is True
    assert health["service"] == "ingest"
    assert {check["name"] for check in health["live"] + health["ready"]} == {"event loop", "serving", "redis"}


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/health"])
async def test_probe_is_answered_200_and_never_cached(ingest, path):
    """A probe is answered with 200 and must not be cached."""
    response = await ingest.http.get(path)
    assert response.status_code == 200
    assert response.headers["cache-control"] == "no-store"


async def test_readiness_fails_first_and_requests_are_still_answered(broker, settings):
    """A stopping ingest fails its readiness first and still answers requests."""
    async with running_ingest(replace(settings, drain_s=60.0)) as ingest:
        ingest.stop.set()
        await wait_until(lambda: is_unready(ingest), "readiness fails")
        await ingest.submit()
        assert (await ingest.http.get("/livez")).status_code == 200


async def is_unready(ingest) -> bool:
    """Return whether the readiness probe fails."""
    return (await ingest.http.get("/readyz")).status_code == 503


async def test_metrics_show_what_was_submitted(registered, ingest):
    """Submissions are counted by type and outcome, and an unknown type is no label."""
    await ingest.submit(payload={"to": "a"})
    await ingest.http.post("/v1/jobs", json={"type": "email.send", "payload": 1})
    await ingest.http.post("/v1/jobs", json={"type": "made.up"})
    await ingest.http.post("/v1/jobs", content=b"{", headers={"content-type": "application/json"})
    for _ in range(2):
        await ingest.http.post(
            "/v1/jobs", json={"type": "email.send", "payload": {"to": "a"}}, headers={"idempotency-key": "k"}
        )
    text = (await ingest.http.get("/metrics")).text
    assert 'millstream_jobs_submitted_total{outcome="accepted",type="email.send"} 2.0' in text
    assert 'millstream_jobs_submitted_total{outcome="replayed",type="email.send"} 1.0' in text
    assert 'millstream_jobs_submitted_total{outcome="rejected",type="email.send"} 1.0' in text
    assert 'millstream_jobs_submitted_total{outcome="rejected",type="_other"} 2.0' in text
    assert "made.up" not in text
    assert 'millstream_redis_seconds_count{script="enqueue"} 3.0' in text


async def test_metrics_move_to_the_admin_port_and_probes_are_answered_by_both(broker, settings):
    """With an admin port the metrics are served there alone, and probes are answered on both ports."""
    async with running_ingest(replace(settings, admin_port=0)) as ingest, httpx2.AsyncClient(trust_env=False) as http:
        with AdminServer("127.0.0.1", 0, registry=ingest.services.registry, report=ingest.services.health) as admin:
            problem(await ingest.http.get("/metrics"), 404, "not-found")
            assert (await http.get(f"http://127.0.0.1:{admin.port}/metrics")).status_code == 200
            for path in ("/health", "/livez", "/readyz"):
                public, private = await ingest.http.get(path), await http.get(f"http://127.0.0.1:{admin.port}{path}")
                assert (public.status_code, private.status_code) == (200, 200)
                assert public.json()["ok"] is private.json()["ok"] is True
        documented = (await ingest.get("/openapi.json"))["paths"].keys()
        assert documented & {"/health", "/livez", "/readyz", "/metrics"} == {"/health", "/livez", "/readyz"}


async def test_port_that_is_taken_is_refused(broker, settings):
    """A port that is in use stops the start."""
    async with running_ingest(settings) as ingest:
        port = ingest.http.base_url.port
        with pytest.raises(BindError, match=str(port)):
            async with running_ingest(replace(settings, port=port)):
                pass


@pytest.mark.parametrize("is_chosen", [True, False])
async def test_port_that_the_service_chose_is_announced_as_such(settings, free_tcp_port, monkeypatch, is_chosen):
    """A supervisor learns the port from the log at every level, where no setting says which one it is."""
    said = []
    monkeypatch.setattr("millstream_runtime.http_server.announce", lambda *place, **how: said.append((*place, how)))
    port = 0 if is_chosen else free_tcp_port
    async with running_ingest(replace(settings, port=port)) as ingest:
        assert said == [("listening", "127.0.0.1", ingest.http.base_url.port, {"was_chosen": is_chosen})]


async def test_request_that_does_not_end_keeps_a_service_for_its_grace_and_no_longer(settings, monkeypatch):
    """A process that is told to stop leaves, whatever a request of it waits for."""
    monkeypatch.setattr("ingest.serving.GRACE_S", 0.05)
    begun = anyio.Event()

    async def hang(*_: object, **__: object) -> None:
        begun.set()
        await anyio.sleep_forever()

    with anyio.fail_after(30.0):
        async with running_ingest(settings) as ingest:
            monkeypatch.setattr(type(ingest.services.lister), "jobs", hang)
            stream = await anyio.connect_tcp("127.0.0.1", ingest.http.base_url.port)
            await stream.send(b"GET /v1/jobs HTTP/1.1\r\nhost: a\r\n\r\n")
            await begun.wait()
    await stream.aclose()


async def test_redis_that_would_lose_jobs_is_refused(own_redis, settings):
    """A Redis that evicts stops the start, with the reason."""
    async with open_broker(own_redis.url) as broker:
        await broker.client.config_set("maxmemory-policy", "allkeys-lru")
    with pytest.raises(UnsuitableRedisError, match="noeviction"):
        async with running_ingest(replace(settings, redis_url=own_redis.url)):
            pass


async def test_service_starts_without_redis_and_serves_once_it_is_there(tmp_path, settings):
    """Ingest starts without Redis and serves once Redis is there."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    async with running_ingest(replace(settings, redis_url=f"redis://127.0.0.1:{port}/0"), starts_ready=False) as ingest:
        assert await is_unready(ingest)
        assert (await ingest.http.get("/livez")).status_code == 200
        redis = await anyio.to_thread.run_sync(start_embedded_redis, tmp_path / "redis", port)
        try:
            await wait_until(lambda: is_ready(ingest), "the service is ready")
            await ingest.submit()
        finally:
            redis.close()


async def is_ready(ingest) -> bool:
    """Return whether the readiness probe passes."""
    return (await ingest.http.get("/readyz")).status_code == 200


async def test_defect_is_answered_without_its_details_and_logged(ingest, monkeypatch, capsys):
    """A defect is answered with 500 without details, and logged with its traceback and without payloads."""

    async def fail(*_: object, **__: object) -> None:
        raise RuntimeError("canary")

    monkeypatch.setattr(type(ingest.services.lister), "jobs", fail)
    response = await ingest.http.get("/v1/jobs")
    assert "canary" not in response.text
    problem(response, 500, "internal-error")
    logged = capsys.readouterr()
    assert "request crashed" in logged.out + logged.err
    assert "RuntimeError: canary" in logged.out + logged.err


@pytest.mark.parametrize("signals", [[signal.SIGTERM], [signal.SIGINT], [signal.SIGTERM, signal.SIGTERM]])
async def test_process_ends_by_a_signal_after_the_requests_in_hand(broker, redis_url, namespace, signals):
    """After a signal the requests in hand are answered; a second signal skips the drain."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    drain_s = 3600.0 if len(signals) == 2 else 0.1
    command = [sys.executable, "-c", PROGRAM, redis_url, namespace, str(port), str(drain_s)]
    process = await anyio.to_thread.run_sync(start, command)
    try:
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=60) as http:
            await wait_until(lambda: answers(http), "the service answers")
            job = (await http.post("/v1/jobs", json={"type": "email.send"})).json()
            statuses = []

            async def wait() -> None:
                response = await http.get(f"/v1/jobs/{job['id']}", params={"wait": 30})
                statuses.append(response.status_code)

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(wait)
                await wait_until(lambda: is_watched(broker, job["id"]), "the request waits")
                for number in signals:
                    process.send_signal(number)
                    await wait_until(lambda: is_leaving(http), "the signal is heard")
        assert statuses == [200]
        _, log = await anyio.to_thread.run_sync(process.communicate)
        assert process.returncode == 0, log
        assert b'"event":"listening"' in log
        assert f'"port":{port}'.encode() in log
        assert b'"event":"stopped"' in log
    finally:
        process.kill()


def start(command: list[str]) -> "subprocess.Popen[bytes]":
    """Start a process whose log can be read."""
    return subprocess.Popen(command, stderr=subprocess.PIPE, env=os.environ)


async def answers(http) -> bool:
    """Return whether the service is ready."""
    try:
        return (await http.get("/readyz")).status_code == 200
    except httpx2.TransportError:
        return False


async def is_leaving(http) -> bool:
    """Return whether the service is no longer ready, or has ended."""
    return not await answers(http)


async def is_watched(broker, job_id) -> bool:
    """Return whether a request waits for the end of a job."""
    key = broker.keys.of(queue_of(DEFAULT_TENANT, job_id)).job(job_id)
    return await broker.client.hexists(key, "waited")


async def test_readiness_names_the_right_that_jobs_lack_and_comes_back_with_it(own_redis, settings):
    """Readiness fails without a right that jobs need, names it, and passes once it is granted."""
    async with open_broker(own_redis.url) as broker:

        async def allow(*rules: str) -> None:
            words = ("ACL", "SETUSER", "ann", "reset", "on", ">secret", "~*", "&*", "+@all", *rules)
            await broker.client.execute_command(*words)

        await allow("-set")
        url = own_redis.url.replace("redis://", "redis://ann:secret@")
        async with running_ingest(replace(settings, redis_url=url), starts_ready=False) as ingest:
            await wait_until(lambda: says_why(ingest, "+set"), "the start names what is missing")
            await allow()
            await wait_until(lambda: is_ready(ingest), "the service is ready")
            await ingest.submit()
            await allow("-evalsha")
            await wait_until(lambda: says_why(ingest, "+evalsha"), "readiness names what is missing")
            await allow()
            await wait_until(lambda: is_ready(ingest), "the service is ready again")


async def says_why(ingest, words: str) -> bool:
    """Return whether the readiness probe fails and says this about Redis."""
    answer = await ingest.http.get("/readyz")
    details = {check["name"]: check.get("detail", "") for check in answer.json()["checks"]}
    return answer.status_code == 503 and words in details["redis"]


async def test_readiness_says_no_more_of_redis_than_that_it_does_not_answer(own_redis, settings):
    """Readiness on the public port names no address of Redis."""
    async with running_ingest(replace(settings, redis_url=own_redis.url)) as ingest:
        await wait_until(lambda: is_ready(ingest), "the service is ready")
        await anyio.to_thread.run_sync(own_redis.close)
        await wait_until(lambda: says_why(ingest, "does not answer"), "readiness fails")
        assert str(own_redis.port) not in (await ingest.http.get("/readyz")).text
