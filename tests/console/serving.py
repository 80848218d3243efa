"""Runs a console on a loopback port in the event loop of the test, and reads its pages as a browser without script."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import httpx2
from bs4 import BeautifulSoup, Tag
from msgspec.structs import replace

from millstream_console.app import create_app
from millstream_console.service import open_desk, serve
from millstream_console.settings import ConsoleSettings
from millstream_console.web.observation import Observation
from millstream_console.web.visit import Desk
from millstream_telemetry import ConsoleMetrics, JobTracer, MetricRegistry


class Page:
    """A page as it was answered."""

    def __init__(self, response: httpx2.Response) -> None:
        self.response = response
        self.status = response.status_code
        self.html = response.text
        self.soup = BeautifulSoup(response.text, "html.parser")

    @property
    def text(self) -> str:
        """Return what people read, with single spaces."""
        return " ".join(self.soup.get_text(" ").split())

    @property
    def main(self) -> str:
        """Return what people read in the page, without its frame."""
        return " ".join(self.the("main").get_text(" ").split())

    @property
    def toast(self) -> str:
        """Return what the toast says; nothing without one."""
        found = self.soup.select_one(".toast")
        return " ".join(found.get_text(" ").split()) if found else ""

    def all(self, selector: str) -> list[Tag]:
        """Return the elements of a selector."""
        return self.soup.select(selector)

    def the(self, selector: str) -> Tag:
        """Return the only element of a selector."""
        (found,) = self.all(selector)
        return found

    def rows(self, selector: str = "tbody") -> list[str]:
        """Return the rows of a table as text."""
        return [" ".join(row.get_text(" ").split()) for row in self.soup.select(f"{selector} tr")]


class Browser:
    """Asks the console as a browser does that runs no script."""

    def __init__(self, http: httpx2.AsyncClient, desk: Desk) -> None:
        self.http = http
        self.desk = desk

    async def get(self, path: str, status: int = 200, **query: Any) -> Page:
        """Open a page, which must have this status."""
        page = Page(await self.http.get(path, params=query or None))
        assert page.status == status, page.text
        return page

    async def post(self, path: str, **fields: Any) -> Page:
        """Submit a form of the console, and follow to where it leads."""
        response = await self.http.post(path, data=fields, headers={"sec-fetch-site": "same-origin"})
        while response.status_code == 303:
            response = await self.http.get(response.headers["location"])
        return Page(response)


@asynccontextmanager
async def running_console(settings: ConsoleSettings, *, port: int = 0) -> AsyncIterator[Browser]:
    """Run a console while the block lasts, on a free port unless one is given."""
    settings = replace(settings, console_port=port)
    stop, listening = anyio.Event(), anyio.Event()
    urls: list[str] = []

    def note(host: str, port: int) -> None:
        urls.append(f"http://{host}:{port}")
        listening.set()

    async with open_desk(settings) as (desk, assets), anyio.create_task_group() as tasks:

        async def run() -> None:
            app = create_app(desk, assets, Observation(JobTracer(None), ConsoleMetrics(MetricRegistry())))
            await serve(app, settings, desk.hub, stop, on_listening=note)

        tasks.start_soon(run)
        await listening.wait()
        base_url = f"{urls[0]}{settings.console_path}"
        async with httpx2.AsyncClient(base_url=base_url, trust_env=False, verify=False, timeout=60) as http:
            yield Browser(http, desk)
        stop.set()
