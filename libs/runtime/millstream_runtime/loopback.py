"""Tells addresses that only this machine reaches from those that others reach."""

import ipaddress


def is_loopback(host: str) -> bool:
    """Return whether only this machine reaches a host: a loopback address, or `localhost`."""
    try:
        return ipaddress.ip_address(host.removeprefix("[").removesuffix("]")).is_loopback
    except ValueError:
        return host == "localhost"
