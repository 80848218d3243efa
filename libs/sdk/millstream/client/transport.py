"""Runs flows over httpx2, on an event loop or in the calling thread: the I/O of the clients."""

import ipaddress
import sys
import time
from collections.abc import AsyncGenerator, Generator
from types import ModuleType
from typing import Any, Protocol, TypeVar, cast

import anyio
import httpx2

from millstream.client.event_flow import EventFlow, Notice, Signal
from millstream.client.flow import ApiFlow, NoResponse, Reply, Request, Response
from millstream.client.token_source import AsyncToken, AsyncTokenSource, SyncToken, SyncTokenSource

T = TypeVar("T")

_CONNECT_TIMEOUT_S = 5.0
_UNAUTHENTICATED = 401


class AsyncHttpClient(Protocol):
    """The part of an HTTP client that `Client` uses: `httpx2.AsyncClient` has it, and `httpx.AsyncClient`."""

    async def request(self, *args: Any, **options: Any) -> Any:
        """Send one request and read its response."""
        ...

    def stream(self, *args: Any, **options: Any) -> Any:
        """Send one request; a context that gives its response before the body is read."""
        ...

    async def aclose(self) -> None:
        """Close the connections."""
        ...


class HttpClient(Protocol):
    """The part of an HTTP client that `SyncClient` uses: `httpx2.Client` has it, and `httpx.Client`."""

    def request(self, *args: Any, **options: Any) -> Any:
        """Send one request and read its response."""
        ...

    def stream(self, *args: Any, **options: Any) -> Any:
        """Send one request; a context that gives its response before the body is read."""
        ...

    def close(self) -> None:
        """Close the connections."""
        ...


class _Errors:
    """The errors of an HTTP client, by what they mean for a request.

    The HTTP client that a caller brings may be one of httpx. Its errors have the names of those of httpx2, and are
    other classes.
    """

    def __init__(self, http: AsyncHttpClient | HttpClient) -> None:
        library = _library_of(http)
        self.any: type[Exception] = library.RequestError
        # Raised before the first byte of the request leaves.
        self._not_sent = (library.ConnectError, library.ConnectTimeout, library.PoolTimeout, library.ProxyError)
        # Mistakes of the caller, which no repetition mends.
        self._ours = (library.LocalProtocolError, library.UnsupportedProtocol)

    def no_response(self, error: Exception) -> NoResponse:
        """Return what an error means for the request. Raises: the error, when it is a mistake of the caller."""
        if isinstance(error, self._ours):
            raise error
        return NoResponse(cause=str(error) or type(error).__name__, maybe_done=not isinstance(error, self._not_sent))


class AsyncTransport:
    """Runs flows on an event loop, many at a time."""

    def __init__(self, base_url: str, http: AsyncHttpClient | None, token: AsyncToken | None = None) -> None:
        self._tokens = AsyncTokenSource(token) if callable(token) else None
        self._owned = http is None
        self._http = http or httpx2.AsyncClient(**http_settings(base_url))
        self._errors = _Errors(self._http)

    async def run(self, flow: ApiFlow[T]) -> T:
        """Run a flow to its end and return its result. Raises: what the flow raises."""
        try:
            request = next(flow)
            while True:
                request = flow.send(await self._exchange(request))
        except StopIteration as end:
            return cast("T", end.value)

    async def follow(self, flow: EventFlow) -> AsyncGenerator[Signal, None]:
        """Yield what a stream of events says; it ends only by an error. Raises: what the flow raises."""
        # The token that has taken the place of a refused one: where it is refused as well, there is no better one.
        renewed: dict[str, str] | None = None
        while True:
            request = flow.request()
            if request.delay_s > 0:
                await anyio.sleep(request.delay_s)
            sent = await self._tokens.header() if self._tokens else {}
            try:
                async with self._http.stream(**_arguments(request, sent)) as response:
                    if response.status_code == _UNAUTHENTICATED and self._tokens and sent is not renewed:
                        renewed = await self._tokens.renewed(sent)
                        continue
                    if not flow.is_stream(response.status_code, response.headers.get("content-type", "")):
                        await response.aread()
                        flow.failed(_response(response))
                        continue
                    renewed = None
                    yield Notice.CONNECTED
                    async for piece in response.aiter_bytes():
                        for signal in flow.heard(piece):
                            yield signal
                flow.ended()
            except self._errors.any as error:
                flow.failed(self._errors.no_response(error))

    async def aclose(self) -> None:
        """Close the connections, unless the caller brought the HTTP client."""
        if self._owned:
            await self._http.aclose()

    async def _exchange(self, request: Request) -> Reply:
        if request.delay_s > 0:
            await anyio.sleep(request.delay_s)
        sent = await self._tokens.header() if self._tokens else {}
        try:
            response = await self._http.request(**_arguments(request, sent))
            if response.status_code == _UNAUTHENTICATED and self._tokens:
                # It has ended, or its key was withdrawn. Nothing was done yet.
                response = await self._http.request(**_arguments(request, await self._tokens.renewed(sent)))
            return _response(response)
        except self._errors.any as error:
            return self._errors.no_response(error)
        except AttributeError as error:
            # On uvloop anyio 4.16 asks a socket for its peer although the other end has closed it.
            if error.name != "getpeername":
                raise
            return NoResponse("the connection was closed", maybe_done=False)


