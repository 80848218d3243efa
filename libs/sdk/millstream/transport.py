"""Carries conversations over httpx2: the only part that the two clients do not share, and the only one with I/O."""

import ipaddress
import sys
import time
from types import ModuleType
from typing import Any, Protocol, TypeVar, cast

import anyio
import httpx2

from millstream.conversation import Answer, Conversation, NoAnswer, Reply, Request

T = TypeVar("T")

_CONNECT_TIMEOUT_S = 5.0


class AsyncHttpClient(Protocol):
    """What is used of an HTTP client on an event loop. An `AsyncClient` of httpx2 has it, and one of httpx."""

    async def request(self, *args: Any, **options: Any) -> Any:
        """Send one request and read its answer."""
        ...

    async def aclose(self) -> None:
        """Close the connections."""
        ...


class HttpClient(Protocol):
    """What is used of an HTTP client in a thread. A `Client` of httpx2 has it, and one of httpx."""

    def request(self, *args: Any, **options: Any) -> Any:
        """Send one request and read its answer."""
        ...

    def close(self) -> None:
        """Close the connections."""
        ...


class _Errors:
    """The errors of an HTTP client, by what they say of a request.

    A client that was given may be one of httpx, which httpx2 continues under a new name: its errors have the same
    names and are other classes.
    """

    def __init__(self, http: AsyncHttpClient | HttpClient) -> None:
        library = _library_of(http)
        self.any: type[Exception] = library.RequestError
        # These happen before the first byte of the request leaves.
        self._not_sent = (library.ConnectError, library.ConnectTimeout, library.PoolTimeout, library.ProxyError)
        # These are mistakes of the caller, which no repetition mends.
        self._ours = (library.LocalProtocolError, library.UnsupportedProtocol)

    def no_answer(self, error: Exception) -> NoAnswer:
        """Return what an error means for the request. Raises: the error, when the caller made the mistake."""
        if isinstance(error, self._ours):
            raise error
        return NoAnswer(cause=str(error) or type(error).__name__, maybe_done=not isinstance(error, self._not_sent))


class AsyncTransport:
    """Carries conversations on an event loop, many at a time."""

    def __init__(self, base_url: str, http: AsyncHttpClient | None) -> None:
        self._owned = http is None
        self._http = http or httpx2.AsyncClient(**_settings(base_url))
        self._errors = _Errors(self._http)

    async def carry(self, conversation: Conversation[T]) -> T:
        """Carry a conversation to its end and return its result. Raises: what the conversation raises."""
        try:
            request = next(conversation)
            while True:
                request = conversation.send(await self._exchange(request))
        except StopIteration as end:
            return cast("T", end.value)

    async def aclose(self) -> None:
        """Close the connections, unless the http client was given."""
        if self._owned:
            await self._http.aclose()

    async def _exchange(self, request: Request) -> Reply:
        if request.delay_s > 0:
            await anyio.sleep(request.delay_s)
        try:
            return _answer(await self._http.request(**_arguments(request)))
        except self._errors.any as error:
            return self._errors.no_answer(error)
        except AttributeError as error:
            # On uvloop anyio asks a socket for its peer that the other end has closed again already (4.16).
            if error.name != "getpeername":
                raise
            return NoAnswer("the connection was closed", maybe_done=False)


class SyncTransport:
    """Carries conversations in the calling thread."""

    def __init__(self, base_url: str, http: HttpClient | None) -> None:
        self._owned = http is None
        self._http = http or httpx2.Client(**_settings(base_url))
        self._errors = _Errors(self._http)

    def carry(self, conversation: Conversation[T]) -> T:
        """Carry a conversation to its end and return its result. Raises: what the conversation raises."""
        try:
            request = next(conversation)
            while True:
                request = conversation.send(self._exchange(request))
        except StopIteration as end:
            return cast("T", end.value)

    def close(self) -> None:
        """Close the connections, unless the http client was given."""
        if self._owned:
            self._http.close()

    def _exchange(self, request: Request) -> Reply:
        if request.delay_s > 0:
            time.sleep(request.delay_s)
        try:
            return _answer(self._http.request(**_arguments(request)))
        except self._errors.any as error:
            return self._errors.no_answer(error)


def checked_url(url: str) -> str:
    """Return the address of a service. Raises: ValueError, without the text of it: that may hold a password."""
    try:
        parsed = httpx2.URL(url)
    except httpx2.InvalidURL:
        raise ValueError("the URL is no address of a service: write it as http://host:port") from None
    if parsed.scheme not in {"http", "https"} or not parsed.host:
        raise ValueError("the URL is no address of a service: write it as http://host:port")
    return str(parsed.copy_with(query=None, fragment=None))


def _settings(base_url: str) -> dict[str, Any]:
    url = httpx2.URL(base_url)
    return {
        # Reading the certificates takes 90 ms; redirects are not followed, so plain http never needs them.
        "verify": url.scheme == "https",
        # The machine's own services are not behind the proxy that HTTP_PROXY names.
        "trust_env": not _is_loopback(url.host),
    }


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _arguments(request: Request) -> dict[str, Any]:
    # Waiting for a free connection is not bounded: submitting thousands at once is slow, but no error.
    connect_s, silence_s, pool_s = _CONNECT_TIMEOUT_S, request.answer_within_s, None
    return {
        "method": request.method,
        "url": request.url,
        "headers": request.headers,
        "content": request.content,
        # Connect, read, write, pool; a tuple, because a `Timeout` of httpx2 means nothing to a client of httpx.
        "timeout": (connect_s, silence_s, silence_s, pool_s),
    }


def _answer(response: httpx2.Response) -> Answer:
    return Answer(status=response.status_code, headers=response.headers, content=response.content)


def _library_of(http: AsyncHttpClient | HttpClient) -> ModuleType:
    names = (base.__module__.partition(".")[0] for base in type(http).__mro__)
    return next((sys.modules[name] for name in names if name in {"httpx", "httpx2"}), httpx2)
