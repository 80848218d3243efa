"""Distinguishes a port that speaks TLS from one that does not, for an error that says more than "closed".

A process that has not used Redis yet probes once per try. One that has used it does not, because then Redis has gone. A
probe sends no data of ours, and its result only names the mistake.
"""

import asyncio
import ssl
from contextlib import suppress

from millstream_streams.connection.diagnosis import HAS_NO_TLS, WANTS_TLS, NoPrimaryError, NotConnectedError

PROBE_WITHIN_S = 1.0


async def look_closer(error: NotConnectedError) -> NotConnectedError:
    """Return a failure with the mode of the ports, TLS or not, where the diagnosis was a guess."""
    if isinstance(error, NoPrimaryError):
        return NoPrimaryError([await look_closer(failure) for failure in error.failures])
    peer = error.where
    if not error.diagnosis.is_guess or isinstance(peer, str):
        return error
    if peer.tls:
        return NotConnectedError(peer, HAS_NO_TLS) if await speaks_plain_redis(peer.host, peer.port) else error
    return NotConnectedError(peer, WANTS_TLS) if await speaks_tls(peer.host, peer.port) else error


async def speaks_tls(host: str, port: int) -> bool:
    """Return whether a port answers a TLS handshake, whatever its certificate."""
    anyone = ssl.create_default_context()
    anyone.check_hostname, anyone.verify_mode = False, ssl.CERT_NONE
    try:
        async with asyncio.timeout(PROBE_WITHIN_S):
            _, writer = await asyncio.open_connection(host, port, ssl=anyone)
    except ssl.SSLError as error:
        return "ALERT" in (error.reason or "")
    except (OSError, TimeoutError):
        return False
    await _end(writer)
    return True


async def speaks_plain_redis(host: str, port: int) -> bool:
    """Return whether a port answers PING without TLS, be it with an error."""
    try:
        async with asyncio.timeout(PROBE_WITHIN_S):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                writer.write(b"PING\r\n")
                answer = await reader.readline()
            finally:
                await _end(writer)
    except (OSError, TimeoutError, ValueError):
        return False
    return answer.startswith((b"+PONG", b"-"))


async def _end(writer: asyncio.StreamWriter) -> None:
    """Close a connection without a farewell, which the other end may not answer."""
    writer.transport.abort()
    with suppress(OSError):
        await writer.wait_closed()
