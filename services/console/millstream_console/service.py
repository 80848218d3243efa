"""Runs the console: opens its client of the API, serves until the order to stop, and ends its streams."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import quote

import anyio
import structlog
from litestar import Litestar

from millstream import Client
from millstream_console.app import create_app
from millstream_console.drawing.environment import Renderer
from millstream_console.live.hub import Hub
from millstream_console.live.view import Arguments, Content, Moved, View
from millstream_console.reading.frame_facts import FrameReader
from millstream_console.settings import ConsoleSettings
from millstream_console.web.assets import Assets
from millstream_console.web.navigation import GROUPS, KEYS
from millstream_console.web.observation import Observation
from millstream_console.web.visit import Desk, address_in
from millstream_runtime import Health, Service, run_service
from millstream_runtime.http_server import HttpServer, Listening, serving
from millstream_telemetry import ConsoleMetrics

GRACE_S = 5.0
"""How long requests in hand may take once the port is closed."""

API_WITHIN_S = 10.0
API_RETRY_FOR_S = 0.5
"""A person that waits for a page learns soon that the API is away."""


def run_console(settings: ConsoleSettings) -> None:
    """Run the console until the order to stop. The API may be away: pages say so.

    Raises: BindError, AdminBindError, TracingConfigError, ValueError.
    """
    run_service("console", settings, _console)


async def _console(service: Service[ConsoleSettings]) -> None:
    service.report.take_over(live=lambda: Health.of([]), ready=lambda: Health.of([]))
    metrics = ConsoleMetrics(service.metrics)
    async with open_desk(service.settings) as (desk, assets):
        metrics.watch_viewers(lambda: desk.hub.viewers, lambda: desk.hub.views)
        app = create_app(desk, assets, Observation(service.tracer, metrics))
        await serve(app, service.settings, desk.hub, service.orders.stop)


@asynccontextmanager
async def open_desk(settings: ConsoleSettings) -> AsyncIterator[tuple[Desk, Assets]]:
    """Open what pages are made with, while the block lasts."""
    assets = Assets()
    async with (
        Client(settings.url, retry_for_s=API_RETRY_FOR_S, timeout_s=API_WITHIN_S) as client,
        anyio.create_task_group() as tasks,
    ):
        frame = FrameReader(client)

        async def read(view: View, arguments: Arguments) -> Content:
            content = await view.gather(client, **arguments)
            return {"place": view.place, "facts": await frame.read(), **content}

        async def follow(view: View, arguments: Arguments, moved: Moved) -> None:
            if view.follow:
                await view.follow(client, moved, **arguments)

        renderer = Renderer(shared_names(settings, assets))
        hub = Hub(read, renderer, tasks, every_s=settings.console_refresh_s, follow=follow)
        yield Desk(settings, client, renderer, hub, read), assets
        hub.close()
        tasks.cancel_scope.cancel()


async def serve(
    app: Litestar,
    settings: ConsoleSettings,
    hub: Hub,
    stop: anyio.Event,
    *,
    on_listening: Listening | None = None,
) -> None:
    """Serve until `stop` is set. `on_listening` gets the host and the port. Raises: BindError."""
    server = HttpServer(app, settings.console_host, settings.console_port)
    async with serving(server, stop, grace_s=GRACE_S, on_listening=on_listening):
        await stop.wait()
        hub.close()
    structlog.get_logger().info("stopped")


def shared_names(settings: ConsoleSettings, assets: Assets) -> dict[str, object]:
    """Return what every template may use."""
    base, addresses = settings.console_path, assets.addresses

    def at(path: str, **query: str | int | None) -> str:
        return address_in(base, path, **query)

    def asset(name: str) -> str:
        return f"{base}/{addresses[name]}"

    def trace_at(trace_id: str) -> str:
        """Return where a trace is shown; nothing where that is not known."""
        return settings.console_trace_url.replace("{trace_id}", quote(trace_id, safe=""))

    return {
        "at": at,
        "asset": asset,
        "trace_at": trace_at,
        "base": base,
        "navigation": GROUPS,
        "keys": KEYS,
        "api_url": settings.shown_url,
    }
