"""Makes calls to URLs that users name: to judged addresses, once, within bounds of time and size.

It follows no redirects, knows no proxies and no cookies, and decompresses nothing.
"""

from collections.abc import Mapping, Sequence

import anyio
import httpcore2
from msgspec import Struct

from millstream.outgoing.guarded_network import GuardedNetwork, Resolve, resolve
from millstream_webhooks import NETWORKS_SETTING, AddressError, Network, check_url

CALL_WITHIN_S = 15.0
"""How long a call may take, from the look at DNS to the last byte of the answer."""

MAX_ANSWER_BYTES = 64 << 10
"""How much of an answer is read."""

_KEEP_IDLE_S = 15.0
_MAX_IDLE = 100


class NoAnswerError(Exception):
    """A call has no answer: its text says why. The receiver may have received it."""


class Answer(Struct, frozen=True):
    """The answer to a call."""

    status: int
    headers: dict[str, str]
    """With names in lower case."""
    body: bytes
    """Its first :data:`MAX_ANSWER_BYTES`."""
    is_cut: bool


class GuardedClient:
    """Makes calls, many at a time. It belongs to one event loop."""

    def __init__(
        self,
        allowed: Sequence[Network] = (),
        *,
        within_s: float = CALL_WITHIN_S,
        setting: str = NETWORKS_SETTING,
        resolve: Resolve = resolve,
    ) -> None:
        """Take `allowed`, the private networks that calls may go to, and `within_s`, how long a call may take.

        `setting` is what names those networks, for refusals.
        """
        self._allowed = allowed
        self._within_s = within_s
        self._setting = setting
        self._network = GuardedNetwork(allowed, resolve, setting=setting)
        self._opened: httpcore2.AsyncConnectionPool | None = None

    async def get(self, url: str, headers: Mapping[str, str]) -> Answer:
        """Send one GET. Raises: AddressError, NoAnswerError."""
        return await self._send("GET", url, b"", headers)

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Send one POST. Raises: AddressError, NoAnswerError."""
        return await self._send("POST", url, body, {"Content-Length": str(len(body)), **headers})

    async def _send(self, method: str, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        target = check_url(url, self._allowed, setting=self._setting)
        sent = {"Host": target.netloc.decode("ascii"), "Accept-Encoding": "identity", **headers}
        request = httpcore2.Request(
            method,
            httpcore2.URL(scheme=target.raw_scheme, host=target.raw_host, port=target.port, target=target.raw_path),
            headers=[(name.encode("ascii"), value.encode("ascii")) for name, value in sent.items()],
            content=body,
        )
        try:
            with anyio.fail_after(self._within_s):
                return await self._answer(request)
        except TimeoutError:
            raise NoAnswerError(f"no whole answer within {self._within_s:g} s") from None
        except AddressError:
            raise
        except (httpcore2.NetworkError, httpcore2.ProtocolError, httpcore2.TimeoutException) as error:
            raise NoAnswerError(f"{type(error).__name__}: {error}".rstrip(": ")) from error
        except AttributeError as error:
            # On uvloop anyio 4.16 asks a socket for its peer although the other end has closed it.
            if error.name != "getpeername":
                raise
            raise NoAnswerError("the connection was closed") from error

    async def aclose(self) -> None:
        """Close the connections."""
        if self._opened is not None:
            await self._opened.aclose()

    @property
    def _pool(self) -> httpcore2.AsyncConnectionPool:
        """Return the connections. Certificates are read for the first call, and once."""
        if self._opened is None:
            self._opened = httpcore2.AsyncConnectionPool(
                httpcore2.default_ssl_context(),
                # Each call has a slot of the worker, and so their number has a bound.
                max_connections=None,
                max_keepalive_connections=_MAX_IDLE,
                keepalive_expiry=_KEEP_IDLE_S,
                network_backend=self._network,
            )
        return self._opened

    async def _answer(self, request: httpcore2.Request) -> Answer:
        response = await self._pool.handle_async_request(request)
        try:
            body, is_cut = await _beginning(response)
        finally:
            with anyio.CancelScope(shield=True):
                await response.aclose()
        named = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers}
        return Answer(response.status, named, body, is_cut)


async def _beginning(response: httpcore2.Response) -> tuple[bytes, bool]:
    """Return the beginning of an answer, and whether there is more of it."""
    body = bytearray()
    async for chunk in response.aiter_stream():
        body += chunk
        if len(body) > MAX_ANSWER_BYTES:
            return bytes(body[:MAX_ANSWER_BYTES]), True
    return bytes(body), False
