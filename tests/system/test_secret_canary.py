"""Secrets that jobs carry are seen by their handlers, and by who asks the API for them: nowhere else."""

import json
from collections.abc import AsyncIterator

import httpx2
import pytest
from otlp_receiver import OtlpReceiver
from system.running import System
from waiting import wait_until

from millstream import Client, Job

CANARY = "canary4711"
MASKED = {"Millstream-Secrets": "masked"}
OUTCOMES = {"succeed": "succeeded", "retry": "succeeded", "fail": "dead", "die": "dead", "process": "succeeded"}
"""How a job is to end, and the state that it has then."""


@pytest.fixture
async def plain() -> AsyncIterator[httpx2.AsyncClient]:
    """Yield a client for pages and for metrics."""
    async with httpx2.AsyncClient(trust_env=False, timeout=60) as http:
        yield http


async def ended(client: Client, receiver: OtlpReceiver) -> list[Job]:
    """Return a job of each outcome, with a secret of its own in payload and result, once its spans are there."""
    found = []
    for how, state in OUTCOMES.items():
        job_type = "chore.vault.process" if how == "process" else "chore.vault"
        handle = await client.submit(job_type, {"how": how, "password": f"{CANARY}-{how}", "pin": 4711_4711})
        job = await client.wait(handle.id, 120)
        assert job.state.value == state, job
        found.append(job)
    for job in found:

        def is_traced(job: Job = job) -> bool:
            return any(span.name.startswith("vault") for span in receiver.trace(job.trace_id or ""))

        receiver.wait_until(is_traced, "the span of its handler", 60)
    return found


async def test_secrets_of_jobs_are_nowhere_but_where_they_are_asked_for(
    system: System, client: Client, http: httpx2.AsyncClient, plain: httpx2.AsyncClient, receiver: OtlpReceiver
) -> None:
    """Logs, traces, metrics, pages and masked answers have no secret of jobs that succeed, are retried, or die."""
    jobs = await ended(client, receiver)
    told: dict[str, str] = {}
    for job in jobs:
        answer = await http.get(f"/v1/jobs/{job.id}")
        assert CANARY in answer.text, "who may read payloads and asks for them has them"
        told[f"masked {job.id}"] = (await http.get(f"/v1/jobs/{job.id}", headers=MASKED)).text
        told[f"explained {job.id}"] = (await http.get(f"/v1/jobs/{job.id}/explain")).text
        for page in ("", "/copy", "/edit"):
            shown = await plain.get(f"{system.console_url}/jobs/{job.id}{page}")
            assert shown.status_code == 200, shown.text
            told[f"page {job.id}{page}"] = shown.text
    for path in ("/v1/jobs", "/v1/dead", "/v1/dead/groups", "/v1/types"):
        told[path] = (await http.get(path, headers=MASKED)).text
    for path in ("/", "/jobs", "/errors", "/queues/chore.vault", "/workers"):
        told[f"page {path}"] = (await plain.get(f"{system.console_url}{path}")).text
    for name, url in {**system.admin_urls, "ingest": system.url}.items():
        told[f"metrics of {name}"] = (await plain.get(f"{url}/metrics")).text

    def is_logged() -> bool:
        return all(job.id in system.log.read_text() for job in jobs)

    await wait_until(is_logged, "the attempts are logged")
    told["log"] = system.log.read_text()
    spans = [span for job in jobs for span in receiver.trace(job.trace_id or "")]
    told["spans"] = repr(spans)
    assert "wrong ***" in told["spans"]
    assert "trying ***" in told["log"]
    leaks = [place for place, text in told.items() if CANARY in text or "47114711" in text]
    assert not leaks, {place: around(told[place]) for place in leaks}
    for job in jobs:
        assert "***" in told[f"page {job.id}"]
        masked = json.loads(told[f"masked {job.id}"])
        assert masked["payload"] == {"how": job.payload["how"], "password": "***", "pin": "***"}
        assert masked["result"] in (None, "***")


async def test_refused_payload_is_not_quoted(http: httpx2.AsyncClient) -> None:
    """A payload that does not fit its schema is refused without its values."""
    body = {"type": "chore.vault", "payload": {"how": CANARY, "password": 4711, "pin": CANARY}}
    refused = await http.post("/v1/jobs", json=body)
    assert refused.status_code == 422
    assert {error["pointer"] for error in refused.json()["errors"]} >= {"/payload/password", "/payload/pin"}
    assert CANARY not in refused.text


def around(text: str) -> str:
    """Return what stands around a secret."""
    at = max(text.find(CANARY), text.find("47114711"))
    return text[max(0, at - 200) : at + 100]
