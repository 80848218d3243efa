"""`workers drain` has a worker end once its jobs have ended."""

from collections.abc import Iterator

import pytest
from cli.commands import run
from sdk.client.scripted_api import Reply, ScriptedApi

WORKER = {
    "name": "host:17:9f\x1b[31m3c",
    "types": ["mail.send"],
    "concurrency": 4,
    "busy": 3,
    "started_at": "2026-03-27T03:04:05Z",
    "seen_at": "2026-03-27T03:04:05Z",
    "state": "draining",
}


@pytest.fixture
def api() -> Iterator[ScriptedApi]:
    """Serve a scripted API."""
    server = ScriptedApi()
    yield server
    server.close()


def test_a_worker_is_asked_by_its_name(api: ScriptedApi) -> None:
    """The name is a part of the path, and what the worker still has is told without control characters."""
    api.script.append(Reply(202, WORKER))
    result = run("workers", "drain", "host:17:9f3c", "--url", api.url)
    assert result.exit_code == 0, result.output
    assert (api.received[-1].method, api.received[-1].path) == ("POST", "/v1/workers/host%3A17%3A9f3c/drain")
    assert "3 of its 4 slots are busy" in result.output
    assert "\x1b" not in result.output


def test_one_without_jobs_says_so(api: ScriptedApi) -> None:
    """A worker with nothing to do ends at once."""
    api.script.append(Reply(202, {**WORKER, "busy": 0}))
    assert "none of its slots is busy" in run("workers", "drain", "a:1:x", "--url", api.url).output
