"""Ends a run: jobs come to rest, nothing is held any more, workers stop in order, and nothing is left behind."""

from collections import Counter
from collections.abc import Awaitable, Callable, Iterator

from chaos.counters import Counters, samples_of
from chaos.fleet import NAMESPACE
from chaos.gatherer import in_hand, unsettled, unwritten
from chaos.service import Service
from chaos.stage import Stage
from leftovers import find_leaks, keys_of_tenant, mentions_of_tenant
from msgspec import Struct, field
from waiting import wait_until

from millstream_dispatcher.event_reader import ABANDONED_S
from millstream_telemetry import names

REST_WITHIN_S = 45.0
"""The time from the end of all faults until no job is under way."""

PASSES = 5
"""The number of passes, beside one lease, within which everything has to be given back once no job is under way."""

Look = Callable[[], Awaitable[list[str]]]


class Rest(Struct):
    """The findings when a run came to rest."""

    unrest: list[str]
    """The complaints, in words."""
    counters: dict[int, Counters] = field(default_factory=dict)
    """The metrics by process, except for processes that had ended by then."""


async def come_to_rest(stage: Stage) -> Rest:
    """Wait for rest, check everything that should be idle by then, and stop the workers in order."""
    unrest = list(stage.complaints)
    if under_way := await _remaining(lambda: unsettled(stage.broker), REST_WITHIN_S):
        return Rest(unrest + [f"still under way after {REST_WITHIN_S:g} s: {what}" for what in under_way])
    if stage.history:
        unrest += await _remaining(lambda: unwritten(stage.broker), ABANDONED_S + REST_WITHIN_S)
    try:
        await stage.fleet.wait_ready()
        unrest += await _remaining(lambda: still_held(stage), _patience_s(stage))
        counters = {service.pid: await stage.fleet.counters(service) for service in stage.fleet.services}
        unrest += await stage.fleet.drain_workers()
    except AssertionError as error:
        return Rest([*unrest, str(error)])
    return Rest(unrest + await left_behind(stage), counters)


async def still_held(stage: Stage) -> list[str]:
    """Return, in words, what a service still holds or shows although no job is under way."""
    found = [f"process {pid} holds {count} entries" for pid, count in (await in_hand(stage.broker)).items() if count]
    dead = await _dead_by_type(stage)
    for service in stage.fleet.services:
        counters = await stage.fleet.counters(service)
        found += [f"{service.name} {what}" for what in _shown_wrongly(service, counters, dead)]
        if service.connections > (most := service.connections_when_fresh + stage.timing.spare_connections):
            found.append(f"{service.name} keeps {service.connections} connections, and {most} are enough")
    return found


def _shown_wrongly(service: Service, counters: Counters, dead: Counter[str]) -> Iterator[str]:
    if service.kind == "worker" and (busy := sum(samples_of(counters, names.WORKER_SLOTS_BUSY.name).values())):
        yield f"has {busy:g} slots busy"
    if service.kind == "dispatcher":
        for labels, count in samples_of(counters, names.QUEUE_JOBS.name).items():
            yield f"shows {count:g} jobs as {' '.join(labels)}"
        shown = {job_type: int(count) for (job_type,), count in samples_of(counters, names.DEAD_JOBS.name).items()}
        if shown != dict(dead):
            yield f"shows dead jobs {shown}, and there are {dict(dead)}"


async def left_behind(stage: Stage) -> list[str]:
    """Return, in words, what is left in Redis of workers that stopped in order, and unexplained keys."""
    left = {worker.pid: worker.name for worker in stage.fleet.of("worker")}
    listed = [int(worker.name.split(":")[1]) for worker in await stage.broker.registry.workers()]
    found = [f"{left[pid]} has left and is still listed" for pid in listed if pid in left]
    found += await _left_of_deleted(stage)
    return found + [f"left behind in Redis: {leak}" for leak in await find_leaks(stage.broker.client, NAMESPACE)]


async def _left_of_deleted(stage: Stage) -> list[str]:
    """Return, in words, what is left of a tenant whose deletion is done."""
    deletion = stage.tenancy.deletion
    if deletion is None or not deletion.is_done:
        return []
    tenant, client = deletion.tenant, stage.broker.client
    keys = await keys_of_tenant(client, NAMESPACE, tenant) + await mentions_of_tenant(client, NAMESPACE, tenant)
    found = [f"{key} is left of the deleted tenant {tenant}" for key in keys]
    rows = await stage.history.rows_of(tenant) if stage.history else {}
    left = {table: count for table, count in rows.items() if count}
    return found + [f"{table} has {count} rows of the deleted tenant {tenant}" for table, count in left.items()]


async def _dead_by_type(stage: Stage) -> Counter[str]:
    dead: Counter[str] = Counter()
    for queue in await stage.broker.registry.queues():
        dead[queue.type] += (await stage.broker.store.measure(queue)).dead
    return +dead


async def _remaining(look: Look, within_s: float) -> list[str]:
    """Return the findings of the last look, or nothing as soon as one look finds nothing."""
    last: list[str] = []

    async def is_none() -> bool:
        last[:] = await look()
        return not last

    try:
        await wait_until(is_none, "nothing remains", within_s)
    except AssertionError:
        return last
    return []


def _patience_s(stage: Stage) -> float:
    timing = stage.timing
    return timing.lease_s + PASSES * max(timing.interval_s, timing.gauges_every_s)
