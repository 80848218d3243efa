"""The services log one searchable line per attempt, and nothing that users send."""

import json

from system.running import System
from waiting import wait_until
from written import whole_lines

from millstream_telemetry.names import ATTEMPT_FINISHED, LOG_FIELDS

SECRET = "canary-4711"


def lines(system: System) -> list[dict]:
    """Return the log lines of the services."""
    said = (line.split(" | ", 1) for line in whole_lines(system.log))
    return [json.loads(line) for _, line in said if line.startswith("{")]


def attempts(system: System, job_id: str) -> list[dict]:
    """Return the lines about the finished attempts of a job."""
    return [line for line in lines(system) if line["event"] == ATTEMPT_FINISHED and line["job_id"] == job_id]


async def test_every_attempt_leaves_one_line_of_the_documented_fields(system, client):
    """Every attempt leaves one line with the documented fields."""
    job = await client.submit("chore.retried")
    await job.result(60)
    await wait_until(lambda: len(attempts(system, job.id)) == 2, "both attempts are logged")
    found = attempts(system, job.id)
    said = [(line["service"], line["attempt"], line["delivery"], line["outcome"]) for line in found]
    assert said == [("workers", 1, 1, "error"), ("workers", 2, 2, "ok")]
    assert {line["trace_id"] for line in found} == {job.job.trace_id}
    documented = {field.name for field in LOG_FIELDS}
    for line in found:
        assert line.keys() <= documented
        assert {"run_ms", "queue_wait_ms", "type"} <= line.keys()


async def test_nothing_that_users_send_is_logged(system, client, http):
    """No log line contains a payload, an error message, a tag or a bad request."""
    job = await client.submit("chore.hopeless", SECRET, tags={"customer": SECRET})
    await client.wait(job.id, 60)
    await http.post("/v1/jobs", json={"type": "chore.count", "payload": {SECRET: SECRET}})
    await http.post("/v1/jobs", content=SECRET)
    await wait_until(lambda: attempts(system, job.id), "the attempt is logged")
    assert SECRET not in system.log.read_text()
