"""Writes HTTP/1.1 byte by byte, for requests that no client library sends."""

import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

_ANSWER_S = 20
"""The time after which a missing response fails the test; it is no bound on the speed."""


class Wire:
    """A connection to a server."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self.is_cut = False
        """Whether the other side has closed it."""

    def send(self, data: bytes) -> None:
        """Send bytes; those that the server no longer reads are dropped."""
        try:
            self._connection.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            self.is_cut = True

    def status(self) -> int:
        """Return the status of the next response; 0 when the connection was closed without one."""
        line = b""
        while not line.endswith(b"\r\n"):
            try:
                byte = self._connection.recv(1)
            except ConnectionResetError:
                byte = b""
            if not byte:
                self.is_cut = True
                return 0
            line += byte
        return int(line.split(b" ", 2)[1])


@contextmanager
def wire_to(port: int) -> Iterator[Wire]:
    """Yield a connection to a port of this machine."""
    with socket.create_connection(("127.0.0.1", port), timeout=_ANSWER_S) as connection:
        yield Wire(connection)


def head(method: str, path: str, *headers: str) -> bytes:
    """Return the beginning of a request, up to its body."""
    lines = (f"{method} {path} HTTP/1.1", "Host: localhost", *headers, "", "")
    return "\r\n".join(lines).encode("latin-1")


def chunked(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield a chunked body."""
    for piece in pieces:
        yield b"%x\r\n%s\r\n" % (len(piece), piece)
    yield b"0\r\n\r\n"


def answer_to(port: int, request: bytes) -> int:
    """Send bytes on a connection of their own and return the status of the response; 0 without one."""
    with wire_to(port) as wire:
        wire.send(request)
        return wire.status()
