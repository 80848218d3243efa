"""Clients of two releases submit throughout a rolling upgrade and its rollback."""

from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

import anyio
import pytest
from ingest.serving import Ingest, patient, running_ingest
from msgspec import Struct
from waiting import wait_until
from workers.floor import Floor, Hired

from millstream import App, Context
from millstream_contracts import Backoff, JobState
from millstream_ingest.settings import IngestSettings

TYPE = "invoice.send"


class OldInvoice(Struct, forbid_unknown_fields=True):
    """An invoice as the older release defines it."""

    number: int


class NewInvoice(Struct, forbid_unknown_fields=True):
    """An invoice as the newer release defines it."""

    number: str
    currency: str


FORMS: dict[str, Callable[[int], dict[str, Any]]] = {
    "old": lambda number: {"number": number},
    "new": lambda number: {"number": str(number), "currency": "EUR"},
}


class Clients:
    """Clients of both releases, each of which submits its own form of payload until it is stopped."""

    def __init__(self, ingest: Ingest) -> None:
        self._ingest = ingest
        self.active: set[str] = set()
        self.accepted: dict[str, str] = {}
        """Job ids, and the form of the payload of each."""
        self.refused: list[str] = []
        self._rounds = 0

    async def run(self) -> None:
        """Submit until cancelled."""
        for number in count():
            for form in sorted(self.active):
                payload = FORMS[form](number)
                response = await self._ingest.http.post("/v1/jobs", json={"type": TYPE, "payload": payload})
                if response.status_code == 202:
                    self.accepted[response.json()["id"]] = form
                else:
                    self.refused.append(f"{form}: {response.text}")
            self._rounds = number
            await anyio.sleep(0.01)

    async def stop(self, form: str) -> None:
        """Stop the clients of one release, and return once none of their requests is under way."""
        self.active.discard(form)
        rounds = self._rounds
        await wait_until(lambda: self._rounds > rounds + 1, "the requests under way are answered")


class Fleet:
    """Workers of two releases of one application."""

    def __init__(self, floor: Floor) -> None:
        self._floor = floor
        self.effects: Counter[tuple[str, str]] = Counter()
        """How often each release has run the handler of a job."""

    async def start(self, release: str) -> Hired:
        """Start a worker."""
        app = self._old() if release == "old" else self._new()
        return await self._floor.hire(app, code_version=release, beat_every_s=0.1, concurrency=4, grace_s=5.0)

    async def replace(self, worker: Hired, release: str) -> Hired:
        """Stop a worker as a rolling restart does, and start another in its place."""
        worker.orders.stop.set()
        await wait_until(worker.is_gone.is_set, "the worker has drained")
        return await self.start(release)

    def _old(self) -> App:
        app = App("old")

        @app.job(TYPE)
        async def send(payload: OldInvoice, ctx: Context) -> None:
            await self._work("old", ctx)

        return app

    def _new(self) -> App:
        app = App("new")

        @app.job(TYPE, partitions=3)
        async def send(payload: NewInvoice, ctx: Context) -> None:
            await self._work("new", ctx)

        return app

    async def _work(self, release: str, ctx: Context) -> None:
        await anyio.sleep(0.005)
        self.effects[release, ctx.job_id] += 1


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten all periodic intervals."""
    monkeypatch.setattr("millstream_submission.type_catalogue.FRESH_FOR_S", 0.02)
    monkeypatch.setattr("millstream_workers.fetching.release_finder.ELSEWHERE_AFTER", Backoff(base_s=0.05, cap_s=0.2))
    monkeypatch.setattr("millstream_workers.fetching.partition_finder.PartitionFinder.interval_s", 0.1)


@asynccontextmanager
async def promoting(floor: Floor) -> AsyncIterator[None]:
    """Release due jobs, as the dispatcher does."""

    async def promote() -> None:
        while True:
            for queue in await floor.broker.registry.queues():
                await floor.broker.store.release_due(queue)
            await anyio.sleep(0.02)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(promote)
        yield
        tasks.cancel_scope.cancel()


async def is_shown(ingest: Ingest, release: str) -> bool:
    """Return whether the API shows the registration of this release."""
    return (await ingest.get(f"/v1/types/{TYPE}"))["code_version"] == release


async def takes(ingest: Ingest, form: str) -> bool:
    """Return whether ingest accepts a payload of this form, by submitting a job with it."""
    strict = [{"type": TYPE, "payload": FORMS[form](0)}, {"type": "no.such.type"}]
    response = await ingest.http.post("/v1/jobs/batch", json={"jobs": strict}, headers={"prefer": "handling=strict"})
    return not any(error["pointer"].startswith("/jobs/0/") for error in response.json()["errors"])


async def all_done(floor: Floor, clients: Clients, form: str) -> bool:
    """Return whether all that clients of one release submitted has settled."""
    floor.check()
    for job_id in [job_id for job_id, its_form in clients.accepted.items() if its_form == form]:
        if not (await floor.job(job_id)).state.is_settled:  # type: ignore[arg-type]
            return False
    return True


async def test_a_rolling_upgrade_and_its_rollback_cost_no_job_and_no_submission_anything(
    floor: Floor, redis_url: str, namespace: str
) -> None:
    """Throughout an upgrade and its rollback no readable payload is refused, and every job succeeds once at no cost."""
    settings = patient(IngestSettings(redis_url=redis_url, namespace=namespace, port=0))
    async with running_ingest(settings) as ingest, promoting(floor), anyio.create_task_group() as tasks:
        fleet, clients = Fleet(floor), Clients(ingest)
        workers = [await fleet.start("old") for _ in range(3)]
        await wait_until(lambda: takes(ingest, "old"), "the older release is known")
        clients.active.add("old")
        tasks.start_soon(clients.run)

        # The upgrade, all but one worker: for as long as it is there, its clients submit.
        workers[0] = await fleet.replace(workers[0], "new")
        await wait_until(lambda: takes(ingest, "new"), "the newer release is known")
        clients.active.add("new")
        workers[1] = await fleet.replace(workers[1], "new")
        assert await is_shown(ingest, "new")
        # The last worker of the older release is restarted, and for a moment there is none.
        for release in ("old", "new", "old"):
            workers[2] = await fleet.replace(workers[2], release)

        # The rollback.
        workers[1] = await fleet.replace(workers[1], "old")
        await clients.stop("new")
        await wait_until(lambda: all_done(floor, clients, "new"), "what the newer release has to do is done")
        workers[0] = await fleet.replace(workers[0], "old")
        await wait_until(lambda: is_shown(ingest, "old"), "the older release is the newest again")
        await wait_until(lambda: refuses(ingest, "new"), "what only the newer release took is refused")
        await clients.stop("old")
        await wait_until(lambda: all_done(floor, clients, "old"), "all is done")
        tasks.cancel_scope.cancel()

    assert clients.refused == []
    assert Counter(clients.accepted.values()).keys() == {"old", "new"}
    jobs = [await floor.job(job_id) for job_id in clients.accepted]  # type: ignore[arg-type]
    assert {(job.state, job.attempts, job.crashes) for job in jobs} == {(JobState.SUCCEEDED, 1, 0)}
    assert fleet.effects == Counter({(form, job_id): 1 for job_id, form in clients.accepted.items()})


async def refuses(ingest: Ingest, form: str) -> bool:
    """Return whether ingest refuses a payload of this form."""
    return not await takes(ingest, form)
