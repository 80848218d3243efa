"""The access to Redis as one value, from which every connection of a process is made.

Neither the text of an address nor an error about one contains a user name or a password, because both end in logs.
"""

import re
from contextlib import suppress
from urllib.parse import SplitResult, unquote, urlsplit

from msgspec import Struct

from millstream_streams.connection.tls import TlsFiles
from millstream_streams.errors import RedisUrlError

DEFAULT_PORT = 6379
DEFAULT_SENTINEL_PORT = 26379

_DB = re.compile(r"[0-9]{1,9}")
_FORM = (
    "use redis://host:port/0, rediss:// for TLS, redis+sentinel://host:port,host:port/service/0 or "
    "redis+cluster://host:port,host:port"
)


class RedisAddress(Struct, frozen=True):
    """One server, Sentinel or Cluster, with the credentials and certificates for every connection."""

    mode: str
    """`single`, `sentinel` or `cluster`."""
    hosts: tuple[tuple[str, int], ...]
    tls: bool = False
    """Whether every connection is encrypted and names are verified: to Sentinels and discovered nodes as well."""
    service: str = ""
    db: int = 0
    username: str | None = None
    password: str | None = None
    sentinel_username: str | None = None
    sentinel_password: str | None = None
    """The password of the Sentinels; the servers behind them have credentials of their own."""
    tls_files: TlsFiles = TlsFiles()

    @property
    def is_cluster(self) -> bool:
        """Whether keys are spread over several servers."""
        return self.mode == "cluster"

    @property
    def text(self) -> str:
        """The address as a URL without credentials."""
        scheme = ("rediss" if self.tls else "redis") + ("" if self.mode == "single" else f"+{self.mode}")
        hosts = ",".join(f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in self.hosts)
        path = "" if self.is_cluster else "/".join(["", *([self.service] if self.service else []), str(self.db)])
        return f"{scheme}://{hosts}{path}"

    @property
    def secrets(self) -> tuple[str, ...]:
        """The texts that no message may repeat."""
        return tuple(filter(None, (self.password, self.sentinel_password)))

    def __repr__(self) -> str:
        """Return a text without credentials, because it ends in logs."""
        return f"{type(self).__name__}({self.text})"


def parse_redis_url(url: str) -> RedisAddress:
    """Read the URL of a Redis.

    redis://[user:password@]host[:6379][/db]
    redis+sentinel://[user:password@]host[:26379][,host…]/service[/db]
    redis+cluster://[user:password@]host[:6379][,host…]
    rediss, rediss+sentinel and rediss+cluster speak TLS.

    Raises: RedisUrlError.
    """
    # Raised outside of handlers: urllib quotes what it cannot read, and that may be a password.
    parts = None
    with suppress(ValueError):
        parts = urlsplit(url)
    if parts is None:
        raise RedisUrlError(f"the Redis URL cannot be read; {_FORM}")
    if parts.query or parts.fragment or not parts.netloc:
        raise RedisUrlError(
            f"the Redis URL has no host, or more than that and a path (write `/` in a password as %2F); {_FORM}"
        )
    scheme, _, mode = parts.scheme.partition("+")
    mode = mode or "single"
    if scheme not in {"redis", "rediss"} or mode not in {"single", "sentinel", "cluster"}:
        raise RedisUrlError(f"the Redis URL has a scheme that is none of Redis; {_FORM}")
    userinfo, _, hosts_text = parts.netloc.rpartition("@")
    username, _, password = userinfo.partition(":")
    default_port = DEFAULT_SENTINEL_PORT if mode == "sentinel" else DEFAULT_PORT
    service, db = _path(parts, mode)
    if mode == "single" and "," in hosts_text:
        raise RedisUrlError(f"a Redis URL names one host, unless it is of Sentinel or Cluster; {_FORM}")
    return RedisAddress(
        mode=mode,
        hosts=tuple(_host(host, default_port) for host in hosts_text.split(",")),
        tls=scheme == "rediss",
        service=service,
        db=db,
        username=unquote(username) or None,
        password=unquote(password) or None,
    )


def _host(text: str, default_port: int) -> tuple[str, int]:
    host, port = None, None
    with suppress(ValueError):
        parts = urlsplit(f"//{text}")
        host, port = parts.hostname or "", parts.port or default_port
    if host is None or port is None:
        raise RedisUrlError(f"a host in the Redis URL has no valid port; {_FORM}")
    if not host:
        raise RedisUrlError(f"the Redis URL names no host; {_FORM}")
    return host, port


def _path(parts: SplitResult, mode: str) -> tuple[str, int]:
    segments = [segment for segment in parts.path.split("/") if segment]
    service = ""
    if mode == "sentinel":
        if not segments:
            raise RedisUrlError(f"the Redis URL names no Sentinel service; {_FORM}")
        service = segments.pop(0)
    if not segments:
        return service, 0
    if len(segments) > 1 or not _DB.fullmatch(segments[0]) or mode == "cluster":
        raise RedisUrlError(f"the path of the Redis URL is no database number; {_FORM}")
    return service, int(segments[0])
