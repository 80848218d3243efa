"""Judges addresses: calls to URLs that users name go to public addresses alone, or to networks that operators allow.

What a host is called says nothing; each address that it resolves to is judged, with the IPv4 address inside it where it
is one of IPv6 that leads to one.

Source: OWASP "Server-Side Request Forgery Prevention"; IANA special-purpose address registries; RFC 6052 (NAT64),
RFC 3056 (6to4), RFC 4380 (Teredo).
"""

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

# What `is_global` of Python takes for public, in one release or another, and is not.
_REFUSED: tuple[Network, ...] = tuple(
    ip_network(text)
    for text in (
        "192.0.0.0/24",  # IETF protocol assignments
        "192.88.99.0/24",  # relays of 6to4
        "100.64.0.0/10",  # shared by the customers of a carrier
        "64:ff9b:1::/48",  # NAT64 of a local network
        "fec0::/10",  # site-local, from before fc00::/7
        "5f00::/16",  # segments of SRv6
        "2001::/23",  # IETF protocol assignments, Teredo among them
        "2001:db8::/32",  # documentation
        "3fff::/20",  # documentation
    )
)

_NAT64 = IPv6Network("64:ff9b::/96")
_COMPATIBLE = IPv6Network("::/96")


def parse_networks(texts: Iterable[str]) -> tuple[Network, ...]:
    """Return networks in CIDR notation; a single address is a network too. Raises: ValueError, which names the text."""
    networks = []
    for text in texts:
        try:
            networks.append(ip_network(text))
        except ValueError as error:
            raise ValueError(f"`{text}` is no network such as 10.0.0.0/8: {error}") from None
    return tuple(networks)


def parse_address(text: str) -> Address | None:
    """Return an address, without the zone that an address of IPv6 may have; None for a name."""
    try:
        return ip_address(text.partition("%")[0])
    except ValueError:
        return None


def judge(address: Address, allowed: Sequence[Network] = ()) -> str | None:
    """Return why calls may not go to an address; None where they may."""
    inner = embedded(address)
    if any(one.version == network.version and one in network for one in (inner, address) for network in allowed):
        return None
    if _is_public(inner):
        return None
    within = "" if inner == address else f", which leads to {inner}"
    return f"{address}{within} is no public address"


def embedded(address: Address) -> Address:
    """Return the IPv4 address that an IPv6 address leads to (mapped, compatible, NAT64, 6to4), or else the address."""
    if isinstance(address, IPv4Address):
        return address
    if mapped := address.ipv4_mapped or address.sixtofour:
        return mapped
    if address in _NAT64 or (address in _COMPATIBLE and int(address) > 1):
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address


def _is_public(address: Address) -> bool:
    if address.is_multicast or not address.is_global or address.is_reserved:
        return False
    return not any(address.version == network.version and address in network for network in _REFUSED)
