"""Sends one request again and again over several connections, each time as soon as the response has arrived.

Run as `python http_load.py PORT CONNECTIONS REQUESTS`, with the request's bytes on standard input; prints JSON. It uses
plain sockets and one prebuilt request so as not to be the bottleneck, and prints its own share of a core.
"""

import json
import resource
import selectors
import socket
import statistics
import sys
import time

_READ_BYTES = 65_536


class Connection:
    """One connection with at most one request under way."""

    def __init__(self, port: int, request: bytes) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._request = request
        self._answer = b""
        self._sent_at = 0.0

    def send(self) -> None:
        """Send the request."""
        self._answer = b""
        self._sent_at = time.perf_counter()
        self.socket.sendall(self._request)

    def read(self) -> float | None:
        """Read the available bytes.

        Returns: seconds since the request, once the response is whole. Raises: SystemExit.
        """
        data = self.socket.recv(_READ_BYTES)
        self._answer += data
        head, end, body = self._answer.partition(b"\r\n\r\n")
        if not data or (end and not head.startswith(b"HTTP/1.1 20")):
            sys.exit(f"refused: {self._answer[:500]!r}")
        if not end or len(body) < _length(head):
            return None
        return time.perf_counter() - self._sent_at


def _length(head: bytes) -> int:
    _, _, rest = head.lower().partition(b"content-length:")
    return int(rest.partition(b"\r\n")[0])


def run(port: int, connections: int, requests: int, request: bytes) -> list[float]:
    """Return the seconds that each request took."""
    took: list[float] = []
    with selectors.DefaultSelector() as selector:
        for _ in range(connections):
            connection = Connection(port, request)
            selector.register(connection.socket, selectors.EVENT_READ, connection)
            connection.send()
        unsent = requests - connections
        while len(took) < requests:
            for key, _ in selector.select():
                seconds = key.data.read()
                if seconds is None:
                    continue
                took.append(seconds)
                if unsent > 0:
                    unsent -= 1
                    key.data.send()
    return took


def main() -> None:
    """Load, and print figures: requests/s, percentiles in ms, this program's own share of a core."""
    port, connections, requests = map(int, sys.argv[1:4])
    begun = time.perf_counter()
    took = run(port, connections, requests, sys.stdin.buffer.read())
    elapsed = time.perf_counter() - begun
    usage = resource.getrusage(resource.RUSAGE_SELF)
    cuts = statistics.quantiles(took, n=100, method="inclusive")
    figures = {
        "per_s": requests / elapsed,
        "p50_ms": cuts[49] * 1000,
        "p99_ms": cuts[98] * 1000,
        "own_share": (usage.ru_utime + usage.ru_stime) / elapsed,
    }
    print(json.dumps(figures))


main()
