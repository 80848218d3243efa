"""What a process is called in consumer groups."""

import os
import secrets
import socket


def consumer_name() -> str:
    """Return `host:pid:nonce`. The nonce is new at each start: a name that came back would confuse recovery."""
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