class SyncTransport:
    """Runs flows in the calling thread."""

    def __init__(self, base_url: str, http: HttpClient | None, token: SyncToken | None = None) -> None:
        self._tokens = SyncTokenSource(token) if callable(token) else None
        self._owned = http is None
        self._http = http or httpx2.Client(**http_settings(base_url))
        self._errors = _Errors(self._http)

    def run(self, flow: ApiFlow[T]) -> T:
        """Run a flow to its end and return its result. Raises: what the flow raises."""
        try:
            request = next(flow)
            while True:
                request = flow.send(self._exchange(request))
        except StopIteration as end:
            return cast("T", end.value)

    def follow(self, flow: EventFlow) -> Generator[Signal, None, None]:
        """Yield what a stream of events says; it ends only by an error. Raises: what the flow raises."""
        # The token that has taken the place of a refused one: where it is refused as well, there is no better one.
        renewed: dict[str, str] | None = None
        while True:
            request = flow.request()
            if request.delay_s > 0:
                time.sleep(request.delay_s)
            sent = self._tokens.header() if self._tokens else {}
            try:
                with self._http.stream(**_arguments(request, sent)) as response:
                    if response.status_code == _UNAUTHENTICATED and self._tokens and sent is not renewed:
                        renewed = self._tokens.renewed(sent)
                        continue
                    if not flow.is_stream(response.status_code, response.headers.get("content-type", "")):
                        response.read()
                        flow.failed(_response(response))
                        continue
                    renewed = None
                    yield Notice.CONNECTED
                    for piece in response.iter_bytes():
                        yield from flow.heard(piece)
                flow.ended()
            except self._errors.any as error:
                flow.failed(self._errors.no_response(error))

    def close(self) -> None:
        """Close the connections, unless the caller brought the HTTP client."""
        if self._owned:
            self._http.close()

    def _exchange(self, request: Request) -> Reply:
        if request.delay_s > 0:
            time.sleep(request.delay_s)
        sent = self._tokens.header() if self._tokens else {}
        try:
            response = self._http.request(**_arguments(request, sent))
            if response.status_code == _UNAUTHENTICATED and self._tokens:
                # It has ended, or its key was withdrawn. Nothing was done yet.
                response = self._http.request(**_arguments(request, self._tokens.renewed(sent)))
            return _response(response)
        except self._errors.any as error:
            return self._errors.no_response(error)


def checked_url(url: str) -> str:
    """Return the address of a service. Raises: ValueError, without the address, which may hold a password."""
    try:
        parsed = httpx2.URL(url)
    except httpx2.InvalidURL:
        raise ValueError("the URL is no address of a service: write it as http://host:port") from None
    if parsed.scheme not in {"http", "https"} or not parsed.host:
        raise ValueError("the URL is no address of a service: write it as http://host:port")
    return str(parsed.copy_with(query=None, fragment=None))


def http_settings(base_url: str) -> dict[str, Any]:
    """Return the arguments with which the clients make an HTTP client of their own."""
    url = httpx2.URL(base_url)
    return {
        # Reading the certificates takes time; redirects are not followed, so plain http never needs them.
        "verify": url.scheme == "https",
        # Services of this machine are not behind the proxy that HTTP_PROXY names.
        "trust_env": not _is_loopback(url.host),
    }


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _arguments(request: Request, credential: dict[str, str]) -> dict[str, Any]:
    # No limit for the wait for a free connection: thousands of submissions at once are slow, and no error.
    connect_s, silence_s, pool_s = _CONNECT_TIMEOUT_S, request.response_within_s, None
    return {
        "method": request.method,
        "url": request.url,
        "headers": {**request.headers, **credential},
        "content": request.content,
        # Connect, read, write, pool. A tuple, because a client of httpx does not know the `Timeout` of httpx2.
        "timeout": (connect_s, silence_s, silence_s, pool_s),
    }


def _response(response: httpx2.Response) -> Response:
    return Response(status=response.status_code, headers=response.headers, content=response.content)


def _library_of(http: AsyncHttpClient | HttpClient) -> ModuleType:
    names = (base.__module__.partition(".")[0] for base in type(http).__mro__)
    return next((sys.modules[name] for name in names if name in {"httpx", "httpx2"}), httpx2)
