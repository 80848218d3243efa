"""Runs a Redis Cluster of three primaries on loopback, whose slots can be moved step by step."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from redis.crc import key_slot
from topologies.nodes import HOST, OPEN, Access, Node, wait_for

from millstream_cli.redis_finder import RedisBinary

SLOTS = 16_384
_MIGRATE_MS = 5_000
_KEYS_AT_ONCE = 100


class Cluster:
    """Three primaries without replicas. A method that takes a slot also takes a key."""

    def __init__(self, nodes: list[Node]) -> None:
        self.nodes = nodes

    @property
    def url(self) -> str:
        """Return the address for a client of the cluster."""
        return "redis+cluster://" + ",".join(f"{HOST}:{node.port}" for node in self.nodes)

    def node_of(self, slot: int | str | bytes) -> Node:
        """Return the node that serves a slot, as the cluster says. Raises: LookupError, when none does."""
        number = _slot(slot)
        for row in self._living().ask("CLUSTER SLOTS"):
            if row[0] <= number <= row[1]:
                return self._by_port(row[2][1])
        raise LookupError(f"no node serves slot {number}")

    def others(self, node: Node) -> list[Node]:
        """Return the other two nodes."""
        return [one for one in self.nodes if one is not node]

    def begin_move(self, slot: int | str | bytes, to: Node) -> "SlotMove":
        """Begin to move a slot, without its keys. From now on both nodes answer for a part of it."""
        move = SlotMove(self, _slot(slot), self.node_of(slot), to)
        move.target.ask("CLUSTER SETSLOT", move.slot, "IMPORTING", _id_of(move.source))
        move.source.ask("CLUSTER SETSLOT", move.slot, "MIGRATING", _id_of(move.target))
        return move

    def move_slot(self, slot: int | str | bytes, to: Node) -> None:
        """Move a slot with all of its keys, from the first step to the last."""
        move = self.begin_move(slot, to)
        move.move_keys()
        move.finish()

    def follow(self, replica: Node, primary: Node) -> None:
        """Add a running node as a replica of a primary, and return once all nodes know it."""
        replica.ask("CLUSTER MEET", HOST, primary.port)
        wait_for(lambda: _knows(replica, primary), f"{replica} knows {primary}")
        replica.ask("CLUSTER REPLICATE", _id_of(primary))
        self.nodes.append(replica)
        self.wait_until_complete()
        wait_for(lambda: replica.info("replication")["master_link_status"] == "up", f"{replica} follows")
        for node in self.nodes:
            wait_for(lambda node=node: _lists(node, replica), f"{node} lists {replica}")

    def kill(self, node: Node) -> None:
        """Kill a node with SIGKILL: a third of the slots is away, and the others refuse writes once they notice."""
        node.kill()

    def revive(self, node: Node) -> None:
        """Start a killed node again, and return once the cluster serves every slot. Its keys may be lost."""
        node.start()
        self.wait_until_complete()

    def wait_until_complete(self) -> None:
        """Return once every node says that all slots are served. Raises: TimeoutError."""
        for node in self.nodes:
            wait_for(lambda node=node: self._is_complete(node), f"{node} sees the whole cluster")

    def _is_complete(self, node: Node) -> bool:
        state = node.ask("CLUSTER INFO")
        return bool(state["cluster_state"] == "ok" and int(state["cluster_known_nodes"]) == len(self.nodes))

    def _living(self) -> Node:
        return next(node for node in self.nodes if node.answers())

    def _by_port(self, port: int) -> Node:
        return next(node for node in self.nodes if node.port == port)


class SlotMove:
    """A slot that moves from one node to another, with keys on both."""

    def __init__(self, cluster: Cluster, slot: int, source: Node, target: Node) -> None:
        self.cluster = cluster
        self.slot = slot
        self.source = source
        self.target = target

    def keys(self, node: Node, limit: int = SLOTS) -> list[bytes]:
        """Return the keys of the slot that a node holds."""
        found: list[bytes] = node.ask("CLUSTER GETKEYSINSLOT", self.slot, limit)
        return found

    def move_keys(self, limit: int | None = None) -> int:
        """Move this many keys, or all; return how many were moved."""
        moved = 0
        while wanted := min(_KEYS_AT_ONCE, _KEYS_AT_ONCE if limit is None else limit - moved):
            keys = self.keys(self.source, wanted)
            self.move_these(keys)
            moved += len(keys)
            if len(keys) < wanted:
                break
        return moved

    def move_these(self, keys: list[bytes]) -> None:
        """Move the named keys; a key that is gone is no error."""
        if keys:
            self.source.ask("MIGRATE", HOST, self.target.port, "", 0, _MIGRATE_MS, "KEYS", *keys)

    def finish(self) -> None:
        """Give the slot to its new owner. Raises: redis.ResponseError, while keys of it are left at the old one."""
        # The new owner first: it makes the epoch by which all others believe it.
        for node in (self.target, *self.cluster.others(self.target)):
            node.ask("CLUSTER SETSLOT", self.slot, "NODE", _id_of(self.target))


@contextmanager
def three_primaries(
    folder: Path, binary: RedisBinary, options: Mapping[str, str | int] = {}, *, access: Access = OPEN
) -> Iterator[Cluster]:
    """Yield a cluster that serves every slot. `options` are further settings of each node."""
    settings = {"cluster-enabled": "yes", "cluster-node-timeout": 2_000, "appendonly": "no", **options}
    with ExitStack() as undo:
        nodes = [Node(binary, folder / f"node-{number}", settings, access=access) for number in range(3)]
        for at, node in enumerate(nodes):
            undo.callback(node.end)
            node.start()
            node.ask("CLUSTER ADDSLOTS", *range(at * SLOTS // 3, (at + 1) * SLOTS // 3))
            node.ask("CLUSTER SET-CONFIG-EPOCH", at + 1)
            for other in nodes[:at]:
                node.ask("CLUSTER MEET", HOST, other.port)
        cluster = Cluster(nodes)
        cluster.wait_until_complete()
        yield cluster


def _knows(node: Node, other: Node) -> bool:
    return _id_of(other).decode() in str(node.ask("CLUSTER NODES"))


def _lists(node: Node, replica: Node) -> bool:
    """Return whether a node offers a replica to clients."""
    return any(place[1] == replica.port for row in node.ask("CLUSTER SLOTS") for place in row[3:])


def slot_of(key: str | bytes) -> int:
    """Return the slot of a key."""
    slot: int = key_slot(key if isinstance(key, bytes) else key.encode())
    return slot


def _slot(slot: int | str | bytes) -> int:
    return slot if isinstance(slot, int) else slot_of(slot)


def _id_of(node: Node) -> bytes:
    answer: Any = node.ask("CLUSTER MYID")
    return answer if isinstance(answer, bytes) else str(answer).encode()
