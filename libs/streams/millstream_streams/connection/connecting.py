"""The connections of redis-py that the product uses; each explains why it could not be made.

All connections are made here: those of pools, of the pipelined client, of Sentinels, and of every node of a cluster.
"""

import asyncio
from collections.abc import Mapping
from typing import Any

from redis.asyncio.connection import Connection
from redis.asyncio.sentinel import SentinelManagedConnection
from redis.exceptions import RedisError, ResponseError

from millstream_streams.connection.diagnosis import NotConnectedError, Peer, diagnose
from millstream_streams.connection.faults import is_of_replica
from millstream_streams.connection.tls import TlsContext


class _Explained(Connection):
    """A connection whose failure raises NotConnectedError, without a secret in it or behind it."""

    tls: TlsContext | None = None
    _is_reached = False
    _transport: asyncio.WriteTransport | None = None

    async def connect_check_health(self, check_health: bool = True, retry_socket_connect: bool = True) -> None:
        self._is_reached, self._transport = False, None
        try:
            await super().connect_check_health(check_health, retry_socket_connect)
        except RedisError as error:
            await self._cut()
            diagnosis = diagnose(error, self.peer, connected=self._is_reached)
        else:
            self._transport = None
            return
        # Outside of the handler: what a server has said may hold what we have sent, and tracebacks show it.
        raise NotConnectedError(self.peer, diagnosis)

    async def _connect(self) -> None:
        await super()._connect()  # type: ignore[no-untyped-call]
        self._is_reached = True
        self._transport = self._writer.transport if self._writer else None

    async def _cut(self) -> None:
        """Close a connection that was not made ready at once, because a TLS farewell may wait for long."""
        if self._transport is not None:
            self._transport.abort()
            self._transport = None
            await asyncio.sleep(0)

    @property
    def peer(self) -> Peer:
        """The server at the other end."""
        return Peer(
            host=self.host,
            port=self.port,
            db=self.db,
            tls=self.tls is not None,
            has_certificate=self.tls is not None and self.tls.has_certificate,
            connect_within_s=self.socket_connect_timeout or 0.0,
            answer_within_s=self.socket_timeout or 0.0,
            secrets=(self.password,) if self.password else (),
        )


class _Encrypted(_Explained):
    """A connection over TLS to a server whose name and certificate are verified."""

    def __init__(self, *, tls: TlsContext, **options: Any) -> None:
        super().__init__(**options)
        self.tls = tls

    def _connection_arguments(self) -> Mapping[str, Any]:
        return {**super()._connection_arguments(), "ssl": self.tls.get() if self.tls else None}


class _LeavesReplicas(_Explained):
    """A connection that is closed when its server turns out to have become a replica."""

    async def read_response(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return await super().read_response(*args, **kwargs)
        except ResponseError as error:
            if is_of_replica(error):
                await self.disconnect()
            raise


class PlainConnection(_LeavesReplicas):
    """A connection to one server at a fixed address."""


class TlsConnection(_LeavesReplicas, _Encrypted):
    """A TLS connection to one server at a fixed address."""


class PlainNodeConnection(_Explained):
    """A connection to a Sentinel or to a node of a cluster, whose clients find the primary themselves."""


class TlsNodeConnection(_Encrypted):
    """A TLS connection to a Sentinel or to a node of a cluster."""


class PlainManagedConnection(SentinelManagedConnection, _Explained):
    """A connection to the server that the Sentinels name."""


class TlsManagedConnection(SentinelManagedConnection, _Encrypted):
    """A TLS connection to the server that the Sentinels name."""
