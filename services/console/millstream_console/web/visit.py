"""One request and what answers it."""

import gzip
from collections.abc import Awaitable, Callable, Mapping
from functools import lru_cache
from typing import Any, TypeAlias, TypeVar
from urllib.parse import quote_plus

from litestar import Request, Response
from litestar.datastructures import Cookie
from litestar.di import NamedDependency
from litestar.response import Stream

from millstream import AccessError, ApiError, Client, UnavailableError
from millstream.errors import describe
from millstream_console.drawing.environment import Renderer
from millstream_console.drawing.masking import IsSecret, names_secret
from millstream_console.live.hub import Hub
from millstream_console.live.view import View
from millstream_console.settings import ConsoleSettings
from millstream_console.web.assets import accepts_gzip
from millstream_console.web.openid.provider import OpenIdProvider
from millstream_console.web.policy import security_headers
from millstream_console.web.seats import Seat, Seats, SignInNeededError
from millstream_console.web.toast import COOKIE, Toast, read_toast, toast_cookie
from millstream_contracts import Scope

HTML = "text/html"
LOCAL = "local"
"""What the cookie `zone` says where moments are shown in the zone of the browser, which only its script knows."""
THEMES = frozenset({"light", "dark"})
_SMALL_BYTES = 1_000
_MOST_DIGITS = 9
_MOST_QUOTED = 2_048

T = TypeVar("T")


class MissingScopeError(Exception):
    """A page leads to what the session of the request does not allow."""

    def __init__(self, scope: Scope) -> None:
        super().__init__(scope)
        self.scope = scope


class Desk:
    """What all visits share."""

    def __init__(self, settings: ConsoleSettings, client: Client, renderer: Renderer, hub: Hub, seats: Seats) -> None:
        self.settings = settings
        self.client = client
        """A client without a credential."""
        self.renderer = renderer
        self.hub = hub
        self.seats = seats
        self.provider: OpenIdProvider | None = None
        """The OpenID provider at which people sign in; None where there is none."""
        self.count_sign_in: Callable[[str], None] = lambda _: None
        """Counts a sign-in by its outcome."""
        self.is_secret = names_secret(settings.console_masked)


