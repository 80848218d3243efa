"""Signs people in and out: exchanges a key or an ID token for a session, whose token goes into a cookie."""

from collections.abc import Awaitable
from datetime import UTC, datetime
from typing import Any, TypeAlias

from litestar import Request, Response
from litestar.datastructures import Cookie
from litestar.di import NamedDependency

from millstream import AccessError, ApiError, UnavailableError
from millstream.errors import describe
from millstream_console.web.openid.provider import OpenIdProvider
from millstream_console.web.origin import is_from_us
from millstream_console.web.seats import SignInNeededError
from millstream_console.web.session_cookie import (
    is_loopback_host,
    is_plain_http,
    no_session_cookies,
    session_cookie,
    token_in,
)
from millstream_console.web.toast import Toast, toast_cookie
from millstream_console.web.visit import Desk, PageRequest
from millstream_contracts import SecretSession

_TOO_MANY = 429
_NEVER_BACK_TO = ("/sign-in", "/sign-out")


class RefusedError(Exception):
    """Ingest has not taken a credential; `str` says why."""

    def __init__(self, why: str, status: int) -> None:
        super().__init__(why)
        self.status = status


class DoorRequest:
    """A request to sign in or out."""

    def __init__(self, request: Request[Any, Any, Any], desk: Desk) -> None:
        self.visit = PageRequest(request, desk)
        self._request = request
        self._desk = desk

    async def is_in(self) -> bool:
        """Return whether a session works already, or ingest asks for none. Raises: ApiError."""
        try:
            await self._desk.seats.of(self._token)
        except SignInNeededError:
            return False
        return True

    @property
    def provider(self) -> OpenIdProvider | None:
        """The OpenID provider at which people sign in; None where there is none."""
        return self._desk.provider

    @property
    def is_led_here(self) -> bool:
        """Whether another site leads the browser here."""
        return not is_from_us(self._request.headers)

    def count(self, outcome: str) -> None:
        """Count a sign-in by its outcome."""
        self._desk.count_sign_in(outcome)

    @property
    def is_in_clear(self) -> bool:
        """Whether a session would cross a network in clear: the page came over http from another machine."""
        return is_plain_http(self._request.headers) and not is_loopback_host(self._request.headers)

    def way_back(self, to: str) -> str:
        """Return where to go once signed in: the page that was asked for, if it is one of the console."""
        kept = any(to.startswith(self.visit.at(path)) for path in _NEVER_BACK_TO)
        return self.visit.at("/") if kept or not self.visit.is_ours(to) else to

    async def exchange(self, credential: str) -> SecretSession:
        """Open a session with a key, and count the outcome. Raises: RefusedError, ApiError."""
        try:
            return await self._counted(self._desk.seats.open_client(credential).open_session())
        except ValueError:
            self._desk.count_sign_in("refused")
            raise RefusedError("a key begins with `ms_`", 401) from None

    async def exchange_id_token(self, id_token: str, nonce_secret: str) -> SecretSession:
        """Open a session with an ID token, and count the outcome. Raises: RefusedError, ApiError."""
        try:
            client = self._desk.seats.open_client(id_token)
        except ValueError:
            self._desk.count_sign_in("refused")
            raise RefusedError("what the provider calls an ID token is none", 503) from None
        lasts_s = self._desk.settings.oidc_session_s
        return await self._counted(client.open_session(expires_in=lasts_s, nonce_secret=nonce_secret))

    async def _counted(self, opening: Awaitable[SecretSession]) -> SecretSession:
        try:
            session = await opening
        except AccessError as error:
            self._desk.count_sign_in("refused")
            raise RefusedError(describe(error.problem), error.problem.status) from None
        except UnavailableError as error:
            is_limited = error.problem.status == _TOO_MANY
            self._desk.count_sign_in("limited" if is_limited else "unavailable")
            if is_limited:
                raise RefusedError("too many attempts have failed: try again in a second", _TOO_MANY) from None
            raise
        self._desk.count_sign_in("signed-in")
        return session

    async def enter(self, session: SecretSession, to: str, *, is_plain: bool | None = None) -> Response[bytes]:
        """Lead to a page with a new session in the cookie; the one before it ends.

        `is_plain` says whether the browser is here over plain http; None asks its headers.
        """
        await self._end_session()
        lasts_s = max(1, int((session.expires_at - datetime.now(UTC)).total_seconds()))
        is_plain = is_plain_http(self._request.headers) if is_plain is None else is_plain
        cookie = session_cookie(session.token, lasts_s, is_plain=is_plain)
        others = [one for one in no_session_cookies(self._request.cookies) if one.key != cookie.key]
        return _go(self.way_back(to), [cookie, *others])

    async def leave(self) -> Response[bytes]:
        """End the session, and lead to the page that signs in; by the OpenID provider, where it was begun there."""
        provider_url = await self._sign_out_url()
        told = Toast("You are signed out.")
        if not await self._end_session():
            told = Toast("This browser is signed out, but ingest could not be told: the session ends by itself.", "w")
        cookies = [*no_session_cookies(self._request.cookies), toast_cookie(told, self._desk.settings.console_path)]
        if provider_url is None:
            return _go(self.visit.at("/sign-in"), cookies)
        # A page, and no redirect: the policy of pages lets a form lead to no other site.
        content = {"provider_url": provider_url, "provider": self.provider}
        page = self.visit.page("signed_out.html", content, headers={"Refresh": f"0; url={provider_url}"})
        page.cookies.extend(cookies)
        return page

    async def _sign_out_url(self) -> str | None:
        """Return where the person of a session that was begun at the OpenID provider signs out there; else None."""
        if self.provider is None or not self._token:
            return None
        try:
            seat = await self._desk.seats.of(self._token)
        except (SignInNeededError, ApiError):
            return None
        return await self.provider.sign_out_url() if seat.principal.issuer == self.provider.issuer else None

    @property
    def _token(self) -> str:
        return token_in(self._request.cookies, self._request.headers)

    async def _end_session(self) -> bool:
        """End the session of the request, if it has one. Returns: whether none is left of it."""
        token = self._token
        if not token:
            return True
        self._desk.seats.forget(token)
        try:
            await self._desk.seats.open_client(token).end_session()
        except (AccessError, ValueError):
            return True  # it had ended
        except ApiError as error:
            return error.problem.status == 404
        return True


def _go(to: str, cookies: list[Cookie]) -> Response[bytes]:
    headers = {"Location": to, "Cache-Control": "no-store"}
    return Response(b"", status_code=303, headers=headers, cookies=cookies)


Door: TypeAlias = NamedDependency[DoorRequest]
"""The request as the argument `door` of a function that signs in or out."""
