"""Connects to the addresses of a host, after each of them was judged, and to none that was not.

A name is resolved once for a connection, and the connection goes to an address of that answer: a name that resolves to
another address the next moment (DNS rebinding) changes nothing. TLS and the header `Host` keep the name.
"""

import socket
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

import anyio
import httpcore2

from millstream_webhooks import NETWORKS_SETTING, Address, AddressError, Network, judge, parse_address, refusal

Resolve = Callable[[str, int], Awaitable[list[str]]]
"""Returns the addresses of a host, as texts. Raises: OSError."""

_LONGEST_CONNECT_S = 5.0
"""How long one address of several may take to answer, before the next one is tried."""


async def resolve(host: str, port: int) -> list[str]:
    """Return the addresses of a host by the resolver of the system. Raises: OSError."""
    found = await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))


class GuardedNetwork(httpcore2.AsyncNetworkBackend):
    """The network of the guarded client."""

    def __init__(
        self, allowed: Sequence[Network] = (), resolve: Resolve = resolve, *, setting: str = NETWORKS_SETTING
    ) -> None:
        """Take `allowed`, the private networks that calls may go to, and what names them."""
        self._allowed = allowed
        self._setting = setting
        self._resolve = resolve
        self._network = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the signature of httpcore2
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Connect to the first address that answers. Raises: AddressError; httpcore2.ConnectError, ConnectTimeout."""
        addresses = await self._judged(host, port)
        each_s = timeout if len(addresses) == 1 else min(timeout or _LONGEST_CONNECT_S, _LONGEST_CONNECT_S)
        for address in addresses[:-1]:
            try:
                return await self._network.connect_tcp(str(address), port, each_s, local_address, socket_options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout):
                continue
        return await self._network.connect_tcp(str(addresses[-1]), port, each_s, local_address, socket_options)

    async def sleep(self, seconds: float) -> None:
        """Wait between two attempts to connect, of which the client makes one."""
        await anyio.sleep(seconds)

    async def _judged(self, host: str, port: int) -> list[Address]:
        """Return all addresses of a host. Raises: AddressError, if one of them is refused; httpcore2.ConnectError."""
        try:
            texts = await self._resolve(host, port)
        except (OSError, UnicodeError) as error:
            raise httpcore2.ConnectError(f"{host} cannot be resolved: {error}") from error
        addresses = [parse_address(text) for text in texts]
        if not addresses:
            raise httpcore2.ConnectError(f"{host} has no address")
        for address in addresses:
            # All of them: a name that has one private address beside public ones would else get there by chance.
            if address is None or (why := judge(address, self._allowed)):
                reason = f"{host}: {why}" if address else f"{host} has an unreadable address"
                raise AddressError(refusal(reason, self._setting))
        return [address for address in addresses if address is not None]
