"""Runs Redis behind TLS and passwords: one server, Sentinels, or a cluster, without any plain port.

A client without TLS reaches none of them, so a system that works on them encrypts every connection.
"""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from msgspec import Struct
from msgspec.structs import replace
from topologies.certificates import HAS_OPENSSL, Authority, Pair
from topologies.cluster import three_primaries
from topologies.nodes import HOST, Access, Node
from topologies.sentinel import sentinel_trio

from millstream_cli.redis_finder import RedisBinary
from millstream_streams import RedisAddress, TlsFiles, parse_redis_url

PASSWORD = "s3cr3t-of-redis"
SENTINEL_USER = "watcher"
SENTINEL_PASSWORD = "s3cr3t-of-sentinels"
UNNAMED_HOST = "127.0.0.2"
_SILENT_MS = 30_000


class Keys(Struct, frozen=True):
    """The certificates of each side, and the authorities that they trust."""

    authority: Authority
    server: Pair
    client: Pair

    @property
    def files(self) -> TlsFiles:
        """Return the files that a client needs."""
        return TlsFiles(self.authority.certificate, self.client.certificate, self.client.key)

    @property
    def files_of_servers(self) -> dict[str, str]:
        """Return the TLS settings of every server and Sentinel. The second address is in no certificate."""
        return {**_tls_settings(self.authority, self.server), "bind": f"{HOST} {UNNAMED_HOST}"}

    @property
    def options(self) -> dict[str, str]:
        """Return the settings of every server."""
        return {**self.files_of_servers, "requirepass": PASSWORD, "masterauth": PASSWORD}

    @property
    def access(self) -> Access:
        """Return how the tests connect to a server."""
        return Access(self.authority.certificate, self.client, password=PASSWORD)


def make_keys(folder: Path) -> Keys:
    """Return an authority with one certificate for servers on 127.0.0.1 and localhost, and one for clients."""
    authority = Authority(folder)
    return Keys(authority, authority.issue("server", f"IP:{HOST}", "DNS:localhost"), authority.issue("client"))


@contextmanager
def locked_single(folder: Path, binary: RedisBinary, keys: Keys) -> Iterator[RedisAddress]:
    """Yield the address of one server."""
    node = Node(binary, folder / "server", {**keys.options, "appendonly": "yes"}, access=keys.access)
    try:
        node.start()
        yield _address(f"rediss://{HOST}:{node.port}", keys)
    finally:
        node.end()


@contextmanager
def locked_sentinels(folder: Path, binary: RedisBinary, keys: Keys) -> Iterator[RedisAddress]:
    """Yield the address of three Sentinels, with a user of their own, and a primary and a replica."""
    own = {**keys.files_of_servers, "user default": "off"}
    users = {
        f"user {SENTINEL_USER}": f"on >{SENTINEL_PASSWORD} allchannels +@all",
        "sentinel sentinel-user": SENTINEL_USER,
        "sentinel sentinel-pass": SENTINEL_PASSWORD,
    }
    entry = replace(keys.access, username=SENTINEL_USER, password=SENTINEL_PASSWORD)
    with sentinel_trio(
        folder,
        binary,
        keys.options,
        down_after_ms=_SILENT_MS,
        access=keys.access,
        sentinel_options={**own, **users},
        sentinel_access=entry,
    ) as trio:
        address = _address(trio.url.replace("redis+", "rediss+"), keys)
        yield replace(address, sentinel_username=SENTINEL_USER, sentinel_password=SENTINEL_PASSWORD)


@contextmanager
def locked_cluster(folder: Path, binary: RedisBinary, keys: Keys) -> Iterator[RedisAddress]:
    """Yield the address of one node of three, so that a client has to find the others."""
    options = {**keys.options, "tls-cluster": "yes", "cluster-node-timeout": _SILENT_MS}
    with three_primaries(folder, binary, options, access=keys.access) as cluster:
        yield _address(f"rediss+cluster://{HOST}:{cluster.nodes[0].port}", keys)


LOCKED = {"single": locked_single, "sentinel": locked_sentinels, "cluster": locked_cluster}


def _address(url: str, keys: Keys) -> RedisAddress:
    return replace(parse_redis_url(url), password=PASSWORD, tls_files=keys.files)


def require_tls(binary: RedisBinary) -> None:
    """Skip a test where certificates cannot be made or the server was built without TLS."""
    if not HAS_OPENSSL:
        pytest.skip("no openssl on PATH")
    # A server stops at the first setting that it does not know, and names it.
    command = [binary.path, "--tls-port", "0", "--no-such-setting", "1"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if "no-such-setting" not in done.stdout + done.stderr:
        pytest.skip(f"{binary.path} was built without TLS")


def _tls_settings(authority: Authority, server: Pair) -> dict[str, str]:
    """Return the settings of a server that speaks TLS alone, also to other servers, and asks for certificates."""
    return {
        "tls-cert-file": str(server.certificate),
        "tls-key-file": str(server.key),
        "tls-ca-cert-file": str(authority.certificate),
        "tls-replication": "yes",
    }
