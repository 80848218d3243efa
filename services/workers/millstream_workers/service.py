"""Runs a worker for the handlers of some apps, from its first moment until it is told to stop."""

import fnmatch
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from millstream import App
from millstream.handler import Handler
from millstream_contracts import JobType, did_you_mean
from millstream_runtime import FailureLog, HealthReport, heed_stop_signals, serve_admin
from millstream_streams import NEEDS, open_broker
from millstream_telemetry import JobTracer, MetricRegistry, RedisMetrics
from millstream_workers.assembly import Assembly, Handlers
from millstream_workers.config import WorkerConfig
from millstream_workers.errors import NoHandlersError
from millstream_workers.worker import Worker


def select_handlers(app: App, patterns: Sequence[str]) -> Handlers:
    """Return the handlers whose types match one of the shell patterns. Raises: NoHandlersError."""
    for pattern in patterns:
        if not fnmatch.filter(app.handlers, pattern):
            raise NoHandlersError(f"no handler for `{pattern}`{did_you_mean(pattern, app.handlers)}")
    return {
        JobType(name): handler
        for name, handler in app.handlers.items()
        if any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)
    }


async def run_worker(
    config: WorkerConfig,
    app: App,
    *,
    tracer: JobTracer,
    release: str = "",
    abandon: Callable[[], None] | None = None,
) -> None:
    """Run a worker until SIGTERM or SIGINT; `abandon` ends the process beside handlers that do not end.

    Raises: NoHandlersError, UnsuitableRedisError, RedisTlsError, AdminBindError.
    """
    handlers = select_handlers(app, config.types)
    registry = MetricRegistry()
    registry.register_types(handlers)
    failures = FailureLog("connection to Redis")
    report = HealthReport.waiting_for("workers", "redis", lambda: failures.last_error)
    async with AsyncExitStack() as stack:
        stack.enter_context(serve_admin(config.admin_host, config.admin_port, registry=registry, report=report))
        orders = await stack.enter_async_context(heed_stop_signals())
        broker = await stack.enter_async_context(
            open_broker(config.redis, namespace=config.namespace, observer=RedisMetrics(registry))
        )
        if await orders.unless_stopped(lambda: broker.wait_suitable(failures.failed, NEEDS["worker"])) is None:
            return
        failures.succeeded()
        states = await stack.enter_async_context(_opened_apps(handlers.values()))
        assembly = Assembly(
            config=config,
            handlers=handlers,
            broker=broker,
            registry=registry,
            tracer=tracer,
            states=states,
            release=release,
        )
        worker = Worker(config, assembly.build(), abandon=abandon)
        report.take_over(live=worker.live, ready=worker.ready)
        await worker.run(orders)


@asynccontextmanager
async def _opened_apps(handlers: Iterable[Handler[..., Any]]) -> AsyncIterator[dict[App, Any]]:
    """Open what the handlers of each app share."""
    async with AsyncExitStack() as stack:
        states: dict[App, Any] = {}
        for handler in handlers:
            if handler.app not in states:
                states[handler.app] = await stack.enter_async_context(handler.app.running())
        yield states
