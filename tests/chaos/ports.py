"""Ports that stay free: a service comes back on the port that it had, however long it was gone."""

import random
import socket

from chaos.fault_proxy import HOST

# Below what kernels give to clients by themselves: Linux from 32768 on, macOS from 49152 on. A connection of anybody
# could else sit on the port of a service that is being started again.
_PORTS = range(20_000, 32_000)


def reserve_ports(count: int) -> list[int]:
    """Return so many ports on which nobody listens."""
    found: list[int] = []
    for port in random.sample(_PORTS, len(_PORTS)):
        if len(found) == count:
            break
        if _is_free(port):
            found.append(port)
    return found


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As servers do: what is left of a closed connection is in nobody's way.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True