class PageRequest:
    """A request. Pages are functions of it."""

    def __init__(self, request: Request[None, None, Any], desk: Desk, seat: Seat | None = None) -> None:
        """`seat` is None for pages that tell what went wrong, before it is known who asks."""
        self.request = request
        self.client = seat.client if seat else desk.client
        self._desk = desk
        self._seat = seat
        self._base = desk.settings.console_path

    def may(self, scope: Scope | str) -> bool:
        """Return whether who asks may do what needs a scope."""
        return self._seat is not None and self._seat.may(scope)

    def require(self, *scopes: Scope) -> None:
        """Refuse a page that only leads to what may not be done. Raises: MissingScopeError."""
        for scope in scopes:
            if not self.may(scope):
                raise MissingScopeError(scope)

    @property
    def seat(self) -> Seat:
        """Return the session of the request."""
        if self._seat is None:
            raise SignInNeededError
        return self._seat

    def text(self, name: str, default: str = "") -> str:
        """Return a parameter of the query."""
        value = self.request.query_params.get(name, default)
        return value if isinstance(value, str) else default

    def choice(self, name: str, allowed: Mapping[str, Any] | frozenset[str] | tuple[str, ...], default: str) -> str:
        """Return a parameter that is one of several; any other is the default."""
        value = self.text(name)
        return value if value in allowed else default

    def whole_number(self, name: str, default: int) -> int:
        """Return a parameter that is a number from 0 on; any other is the default."""
        value = self.text(name)
        return int(value) if value.isascii() and value.isdecimal() and len(value) <= _MOST_DIGITS else default

    def texts(self, name: str) -> list[str]:
        """Return the values of a parameter that may be there several times."""
        return [value for value in self.request.query_params.getall(name, []) if isinstance(value, str)]

    async def form(self) -> "Form":
        """Return the fields of a submitted form."""
        return Form(await self.request.form())

    def at(self, path: str, **query: str | int | None) -> str:
        """Return an address in the console."""
        return address_in(self._base, path, **query)

    async def show(self, view: View, **arguments: str | int | bool | None) -> Response[Any]:
        """Answer with a page; or, where the page itself asks, with the stream that keeps it fresh. Raises: ApiError."""
        if "text/event-stream" in self.request.headers.get("accept", ""):
            headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
            frames = self._desk.hub.follow(view, arguments, self.seat.reader)
            return Stream(frames, media_type="text/event-stream", headers=headers)
        return self.page(view.template, await self.seat.reader.read(view, arguments), is_live=True)

    async def framed(
        self, template: str, content: Mapping[str, object], place: str, *, status: int = 200
    ) -> Response[bytes]:
        """Answer with a page that stands in the frame and is not kept fresh, such as a form."""

        async def given(_: Client) -> Mapping[str, object]:
            return content

        return self.page(template, await self.seat.reader.read(View(template, given, place), {}), status=status)

    def page(
        self,
        template: str,
        content: Mapping[str, object],
        *,
        status: int = 200,
        is_live: bool = False,
        headers: Mapping[str, str] | None = None,
    ) -> Response[bytes]:
        """Answer with a rendered template."""
        toast = read_toast(self.request.cookies.get(COOKIE))
        body = self._desk.renderer.page(template, {**self._framing(toast, is_live=is_live), **content}).encode()
        sent = {**self._page_headers(), **(headers or {})}
        if len(body) > _SMALL_BYTES and accepts_gzip(self.request):
            body, sent["Content-Encoding"] = gzip.compress(body, 5, mtime=0), "gzip"
        cookies = [toast_cookie(None, self._base)] if toast else []
        return Response(body, status_code=status, media_type=HTML, headers=sent, cookies=cookies)

    def go(self, path: str, toast: Toast | None = None, **query: str | int | None) -> Response[bytes]:
        """Answer a form: lead to a page, which says what was done."""
        cookies: list[Cookie] = [toast_cookie(toast, self._base)] if toast else []
        return Response(b"", status_code=303, headers={"Location": self.at(path, **query)}, cookies=cookies)

    def redirect(self, address: str) -> Response[bytes]:
        """Lead to an address of the console."""
        return Response(b"", status_code=303, headers={"Location": address, "Cache-Control": "no-store"})

    def go_back(self, address: str, default: str, toast: Toast | None = None) -> Response[bytes]:
        """Answer a form: lead back to the address of the console that it came with."""
        cookies: list[Cookie] = [toast_cookie(toast, self._base)] if toast else []
        where = address if self.is_ours(address) else self.at(default)
        return Response(b"", status_code=303, headers={"Location": where}, cookies=cookies)

    def is_ours(self, address: str) -> bool:
        """Whether an address that a request names is one of the console, and of no other site."""
        inside = address.startswith(f"{self._base}/") and address.isprintable()
        return inside and not address.startswith("//") and "\\" not in address

    async def act(
        self, doing: Awaitable[T], *, back: str, done: str | Toast | Callable[[T], str | Toast]
    ) -> Response[bytes]:
        """Do what a form asks for, and lead back with what came of it: `done`, or why it was refused.

        `done` may be a function of what was answered.

        Raises: UnavailableError, so that the person learns that nothing is known to have been done; AccessError, for
        what the session does not allow.
        """
        try:
            answer = await doing
        except (AccessError, UnavailableError):
            raise
        except ApiError as error:
            return self.go(back, Toast(describe(error.problem), "b"))
        told = done(answer) if callable(done) else done
        return self.go(back, told if isinstance(told, Toast) else Toast(told))

    @property
    def api_url(self) -> str:
        """Return the address of the API for people."""
        return self._desk.settings.people_url

    @property
    def is_secret(self) -> IsSecret:
        """Return what tells keys whose values are hidden."""
        return self._desk.is_secret

    @property
    def is_embedded(self) -> bool:
        """Whether the page is shown in a frame of another site."""
        return self.text("embed") == "1" and bool(self._desk.settings.console_frame_ancestors)

    def _page_headers(self) -> dict[str, str]:
        ancestors = self._desk.settings.console_frame_ancestors if self.is_embedded else ()
        return {**security_headers(ancestors), "Cache-Control": "no-store", "Vary": "Accept-Encoding, Cookie"}

    def _framing(self, toast: Toast | None, *, is_live: bool) -> dict[str, object]:
        theme = self.request.cookies.get("theme", "")
        query = self.request.url.query
        return {
            "visit": self,
            "may": self.may,
            "who": self._seat.principal if self._seat else None,
            "toast": toast,
            "theme": theme if theme in THEMES else "",
            "zone": LOCAL if self.request.cookies.get("zone") == LOCAL else "",
            "live": (f"{self.request.url.path}?{query}" if query else self.request.url.path) if is_live else "",
            "refresh_s": self._desk.settings.console_refresh_s,
        }


Visit: TypeAlias = NamedDependency[PageRequest]
"""The request as the argument `visit` of a function that answers it."""


class Form:
    """The fields of a form, as text."""

    def __init__(self, fields: Mapping[str, Any]) -> None:
        self._fields = fields

    def text(self, name: str, default: str = "") -> str:
        """Return a field."""
        value = self._fields.get(name, default)
        return value.strip() if isinstance(value, str) else default

    def texts(self, name: str) -> list[str]:
        """Return the values of a field that may be there several times."""
        get_all = getattr(self._fields, "getall", None)
        values = get_all(name, []) if get_all else [self._fields[name]] if name in self._fields else []
        return [value for value in values if isinstance(value, str)]


def address_in(base: str, path: str, **query: str | int | None) -> str:
    """Return an address below a base path; parameters that are None or empty are left out."""
    given = {name: value for name, value in query.items() if value not in {None, ""}}
    # The names are words of the console, which need no quoting.
    return f"{base}{path}" + (
        f"?{'&'.join(f'{name}={_quoted(str(value))}' for name, value in given.items())}" if given else ""
    )


@lru_cache(_MOST_QUOTED)
def _quoted(value: str) -> str:
    """Return a value for a query. A list has the same ones in several links of a row, and each time it is shown."""
    return quote_plus(value)
