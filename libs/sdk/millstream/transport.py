"""Carries conversations over httpx: the only part that the two clients do not share, and the only one with I/O."""

import ipaddress
import time
from typing import Any, TypeVar, cast

import anyio
import httpx

from millstream.conversation import Answer, Conversation, NoAnswer, Reply, Request

T = TypeVar("T")

_CONNECT_TIMEOUT_S = 5.0

# These happen before the first byte of the request leaves.
_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)

# These are mistakes of the caller, which no repetition mends.
_OURS = (httpx.LocalProtocolError, httpx.UnsupportedProtocol)


class AsyncTransport:
    """Carries conversations on an event loop, many at a time."""

    def __init__(self, base_url: str, http: httpx.AsyncClient | None) -> None:
        self._owned = http is None
        self._http = http or httpx.AsyncClient(**_settings(base_url))

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
        except httpx.RequestError as error:
            return _no_answer(error)
        except AttributeError as error:
            # On uvloop httpx asks a socket for its peer that the other end has closed again already (0.28).
            if error.name != "getpeername":
                raise
            return NoAnswer("the connection was closed", maybe_done=False)


class SyncTransport:
    """Carries conversations in the calling thread."""

    def __init__(self, base_url: str, http: httpx.Client | None) -> None:
        self._owned = http is None
        self._http = http or httpx.Client(**_settings(base_url))

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
        except httpx.RequestError as error:
            return _no_answer(error)


def checked_url(url: str) -> str:
    """Return the address of a service. Raises: ValueError, without the text of it: that may hold a password."""
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL:
        raise ValueError("the URL is no address of a service: write it as http://host:port") from None
    if parsed.scheme not in {"http", "https"} or not parsed.host:
        raise ValueError("the URL is no address of a service: write it as http://host:port")
    return str(parsed.copy_with(query=None, fragment=None))


def _settings(base_url: str) -> dict[str, Any]:
    url = httpx.URL(base_url)
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
    timeout = httpx.Timeout(request.answer_within_s, connect=_CONNECT_TIMEOUT_S, pool=None)
    return {
        "method": request.method,
        "url": request.url,
        "headers": request.headers,
        "content": request.content,
        "timeout": timeout,
    }


def _answer(response: httpx.Response) -> Answer:
    return Answer(status=response.status_code, headers=response.headers, content=response.content)


def _no_answer(error: httpx.RequestError) -> NoAnswer:
    if isinstance(error, _OURS):
        raise error
    cause = str(error) or type(error).__name__
    return NoAnswer(cause=cause, maybe_done=not isinstance(error, _NOT_SENT))
