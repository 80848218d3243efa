"""A Redis Cluster of three primaries on loopback, for as long as a test module runs."""

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import redis

from millstream_cli.parent_watch import guarded
from millstream_cli.redis_finder import RedisBinary

SLOTS = 16_384
_PATIENCE_S = 30.0
_LOOK_EVERY_S = 0.02


@contextmanager
def three_primaries(folder: Path, binary: RedisBinary) -> Iterator[str]:
    """Yield the URL of a cluster that serves every slot."""
    with ExitStack() as undo:
        ports = [_free_port() for _ in range(3)]
        nodes = [undo.enter_context(_node(folder / str(port), binary, port)) for port in ports]
        for at, node in enumerate(nodes):
            node.execute_command("CLUSTER ADDSLOTS", *range(at * SLOTS // 3, (at + 1) * SLOTS // 3))
            node.execute_command("CLUSTER SET-CONFIG-EPOCH", at + 1)
            node.execute_command("CLUSTER MEET", "127.0.0.1", ports[0])
        for node in nodes:
            _wait_until_complete(node)
        yield "redis+cluster://" + ",".join(f"127.0.0.1:{port}" for port in ports)


@contextmanager
def _node(folder: Path, binary: RedisBinary, port: int) -> Iterator["redis.Redis"]:
    folder.mkdir(parents=True)
    options = {"port": port, "bind": "127.0.0.1", "dir": folder, "save": "", "cluster-enabled": "yes"}
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    with (folder / "redis.log").open("wb") as log:
        process = subprocess.Popen(
            guarded([str(binary.path), *words]), stdin=subprocess.PIPE, stdout=log, stderr=subprocess.STDOUT
        )
    try:
        with redis.Redis(host="127.0.0.1", port=port, protocol=2) as client:
            _wait_until_ready(client)
            yield client
    finally:
        process.terminate()
        process.wait()
        process.stdin.close()


def _wait_until_ready(client: "redis.Redis") -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while time.monotonic() < deadline:
        with suppress(redis.ConnectionError):
            client.ping()
            return
        time.sleep(_LOOK_EVERY_S)
    raise AssertionError("a node of the cluster does not answer")


def _wait_until_complete(client: "redis.Redis") -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while time.monotonic() < deadline:
        state = client.execute_command("CLUSTER INFO")
        if state["cluster_state"] == "ok" and state["cluster_known_nodes"] == "3":
            return
        time.sleep(_LOOK_EVERY_S)
    raise AssertionError("the cluster did not come together")


def _free_port() -> int:
    """Return a port whose neighbour ten thousand above, that of the cluster's own bus, exists."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
        if port < 55_000:
            return port
