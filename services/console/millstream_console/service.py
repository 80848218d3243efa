"""Runs the console: opens its client of the API, serves until the order to stop, and ends its streams."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager

import anyio
import httpx2
import structlog
from litestar import Litestar

from millstream import Client
from millstream.client.transport import http_settings
from millstream_console.app import create_app
from millstream_console.drawing.environment import Renderer
from millstream_console.drawing.masking import names_secret
from millstream_console.drawing.pieces import pieces
from millstream_console.drawing.url_pattern import filled
from millstream_console.live.hub import Hub
from millstream_console.live.view import Arguments, Content, Moved, Reader, View
from millstream_console.reading.at_once import AtOnce
from millstream_console.reading.frame_facts import FrameReader
from millstream_console.reading.rights import note_rights
from millstream_console.settings import ConsoleSettings
from millstream_console.web.assets import Assets
from millstream_console.web.navigation import GROUPS, KEYS
from millstream_console.web.observation import Observation
from millstream_console.web.openid.provider import OpenIdProvider
from millstream_console.web.seats import Seats
from millstream_console.web.visit import Desk, address_in
from millstream_contracts import PrincipalInfo
from millstream_runtime import Health, Service, run_service
from millstream_runtime.gc_tuning import tune_gc
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
        desk.count_sign_in = metrics.count_sign_in
        metrics.watch_viewers(lambda: desk.hub.viewers, lambda: desk.hub.views)
        app = create_app(desk, assets, Observation(service.tracer, metrics))
        desk.renderer.load()
        await serve(app, service.settings, desk.hub, service.orders.stop, on_listening=lambda *_: tune_gc())


@asynccontextmanager
async def open_desk(settings: ConsoleSettings) -> AsyncIterator[tuple[Desk, Assets]]:
    """Open what pages are made with, while the block lasts."""
    assets = Assets()
    async with (
        AsyncExitStack() as stack,
        httpx2.AsyncClient(**http_settings(settings.url)) as http,
        anyio.create_task_group() as tasks,
    ):

        def open_client(token: str) -> Client:
            key = token or None
            # What is secret does not leave ingest: pages are photographed, cached and read over shoulders.
            return Client(
                settings.url,
                api_key=key,
                retry_for_s=API_RETRY_FOR_S,
                timeout_s=API_WITHIN_S,
                mask_secrets=True,
                http=http,
            )

        renderer = Renderer(shared_names(settings, assets), names_secret(settings.console_masked))
        hub = Hub(renderer, tasks, every_s=settings.console_refresh_s)
        desk = Desk(settings, open_client(""), renderer, hub, Seats(open_client, make_reader))
        if settings.oidc_issuer:
            desk.provider = await stack.enter_async_context(aclosing(OpenIdProvider(settings)))
        yield desk, assets
        hub.close()
        tasks.cancel_scope.cancel()


def make_reader(client: Client, key: str, principal: PrincipalInfo) -> Reader:
    """Return what reads pages with the rights of a session."""
    note_rights(client, principal.scopes)
    frame, granted = FrameReader(client), frozenset(principal.scopes)

    async def read(view: View, arguments: Arguments) -> Content:
        async with AtOnce() as reads:
            content = reads.begin(view.gather(client, **arguments))
            facts = reads.begin(frame.read())
        given = {"place": view.place, "facts": facts.value, "may": granted.__contains__, "who": principal}
        return {**given, **content.value}

    async def follow(view: View, arguments: Arguments, moved: Moved) -> None:
        if view.follow:
            await view.follow(client, moved, **arguments)

    return Reader(key, read, follow)


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
        return filled(settings.console_trace_url, {"trace_id": trace_id})

    def log_at(**values: str) -> str:
        """Return where all log lines of a job are shown; nothing where that is not known."""
        return filled(settings.console_log_url, values)

    def issue_at(**values: str) -> str:
        """Return where an issue about a group of dead jobs is opened; nothing where that is not known."""
        return filled(settings.console_issue_url, values)

    return {
        "at": at,
        "asset": asset,
        "pieces": pieces(asset),
        "trace_at": trace_at,
        "log_at": log_at,
        "issue_at": issue_at,
        "base": base,
        "navigation": GROUPS,
        "keys": KEYS,
        "api_url": settings.shown_url,
        "people_url": settings.people_url,
    }
