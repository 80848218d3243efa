"""Reads the address of a history database: a PostgreSQL URI by the rules of libpq.

An error names the part that is wrong and never shows its value, which may be a password.

Source: https://www.postgresql.org/docs/current/libpq-connect.html (Connection URIs, Parameter Key Words).
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import unquote_to_bytes

from msgspec import Struct

from millstream_history.connection.parameters import check_parameters
from millstream_history.errors import HistoryUrlError

_SCHEMES = ("postgresql://", "postgres://")
_FORM = "use postgresql://user:password@host:5432/database"
_ESCAPES = "in a user name or a password write `%` as %25, `/` as %2F, `?` as %3F, `@` as %40 and `:` as %3A"
_BAD_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_SAYABLE_NAME = re.compile(r"[A-Za-z_]{1,40}")
_BRACKETED = re.compile(r"\[([^\[\]]+)\](?::([^:]*))?")


class Address(Struct, frozen=True):
    """The address of a PostgreSQL and the parameters of its connection; an absent one has libpq's default."""

    hosts: tuple[tuple[str | None, int | None], ...]
    """Each with its port, to be tried in this order; a host that begins with `/` is the folder of a Unix socket."""
    parameters: Mapping[str, str]
    """The other parameters, by libpq's names."""

    def get(self, name: str) -> str | None:
        """Return a parameter; None when it is absent."""
        return self.parameters.get(name)

    def __repr__(self) -> str:
        """Return a text without secrets, because it ends in logs."""
        hosts = ",".join(f"{host or ''}:{port or ''}" for host, port in self.hosts)
        return f"Address({hosts})"


def parse_history_url(url: str) -> Address:
    """Read the URL of a PostgreSQL. Raises: HistoryUrlError, without any value that stands in the URL."""
    scheme = next((scheme for scheme in _SCHEMES if url.startswith(scheme)), None)
    if scheme is None:
        raise HistoryUrlError(f"the history URL is no URL of a PostgreSQL; {_FORM}")
    place, _, query = url.removeprefix(scheme).partition("?")
    authority, _, path = place.partition("/")
    userinfo, at, hosts_text = authority.rpartition("@")
    if not at and "@" in path:
        raise HistoryUrlError(f"the history URL has an `@` behind a `/`; {_ESCAPES}")
    user, _, password = userinfo.partition(":")
    hosts, ports = _split_hosts(hosts_text)
    found = {
        "user": _decoded("the user name", user),
        "password": _decoded("the password", password),
        "dbname": _decoded("the name of the database", path),
        "host": ",".join(hosts),
        "port": ",".join(ports) if any(ports) else "",
    }
    # As with libpq, what the query says replaces what stands before it.
    found |= dict(_query_parameters(query))
    parameters = check_parameters({name: value for name, value in found.items() if value})
    pairs = _pairs(parameters.pop("host", ""), parameters.pop("port", ""))
    return Address(tuple(pairs), parameters)


def _split_hosts(text: str) -> tuple[list[str], list[str]]:
    """Return the hosts and their ports, an empty text for each that is absent."""
    hosts, ports = [], []
    for spec in text.split(",") if text else ():
        bracketed = _BRACKETED.fullmatch(spec)
        host, port = bracketed.groups("") if bracketed else (spec.partition(":")[0], spec.partition(":")[2])
        hosts.append(_decoded("a host", host))
        ports.append(_decoded("a port", port))
    return hosts, ports


def _query_parameters(query: str) -> Iterator[tuple[str, str]]:
    for part in filter(None, query.split("&")):
        name, equals, value = part.partition("=")
        if not equals or not _SAYABLE_NAME.fullmatch(name):
            raise HistoryUrlError(f"the history URL has something behind its `?` that is no `name=value`; {_ESCAPES}")
        yield name, _decoded(f"`{name}`", value)


def _decoded(what: str, text: str) -> str:
    """Return a text with its percent-encoding decoded. A `+` stays a `+`, as with libpq."""
    if _BAD_PERCENT.search(text):
        raise HistoryUrlError(f"{what} in the history URL has a `%` that begins no percent-encoding; {_ESCAPES}")
    try:
        decoded = unquote_to_bytes(text).decode()
    except UnicodeDecodeError:
        raise HistoryUrlError(f"{what} in the history URL is not UTF-8 when its percent-encoding is undone") from None
    if "\0" in decoded:
        raise HistoryUrlError(f"{what} in the history URL has a %00")
    return decoded


def _pairs(host: str, port: str) -> Sequence[tuple[str | None, int | None]]:
    hosts: list[str | None] = [*host.split(",")] if host else [None]
    ports = [_port(text) for text in port.split(",")]
    if len(ports) == 1:
        ports *= len(hosts)
    if len(ports) != len(hosts):
        raise HistoryUrlError("the history URL has another number of ports than of hosts")
    if any(one == "" for one in hosts):
        raise HistoryUrlError("the history URL has an empty host in its list")
    return list(zip(hosts, ports, strict=True))


def _port(text: str) -> int | None:
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and 1 <= int(text[:6]) <= 65_535):
        raise HistoryUrlError(f"a port in the history URL is no number from 1 to 65535; {_ESCAPES}")
    return int(text)
