"""Ports that stay free: a server comes back on the port that it had, however long it was gone.

They lie below those that kernels give to clients by themselves (Linux from 32768 on, macOS from 49152 on), where a
connection of any process could sit on the port of a server that is being started again.
"""

import random
import socket
from collections.abc import Sequence

HOST = "127.0.0.1"
BUS_OFFSET = 10_000
"""The difference between the port of a cluster node and that of its bus."""

_PORTS = range(22_768, 32_768)
_NODE_PORTS = range(12_768, 22_768)


def reserve_ports(count: int) -> list[int]:
    """Return this many ports on which nothing listens."""
    return _drawn(count, _PORTS, (0,))


def reserve_node_port() -> int:
    """Return a port on which nothing listens, nor on that of the cluster bus beside it."""
    return _drawn(1, _NODE_PORTS, (0, BUS_OFFSET))[0]


def _drawn(count: int, ports: Sequence[int], offsets: Sequence[int]) -> list[int]:
    # Drawn by lot: other processes of the tests draw as well, and a port is free until its server has started.
    found: list[int] = []
    for port in random.SystemRandom().sample(ports, len(ports)):
        if len(found) == count:
            break
        if all(_is_free(port + offset) for offset in offsets):
            found.append(port)
    return found


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As servers do: what is left of a closed connection is in no server's way.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True
