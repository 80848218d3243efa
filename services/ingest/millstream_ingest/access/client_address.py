"""Tells from which address a request comes, also behind proxies: those that are trusted, and no others (ADR 120).

Each proxy appends the address that it was called from. So the list is read from its right end: what stands left of the
first address that is no trusted proxy was written by the client, and means nothing.
"""

import re
from collections.abc import Mapping, Sequence
from ipaddress import IPv6Address
from typing import Any, Literal

from millstream_ingest.http.headers import Headers
from millstream_webhooks import Address, Network, parse_address

ProxyHeader = Literal["x-forwarded-for", "forwarded"]

MAX_HOPS = 32
"""How many entries of a header are read, from the right."""

_BRACKETED = re.compile(r"\[([^\]]*)\](?::\d{1,5})?")
_WITH_PORT = re.compile(r"([^:]*):\d{1,5}")
# The grammar of RFC 7239: an entry that breaks it is not read by halves.
_PAIR = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+=(?:[!#$%&'*+.^_`|~0-9A-Za-z-]+|\"(?:[^\"\\]|\\.)*\")"
_ENTRY = re.compile(rf"{_PAIR}(?:;{_PAIR})*")
_FOR = re.compile(r"(?:^|;)for=(?:\"([^\"\\]*)\"|([^;\"]+))", re.IGNORECASE)


class ClientAddresses:
    """Reads the addresses of clients."""

    def __init__(self, proxies: Sequence[Network] = (), header: ProxyHeader = "x-forwarded-for") -> None:
        self._proxies = proxies
        self._header = header.encode()
        self._entry = _forwarded_for if header == "forwarded" else _plain

    def of(self, scope: Mapping[str, Any], headers: Headers) -> str:
        """Return the address of a client; empty where the server does not know it."""
        client = scope.get("client")
        peer = str(client[0]) if client else ""
        if not self._proxies or (address := _address(peer)) is None or not is_within(address, self._proxies):
            return peer
        nearest = address
        for entry in reversed(headers.get(self._header, b"")[-8192:].rsplit(b",", MAX_HOPS)[-MAX_HOPS:]):
            found = _address(self._entry(entry.decode("latin-1").strip()))
            # A proxy that does not say from where it was called is the last that is known.
            if found is None:
                break
            nearest = found
            if not is_within(found, self._proxies):
                break
        return str(nearest)


def is_within(address: Address, networks: Sequence[Network]) -> bool:
    """Return whether an address lies in one of the networks."""
    return any(address.version == network.version and address in network for network in networks)


def may_come_from(text: str, networks: Sequence[Network]) -> bool:
    """Return whether a client with this address may use what is narrowed to networks; without them, from anywhere."""
    address = _address(text)
    return not networks or (address is not None and is_within(address, networks))


def _address(text: str) -> Address | None:
    """Return an address, without its port; that of IPv4 for one that IPv6 only wraps."""
    if found := _BRACKETED.fullmatch(text):
        text = found[1] if ":" in found[1] else ""
    elif found := _WITH_PORT.fullmatch(text):
        text = found[1]
    address = parse_address(text)
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        return address.ipv4_mapped
    return address


def _plain(entry: str) -> str:
    return entry


def _forwarded_for(entry: str) -> str:
    if _ENTRY.fullmatch(entry) is None:
        return ""
    named = _FOR.findall(entry)
    return named[0][0] or named[0][1] if len(named) == 1 else ""
