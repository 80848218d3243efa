"""Every process exports its metrics on `/metrics`, as Prometheus scrapes them."""

import shutil
from collections import Counter
from collections.abc import Mapping

import anyio
import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families
from system.running import System
from waiting import wait_until

from millstream_telemetry.names import (
    CONSOLE_PAGE,
    CONSOLE_SIGN_INS,
    CONSOLE_VIEWERS,
    CONSOLE_VIEWS,
    HISTORY_DAYS_AHEAD,
    HISTORY_GAPS,
    HISTORY_LAG,
    HISTORY_WORKFLOW_LAG,
    HISTORY_WORKFLOWS,
    METRICS,
    OPERATION_JOBS,
)

OF_HISTORY = (
    HISTORY_DAYS_AHEAD,
    HISTORY_GAPS,
    HISTORY_LAG,
    HISTORY_WORKFLOW_LAG,
    HISTORY_WORKFLOWS,
    OPERATION_JOBS,
)
"""The metrics of what is only done with a history database."""
OF_CONSOLE = (CONSOLE_PAGE, CONSOLE_SIGN_INS, CONSOLE_VIEWERS, CONSOLE_VIEWS)
"""The metrics of the console, which does not run here."""
EVERY_PROCESS = ("ingest", "dispatcher", "reaper", "worker-1", "worker-2")


async def scrape(system: System) -> dict[str, str]:
    """Return the metrics of each process."""
    async with httpx2.AsyncClient(trust_env=False, timeout=30) as http:
        answers = {name: await http.get(f"{url}/metrics") for name, url in system.admin_urls.items()}
    for answer in answers.values():
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/plain; version=")
    return {name: answer.text for name, answer in answers.items()}


def families(text: str) -> dict[str, tuple[str, dict[tuple, float]]]:
    """Return kind and samples of each of our metrics; samples by name and labels."""
    return {
        family.name: (
            family.type,
            {(sample.name, *sorted(sample.labels.items())): sample.value for sample in family.samples},
        )
        for family in text_string_to_metric_families(text)
        if family.name.startswith("millstream_")
    }


@pytest.fixture
async def shown(system, client, folder) -> dict[str, str]:
    """Return the metrics after a job that ended, one that was retried and one that died."""
    await system.wait_all_ready()
    for job_type, payload in (
        ("chore.count", {"folder": str(folder)}),
        ("chore.retried", None),
        ("chore.closed", None),
    ):
        await client.wait((await client.submit(job_type, payload)).id, 60)
    await wait_until(lambda: has_measured(system), "the dispatcher has measured the queues", 60)
    return await scrape(system)


async def has_measured(system: System) -> bool:
    """Return whether the dispatcher shows a dead job of this type."""
    found = families((await scrape(system))["dispatcher"])
    return bool(found["millstream_dead_jobs"][1].get(("millstream_dead_jobs", ("type", "chore.closed"))))


async def test_all_metrics_are_shown_and_no_others(shown):
    """The processes together export exactly the metrics of names.py, each of its kind."""
    assert shown.keys() == set(EVERY_PROCESS)
    kinds: dict[str, str] = {}
    for text in shown.values():
        kinds |= {name: kind for name, (kind, _) in families(text).items()}
    # The parser calls a counter by its name without `_total`.
    assert kinds == {
        spec.name.removesuffix("_total"): spec.kind for spec in METRICS if spec not in (*OF_HISTORY, *OF_CONSOLE)
    }


async def test_every_process_shows_how_it_talks_to_redis_and_what_its_duties_do(shown):
    """Every process exports its calls to Redis, and each except ingest its duties."""
    for name, text in shown.items():
        found = families(text)
        assert found["millstream_redis_seconds"][1], name
        if name != "ingest":
            assert found["millstream_duty_last_success_timestamp_seconds"][1], name


async def test_retried_job_counts_as_two_attempts_and_ends_once(system, client, shown):
    """A retried job counts two attempts and one end over all workers."""
    before = counts(shown)
    job = await client.submit("chore.retried")
    await job.result(60)
    expected = before + Counter({"error": 1, "ok": 1, "succeeded": 1})

    async def are_counted() -> bool:
        return counts(await scrape(system)) == expected

    await wait_until(are_counted, "both attempts and the end are counted")


def counts(shown: Mapping[str, str]) -> Counter[str]:
    """Return the attempts of `chore.retried` by outcome, and the number that succeeded."""
    found: Counter[str] = Counter()
    for text in shown.values():
        ours = families(text)
        for name in ("millstream_job_attempts", "millstream_jobs_finished"):
            for (sample, *labels), value in ours.get(name, ("", {}))[1].items():
                what = dict(labels)
                if sample == f"{name}_total" and what["type"] == "chore.retried":
                    found[what.get("outcome") or what["state"]] += int(value)
    return found


@pytest.mark.skipif(shutil.which("promtool") is None, reason="no promtool on PATH")
async def test_promtool_finds_nothing_to_object_to(shown):
    """The metrics pass promtool, which checks names, kinds and help texts."""
    for name, text in shown.items():
        checked = await anyio.run_process(["promtool", "check", "metrics"], input=text.encode(), check=False)
        assert (checked.returncode, checked.stderr) == (0, b""), name
