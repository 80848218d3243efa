"""Runs ingest: opens its services, serves until the order to stop, and leaves in order."""

from collections.abc import Callable

import anyio
import structlog

from millstream_ingest.api.app import create_asgi
from millstream_ingest.assembly import Services, open_services
from millstream_ingest.gc_tuning import tune_gc
from millstream_ingest.settings import IngestSettings
from millstream_runtime import Service, announce, beating, run_service, unwrapped
from millstream_runtime.http_server import HttpServer

GRACE_S = 20.0
"""How long requests in hand may take once the port is closed."""

Listening = Callable[[str, int], None]


def run_ingest(settings: IngestSettings) -> None:
    """Run ingest until the order to stop.

    It serves from its first moment: while Redis is away it answers with refusals. Raises: BindError, AdminBindError,
    HistoryUrlError, RedisTlsError, UnsuitableRedisError, TracingConfigError.
    """
    run_service("ingest", settings, _ingest)


async def _ingest(service: Service[IngestSettings]) -> None:
    orders = service.orders
    async with open_services(service.settings, tracer=service.tracer, registry=service.metrics) as services:
        service.report.take_over(live=services.health.live, ready=services.health.ready)
        async with beating(service.name, service.settings, services.broker.registry):
            await serve(services, orders.stop, orders.hurry, on_listening=lambda *_: tune_gc())


async def serve(
    services: Services,
    stop: anyio.Event,
    hurry: anyio.Event,
    *,
    on_listening: Listening | None = None,
    grace_s: float = GRACE_S,
) -> None:
    """Serve until `stop` is set; `hurry` skips the drain. Raises: BindError.

    `on_listening` is called with host and port once requests are answered.
    """
    settings, log = services.settings, structlog.get_logger()
    server = HttpServer(create_asgi(services), settings.host, settings.port)
    with unwrapped():
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_run_until_stopped, server, stop)
            await server.wait_listening()
            announce("listening", server.host, server.port, was_chosen=settings.port == 0)
            if on_listening:
                on_listening(server.host, server.port)
            await stop.wait()
            log.info("draining", drain_s=settings.drain_s, grace_s=grace_s)
            # Load balancers first have to learn that this process ends; until then requests are answered.
            services.watch.leave()
            with anyio.move_on_after(settings.drain_s):
                await hurry.wait()
            services.waiter.close()
            services.events.close()
            server.stop()
            await server.wait_ended(grace_s)
            tasks.cancel_scope.cancel()
    log.info("stopped")


async def _run_until_stopped(server: HttpServer, stop: anyio.Event) -> None:
    await server.run()
    # A server that ends by itself leaves nothing to wait for.
    stop.set()
