"""Runs a worker for the handlers of some apps, from its first moment until the order to stop."""

import fnmatch
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from types import MappingProxyType
from typing import Any

from millstream import App, Discard, Snooze
from millstream.durable.suspension import Suspended
from millstream_contracts import JobType, did_you_mean
from millstream_runtime import Service, SettingsError, provider_of, run_service, suitable_redis
from millstream_streams import NEEDS, Broker
from millstream_workers.assembly import Assembly, Handlers
from millstream_workers.errors import NoHandlersError
from millstream_workers.settings import WorkerSettings
from millstream_workers.worker import Worker

PATIENCE_S = 5.0
"""How long a call that Redis does not answer is repeated."""


def select_handlers(app: App[Any], patterns: Sequence[str]) -> Handlers:
    """Return the handlers whose types match one of the shell patterns, all without any. Raises: NoHandlersError."""
    patterns = patterns or ("*",)
    for pattern in patterns:
        if not fnmatch.filter(app.handlers, pattern):
            raise NoHandlersError(f"no handler for `{pattern}`{did_you_mean(pattern, app.handlers)}")
    return {
        JobType(name): handler
        for name, handler in app.handlers.items()
        if any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)
    }


def run_worker(settings: WorkerSettings, app: App[Any], *, release: str = "") -> None:
    """Run a worker until the order to stop; an order to abandon ends the process beside handlers that do not end.

    Raises: NoHandlersError, UnsuitableRedisError, RedisTlsError, AdminBindError, TracingConfigError.
    """
    handlers = select_handlers(app, settings.types)
    run_service(
        "workers",
        settings,
        partial(_work, app=app, handlers=handlers, release=release),
        # How a handler says what becomes of its job.
        not_errors=(Snooze, Discard, Suspended),
    )


async def _work(service: Service[WorkerSettings], *, app: App[Any], handlers: Handlers, release: str) -> None:
    service.metrics.register_types(handlers)
    _check_keys(service.settings, handlers)
    async with (
        suitable_redis(service, NEEDS["worker"], patience_s=PATIENCE_S) as redis,
        opened_states(app, handlers) as states,
    ):
        await check_tenants(service.settings, redis.broker)
        assembly = Assembly(
            settings=service.settings,
            handlers=handlers,
            broker=redis.broker,
            registry=service.metrics,
            tracer=service.tracer,
            states=states,
            release=release,
        )
        worker = Worker(service.settings, assembly.build(), abandon=service.leave)
        service.report.take_over(live=worker.live, ready=worker.ready)
        await worker.run(service.orders)


def _check_keys(settings: WorkerSettings, handlers: Handlers) -> None:
    """Raise SettingsError for a worker that could not store what its handlers give."""
    encrypted = sorted(job_type for job_type, handler in handlers.items() if handler.policy.encrypted)
    if encrypted and provider_of(settings) is None:
        raise _keys_missing(f"`{encrypted[0]}` is declared with encrypted=True, which takes keys")


async def check_tenants(settings: WorkerSettings, broker: Broker) -> None:
    """Raise SettingsError for a worker that could not read the jobs of a tenant that it serves."""
    if provider_of(settings) is not None:
        return
    for name, stored in (await broker.tenants.all()).items():
        if stored.encrypts_all and settings.served.serves(name):
            raise _keys_missing(f"the jobs of the tenant `{name}` are stored encrypted, which takes keys")


def _keys_missing(need: str) -> SettingsError:
    return SettingsError(
        [f"{need}: set MILLSTREAM_ENCRYPTION_KEYS or its companions, the same for ingest, workers and dispatchers"]
    )


@asynccontextmanager
async def opened_states(
    app: App[Any], handlers: Handlers, given: Mapping[App[Any], Any] = MappingProxyType({})
) -> AsyncIterator[dict[JobType, Any]]:
    """Open the lifespans that these handlers need, except those of apps whose state is given.

    Yields: the state for each type.
    """
    async with AsyncExitStack() as stack:
        opened = dict(given)
        states: dict[JobType, Any] = {}
        for job_type in handlers:
            owner = app.state_app(job_type)
            if owner not in opened:
                opened[owner] = await stack.enter_async_context(owner.running())
            states[job_type] = opened[owner]
        yield states
