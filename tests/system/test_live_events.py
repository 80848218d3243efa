"""Jobs are followed live in the whole system, by the clients and by `millstream tail`."""

import json
from pathlib import Path

import httpx2
from cli.commands import started_program
from system.running import System
from waiting import wait_until

from millstream import Client, JobState, SyncClient


async def test_updates_lead_to_the_end_of_a_job(client: Client) -> None:
    """The last update of a job has its result, and each one is later than the one before."""
    handle = await client.submit("demo.flaky")
    seen = [job async for job in handle.updates()]
    assert seen[-1].state is JobState.SUCCEEDED
    assert seen[-1].result == await handle.result()
    assert [job.version for job in seen] == sorted({job.version for job in seen})


def test_updates_work_without_an_event_loop(system: System) -> None:
    """The sync client follows a job as the other one does."""
    with SyncClient(system.url) as client:
        *_, last = client.submit("demo.poison").updates()
    assert last.state is JobState.DEAD


async def test_tail_shows_what_happens_to_a_job(
    system: System, client: Client, http: httpx2.AsyncClient, tmp_path: Path
) -> None:
    """`tail --json` prints each event of the job on a line of its own."""
    job = (await client.submit("demo.delayed", delay=3_600.0)).job
    log = tmp_path / "log"
    with started_program("tail", "--job", job.id, "--json", "--url", system.url, log=log):

        async def follows() -> bool:
            metrics = await http.get(f"{system.admin_urls['ingest']}/metrics")
            return "millstream_live_listeners 1.0" in metrics.text

        await wait_until(follows, "it follows the job")
        await client.cancel(job.id)
        await wait_until(lambda: '"kind":"cancelled"' in log.read_text(), "its end is shown")
    events = [json.loads(line) for line in log.read_text().splitlines()]
    assert [event["kind"] for event in events] == ["cancelled"]
    assert {event["id"] for event in events} == {job.id}
