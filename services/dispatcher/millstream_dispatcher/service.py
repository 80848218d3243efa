"""Runs a dispatcher: a list of duties, and a listener for hints."""

from contextlib import AsyncExitStack
from itertools import chain

import anyio

from millstream_contracts import Queue
from millstream_dispatcher.assembly import open_duties
from millstream_dispatcher.check_schedule import CheckSchedule
from millstream_dispatcher.settings import DispatcherSettings
from millstream_history import open_history
from millstream_runtime import DutyRunner, Service, run_duties, run_service, suitable_redis
from millstream_runtime.gc_tuning import tune_gc
from millstream_streams import NEEDS, StoreUnavailableError
from millstream_telemetry import DutyMetrics

PATIENCE_S = 1.0
"""How long a call is repeated: shortly, because a duty returns by itself, and on a cluster the other nodes wait for it.
"""


def run_dispatcher(settings: DispatcherSettings) -> None:
    """Run a dispatcher until the order to stop.

    Raises: UnsuitableRedisError, RedisTlsError, HistoryUrlError, AdminBindError, TracingConfigError.
    """
    run_service("dispatcher", settings, _dispatch)


async def _dispatch(service: Service[DispatcherSettings]) -> None:
    settings = service.settings
    async with AsyncExitStack() as stack:
        # Before anything is waited for: nothing mends a URL that cannot be read.
        history = await stack.enter_async_context(open_history(settings.history_url)) if settings.history_url else None
        redis = await stack.enter_async_context(suitable_redis(service, NEEDS["dispatcher"], patience_s=PATIENCE_S))
        broker = redis.broker
        due = CheckSchedule(broker.registry, settings.release_every_s)
        outbox = CheckSchedule(broker.registry, settings.tell_every_s)
        made = await stack.enter_async_context(open_duties(service, broker, history, due, outbox))
        metrics, needs = DutyMetrics(service.metrics, "dispatcher"), {"redis": StoreUnavailableError}
        runner = DutyRunner(made.duties, metrics, needs=needs, checks=made.checks)
        service.report.take_over(live=runner.live, ready=runner.ready, duties=runner.duties)

        def on_hint(queue: Queue) -> None:
            wakes = made.shard_wakes.get(queue.type)
            if wakes is None:
                due.check_now(queue)
                return
            for wake in wakes:
                wake.set()

        def on_gap() -> None:
            due.check_all_now()
            for wake in chain(*made.shard_wakes.values()):
                wake.set()

        async def listen() -> None:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(broker.listen_due, on_hint, on_gap)
                tasks.start_soon(broker.listen_outbox, outbox.check_now, outbox.check_all_now)

        tune_gc()
        await run_duties(runner, service.orders, beside=listen)
