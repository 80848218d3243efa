"""Runs a primary with a replica on loopback, and three Sentinels that fail over between them."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import redis
from topologies.nodes import HOST, OPEN, Access, Node, wait_for

from millstream_cli.redis_finder import RedisBinary

SERVICE = "main"
SENTINELS = 3
QUORUM = 2
_FAILOVER_TIMEOUT_MS = 3_000
_FAILOVER_S = 30.0

# What Sentinel does every ten, one and two seconds by itself; 7.0 and later can be told, 6.2 cannot. Its pings
# stay as they are: a replica whose INFO is older than five of them is not made primary.
_HURRY = {"INFO-PERIOD": 500, "ASK-PERIOD": 200, "PUBLISH-PERIOD": 300}


class SentinelTrio:
    """Two servers, of which one is the primary, and three Sentinels."""

    def __init__(self, servers: list[Node], sentinels: list[Node]) -> None:
        self.servers = servers
        self.sentinels = sentinels

    @property
    def url(self) -> str:
        """Return the address for a client, which asks the Sentinels for the primary."""
        return "redis+sentinel://" + ",".join(f"{HOST}:{node.port}" for node in self.sentinels) + f"/{SERVICE}"

    @property
    def primary(self) -> Node:
        """Return the primary by the Sentinels, dead or alive. Raises: redis.RedisError."""
        _, port = self.sentinels[0].ask("SENTINEL", "GET-MASTER-ADDR-BY-NAME", SERVICE)
        return next(node for node in self.servers if node.port == int(port))

    @property
    def replica(self) -> Node:
        """Return the other server."""
        primary = self.primary
        return next(node for node in self.servers if node is not primary)

    def kill_primary(self) -> Node:
        """Kill the primary with SIGKILL and return it. The Sentinels promote the replica."""
        primary = self.primary
        primary.kill()
        return primary

    def freeze_primary(self) -> Node:
        """Stop the primary with SIGSTOP and return it, for `thaw`. The Sentinels promote the replica."""
        primary = self.primary
        primary.freeze()
        return primary

    def failover(self) -> Node:
        """Begin a planned failover of the Sentinels; return the old primary."""
        self.wait_until_ready()
        primary = self.primary
        self.sentinels[0].ask("SENTINEL", "FAILOVER", SERVICE)
        return primary

    def wait_for_new_primary(self, old: Node) -> Node:
        """Return the new primary once all Sentinels name it and it accepts writes. Raises: TimeoutError."""
        new = next(node for node in self.servers if node is not old)
        for sentinel in self.sentinels:
            wait_for(lambda sentinel=sentinel: self._named_by(sentinel) == new.port, f"{sentinel} names {new}")
        wait_for(lambda: new.info("replication")["role"] == "master", f"{new} is primary", _FAILOVER_S)
        return new

    def demote(self, old: Node) -> None:
        """Do to a primary that was replaced what Sentinel does after a while; return once it follows the new one.

        Sentinel waits four of its periods of publishing, and looks every period of INFO: with 6.2 this takes 20 s.
        """
        old.ask("REPLICAOF", HOST, next(node.port for node in self.servers if node is not old))
        for kind in ("normal", "pubsub"):
            old.ask("CLIENT", "KILL", "TYPE", kind)
        wait_for(lambda: old.info("replication").get("master_link_status") == "up", f"{old} follows")

    def wait_until_replicated(self, timeout_s: float = _FAILOVER_S) -> None:
        """Return once the replica has all that the primary had at this call. Raises: TimeoutError."""
        wanted = self.primary.info("replication")["master_repl_offset"]
        replica = self.replica
        wait_for(lambda: _offset(replica) >= wanted, f"{replica} has caught up", timeout_s)

    def wait_until_ready(self) -> None:
        """Return once both servers are up and all Sentinels know them. Raises: TimeoutError."""
        replica = self.replica
        wait_for(lambda: replica.info("replication").get("master_link_status") == "up", f"{replica} follows")
        for sentinel in self.sentinels:
            wait_for(lambda sentinel=sentinel: self._knows_all(sentinel), f"{sentinel} knows the others")

    def revive(self, node: Node) -> None:
        """Start a killed server again, and return once it follows the new primary. Raises: TimeoutError."""
        node.start()
        wait_for(lambda: self.replica is node, f"{node} is not the primary")
        self.wait_until_ready()

    def _named_by(self, sentinel: Node) -> int:
        return int(sentinel.ask("SENTINEL", "GET-MASTER-ADDR-BY-NAME", SERVICE)[1])

    def _knows_all(self, sentinel: Node) -> bool:
        state = _pairs(sentinel.ask("SENTINEL", "MASTER", SERVICE))
        counts = int(state["num-slaves"]), int(state["num-other-sentinels"])
        if state["flags"] != "master" or counts != (len(self.servers) - 1, SENTINELS - 1):
            return False
        (replica,) = (_pairs(row) for row in sentinel.ask("SENTINEL", "REPLICAS", SERVICE))
        return replica["flags"] == "slave" and replica["master-link-status"] == "ok"


@contextmanager
def sentinel_trio(
    folder: Path,
    binary: RedisBinary,
    options: Mapping[str, str | int] = {},
    *,
    down_after_ms: int = 500,
    access: Access = OPEN,
    watch_as: Access | None = None,
    sentinel_options: Mapping[str, str | int] = {},
    sentinel_access: Access = OPEN,
) -> Iterator[SentinelTrio]:
    """Yield a primary, its replica and three Sentinels that know each other.

    `options` are settings of both servers, `sentinel_options` of all Sentinels. Sentinels connect to the servers with
    `watch_as`, by default as the test does. After `down_after_ms` of silence a server counts as down.
    """
    # Without a delay: 7.0 and later wait five seconds for more replicas before they send what they have.
    settings = {"appendonly": "no", "repl-diskless-sync": "yes", "repl-diskless-sync-delay": 0, **options}
    with ExitStack() as undo:
        primary = Node(binary, folder / "server-0", settings, access=access)
        following = {**settings, "replicaof": f"{HOST} {primary.port}"}
        servers = [primary, Node(binary, folder / "server-1", following, access=access)]
        for node in servers:
            undo.callback(node.end)
            node.start()
        wait_for(lambda: servers[1].info("replication")["master_link_status"] == "up", "the replica follows")
        watching = {
            **sentinel_options,
            f"sentinel monitor {SERVICE}": f"{HOST} {primary.port} {QUORUM}",
            f"sentinel down-after-milliseconds {SERVICE}": down_after_ms,
            f"sentinel failover-timeout {SERVICE}": _FAILOVER_TIMEOUT_MS,
        }
        watcher = access if watch_as is None else watch_as
        if watcher.username:
            watching[f"sentinel auth-user {SERVICE}"] = watcher.username
        if watcher.password:
            watching[f"sentinel auth-pass {SERVICE}"] = watcher.password
        sentinels = [
            Node(binary, folder / f"sentinel-{number}", watching, sentinel=True, access=sentinel_access)
            for number in range(SENTINELS)
        ]
        for sentinel in sentinels:
            _start_sentinel(undo, sentinel)
        trio = SentinelTrio(servers, sentinels)
        trio.wait_until_ready()
        yield trio


def _start_sentinel(undo: ExitStack, node: Node) -> None:
    undo.callback(node.end)
    node.start()
    for period, value_ms in _HURRY.items():
        with suppress(redis.ResponseError):
            node.ask("SENTINEL", "DEBUG", period, value_ms)


def _offset(replica: Node) -> int:
    offset: int = replica.info("replication")["slave_repl_offset"]
    return offset


def _pairs(answer: Any) -> dict[str, str]:
    """Return Sentinel's description of a server as a dictionary, in whichever shape the client has it."""
    if isinstance(answer, dict):
        return {_text(name): _text(value) for name, value in answer.items()}
    words = [_text(word) for word in answer]
    return dict(zip(words[::2], words[1::2], strict=True))


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
