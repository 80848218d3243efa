"""Ports that stay free: a server comes back on the port that it had, however long it was gone.

They lie below those that kernels give to clients by themselves (Linux from 32768 on, macOS from 49152 on), where a
connection of any process could sit on the port of a server that is being started again. Each process of one run of
pytest draws from a part of its own, and no port twice: the server of another test may be about to listen on it.
"""

import os
import random
import socket
from collections.abc import Sequence

HOST = "127.0.0.1"
BUS_OFFSET = 10_000
"""The difference between the port of a cluster node and that of its bus."""

_PORTS = range(22_768, 32_768)
_NODE_PORTS = range(12_768, 22_768)

_drawn_before: set[int] = set()


def reserve_ports(count: int) -> list[int]:
    """Return this many ports on which nothing listens."""
    return _drawn(count, _PORTS, (0,))


def reserve_node_port() -> int:
    """Return a port on which nothing listens, nor on that of the cluster bus beside it."""
    return _drawn(1, _NODE_PORTS, (0, BUS_OFFSET))[0]


def _drawn(count: int, ports: Sequence[int], offsets: Sequence[int]) -> list[int]:
    # Drawn by lot: other runs of pytest draw as well, and a port is free until its server has started.
    found: list[int] = []
    own = [port for port in _part(ports) if port not in _drawn_before]
    for port in random.SystemRandom().sample(own, len(own)):
        if len(found) == count:
            break
        if all(_is_free(port + offset) for offset in offsets):
            found.append(port)
    _drawn_before.update(found)
    return found


def _part(ports: Sequence[int]) -> Sequence[int]:
    """Return the ports of this process: pytest-xdist numbers its processes `gw0`, `gw1` and so on."""
    number = os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")
    return ports[int(number) :: int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))]


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As servers do: what is left of a closed connection is in no server's way.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True
