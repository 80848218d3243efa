"""Servers that are no Redis, or behave unlike one, as behind a wrong address. Each is a thread with a socket."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

HTTP = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"
SSH = b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n"
SMTP = b"220 mail.example.org ESMTP\r\n"
POP3 = b"+OK POP3 ready\r\n"
DENIED = b"-DENIED Redis is running in protected mode because protected mode is enabled. Do\r\n"
FULL = b"-ERR max number of clients reached\r\n"


def repeats(secret: str) -> bytes:
    """Return the texts of servers that do not know AUTH and repeat the password."""
    return f"-ERR unknown command 'AUTH', with args beginning with: '{secret}' \r\n".encode()


@contextmanager
def speaker(says: bytes | None) -> Iterator[int]:
    """Yield the port of a server that answers every connection with this and closes; None stays silent."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        open_ones: list[socket.socket] = []

        def answer() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                if says is None:
                    open_ones.append(connection)
                    continue
                with connection, suppress(OSError):
                    connection.settimeout(5)
                    connection.sendall(says)
                    connection.shutdown(socket.SHUT_WR)
                    while connection.recv(4096):
                        pass

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            # Closing alone does not wake a thread that waits in accept.
            server.shutdown(socket.SHUT_RDWR)
            thread.join(10)
            for connection in open_ones:
                connection.close()
