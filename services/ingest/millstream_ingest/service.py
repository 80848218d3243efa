"""Runs ingest: opens its services, serves until the order to stop, and leaves in order."""

import anyio
import structlog

from millstream_ingest.api.app import create_asgi
from millstream_ingest.assembly import Services, open_services
from millstream_ingest.settings import IngestSettings
from millstream_runtime import Service, beating, run_service
from millstream_runtime.gc_tuning import tune_gc
from millstream_runtime.http_server import HttpServer, Listening, serving

GRACE_S = 20.0
"""How long requests in hand may take once the port is closed."""


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
    async with serving(server, stop, grace_s=grace_s, on_listening=on_listening):
        await stop.wait()
        log.info("draining", drain_s=settings.drain_s, grace_s=grace_s)
        # Load balancers first have to learn that this process ends; until then requests are answered.
        services.watch.leave()
        with anyio.move_on_after(settings.drain_s):
            await hurry.wait()
        services.waiter.close()
        services.events.close()
    log.info("stopped")
