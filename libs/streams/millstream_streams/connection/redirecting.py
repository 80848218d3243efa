"""A cluster client that follows ASK, which redis-py loses while a slot moves to another node.

redis-py 8.1.0 sends ASKING over whichever pooled connection is free, and the command over another; the node that
is taking the slot then sends the command back, until redis-py gives up. Both have to go over one connection.

Source: https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/#ask-redirection
"""

from collections.abc import Mapping, Sequence
from typing import Any

from redis.asyncio.cluster import ClusterNode, RedisCluster
from redis.asyncio.connection import Connection
from redis.exceptions import AskError, MovedError

from millstream_streams.connection.turns import Turns

Command = tuple[Any, ...]
Options = Mapping[str, Any]
"""The options by which redis-py reads the reply."""


class RedirectingCluster(RedisCluster):
    """A RedisCluster that follows ASK, and takes with `then` a command to send behind another on its connection.

    With `then` a command returns both replies. Calls to a node wait in turn where redis-py would refuse them.
    """

    def __init__(self, *, connection_class: type[Connection], connection_options: Options, **options: Any) -> None:
        """Use these options for every connection, beside redis-py's own, also to nodes found later."""
        super().__init__(**options)
        # redis-py takes neither; each node copies what it is made with.
        self.nodes_manager.connection_kwargs |= {"connection_class": connection_class, **connection_options}
        for node in self.nodes_manager.startup_nodes.values():
            node.connection_class = connection_class
            node.connection_kwargs |= connection_options
        self._turns: dict[str, Turns] = {}

    def turns_of(self, node: ClusterNode) -> Turns:
        """Return the turns of the calls to a node."""
        if node.name not in self._turns:
            self._turns[node.name] = Turns(node.max_connections)
        return self._turns[node.name]

    async def _execute_command(self, target_node: ClusterNode, *args: Any, **kwargs: Any) -> Any:
        return await super()._execute_command(RedirectingNode(target_node, self), *args, **kwargs)  # type: ignore[arg-type]


class RedirectingNode:
    """One node, for one command; all other behaviour is that of the node."""

    def __init__(self, node: ClusterNode, cluster: RedirectingCluster) -> None:
        self._node = node
        self._cluster = cluster

    def __getattr__(self, name: str) -> Any:
        return getattr(self._node, name)

    async def execute_command(self, *args: Any, then: Command = (), asking: bool = False, **kwargs: Any) -> Any:
        """Send a command, and send it on to the node that a reply names when the key is moving there."""
        rest: list[tuple[Command, Options]] = [(then, {})] if then else []
        try:
            async with self._cluster.turns_of(self._node).one():
                if not rest:
                    return await self._node.execute_command(*args, asking=asking, **kwargs)
                return await _converse(self._node, [(args, kwargs), *rest])
        except MovedError as moved:  # to redis-py a kind of AskError; the cluster client has to hear of it
            if not rest:
                raise
            # It would send the command again by a node that knows nothing of `then`.
            await self._cluster.nodes_manager.move_slot(moved)
            node = self._cluster.get_node(host=moved.host, port=moved.port)
            if node is None:
                raise
            return await RedirectingNode(node, self._cluster).execute_command(*args, then=then, **kwargs)
        except AskError as ask:
            node = self._cluster.get_node(host=ask.host, port=ask.port)
            if node is None:  # too new: the cluster client asks for the nodes, and again for this command
                raise
            async with self._cluster.turns_of(node).one():
                _, *replies = await _converse(node, [(("ASKING",), {}), (args, kwargs), *rest])
            return replies if rest else replies[0]


async def _converse(node: ClusterNode, commands: Sequence[tuple[Command, Options]]) -> list[Any]:
    """Send commands over one connection, each after the reply to the one before. Returns: their replies."""
    connection = node.acquire_connection()
    try:
        await node.disconnect_if_needed(connection)
        replies = []
        for command, options in commands:
            await connection.send_packed_command(connection.pack_command(*command))
            replies.append(await node.parse_response(connection, command[0], **options))
        return replies
    finally:
        node.release(connection)
