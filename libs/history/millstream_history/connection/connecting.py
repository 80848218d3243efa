"""Connects to a PostgreSQL as libpq would with the same address: host by host, under its TLS and socket options."""

import socket
import ssl
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any
from urllib.parse import urlencode

import asyncpg

from millstream_history.connection.address import Address
from millstream_history.errors import HistoryFileError

CONNECT_WITHIN_S = 5.0
"""For each host, unless `connect_timeout` says otherwise. libpq would wait for ever; a dispatcher has to say why."""
ANSWER_WITHIN_S = 30.0
SHORTEST_CONNECT_S = 2.0
"""As with libpq: a smaller `connect_timeout` is taken for this."""

_READ_BY_DRIVER = (
    *("sslmode", "sslnegotiation", "sslrootcert", "sslcert", "sslkey", "sslpassword", "sslcrl"),
    *("ssl_min_protocol_version", "ssl_max_protocol_version"),
)
# The next host may do better. Not after a refused password: the same user asks everywhere.
_TRY_NEXT = (OSError, TimeoutError, asyncpg.CannotConnectNowError, asyncpg.TargetServerAttributeNotMatched)
_ALPN = ["postgresql"]
_KEEPALIVE_OPTIONS: Mapping[str, str] = {
    "keepalives_idle": "TCP_KEEPIDLE",
    "keepalives_interval": "TCP_KEEPINTVL",
    "keepalives_count": "TCP_KEEPCNT",
    "tcp_user_timeout": "TCP_USER_TIMEOUT",
}


async def connect(address: Address, *, answer_within_s: float | None = ANSWER_WITHIN_S) -> "asyncpg.Connection[Any]":
    """Return a connection to the first host that accepts one. Raises: HistoryFileError, and all that asyncpg raises."""
    _check_files(address)
    failure: Exception | None = None
    for attributes in _wanted_servers(address):
        for host, port in address.hosts:
            try:
                connection = await _connect_to(address, host, port, attributes, answer_within_s)
            except _TRY_NEXT as error:
                failure = error
            else:
                _set_socket_options(address, connection)
                return connection
    assert failure is not None
    raise failure


async def _connect_to(
    address: Address, host: str | None, port: int | None, attributes: str | None, answer_within_s: float | None
) -> "asyncpg.Connection[Any]":
    tls = {name: value for name in _READ_BY_DRIVER if (value := address.get(name)) is not None}
    # The driver reads the parameters of TLS in an URL only, and does it as libpq does, all but `system`.
    context = _system_context(address) if tls.get("sslrootcert") == "system" else None
    return await asyncpg.connect(
        f"postgresql:///?{urlencode(tls)}" if tls else None,
        host=host,
        port=port,
        user=address.get("user"),
        password=address.get("password"),
        passfile=address.get("passfile"),
        database=address.get("dbname"),
        timeout=_connect_within_s(address),
        command_timeout=answer_within_s,
        ssl=context,
        server_settings=_server_settings(address),
        target_session_attrs=attributes,
    )


def _wanted_servers(address: Address) -> tuple[str | None, ...]:
    """Return the kinds of servers that are accepted, in the order of preference."""
    wanted = address.get("target_session_attrs")
    return ("standby", "any") if wanted == "prefer-standby" else (wanted,)


def _connect_within_s(address: Address) -> float:
    asked_s = int(address.get("connect_timeout") or 0)
    return max(SHORTEST_CONNECT_S, asked_s) if asked_s > 0 else CONNECT_WITHIN_S


def _server_settings(address: Address) -> dict[str, str]:
    name = address.get("application_name") or address.get("fallback_application_name") or "millstream"
    options = address.get("options")
    return {"application_name": name} | ({"options": options} if options else {})


def _system_context(address: Address) -> ssl.SSLContext:
    """Return a context that trusts the authorities of the system."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(_ALPN)
    context.minimum_version = _version(address.get("ssl_min_protocol_version") or "TLSv1.2")
    if latest := address.get("ssl_max_protocol_version"):
        context.maximum_version = _version(latest)
    if revoked := address.get("sslcrl"):
        context.load_verify_locations(cafile=revoked)
        context.verify_flags |= ssl.VERIFY_CRL_CHECK_CHAIN
    _load_certificate(context, address)
    return context


def _version(name: str) -> ssl.TLSVersion:
    return ssl.TLSVersion[name.replace(".", "_")]


def _load_certificate(context: ssl.SSLContext, address: Address) -> None:
    if certificate := address.get("sslcert"):
        password = address.get("sslpassword") or ""
        context.load_cert_chain(certificate, keyfile=address.get("sslkey"), password=lambda: password)


def _check_files(address: Address) -> None:
    """Try the files that the address names, so that an error names the unusable one. Raises: HistoryFileError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    for name in ("sslrootcert", "sslcrl"):
        path = address.get(name)
        if path is not None and path != "system":
            _try_file(name, [path], partial(context.load_verify_locations, cafile=path))
    if certificate := address.get("sslcert"):
        paths = [certificate, key] if (key := address.get("sslkey")) else [certificate]
        _try_file("sslcert` or `sslkey", paths, partial(_load_certificate, context, address))


def _try_file(name: str, paths: list[str], load: Callable[[], None]) -> None:
    try:
        for path in paths:
            with open(path, "rb"):  # noqa: PTH123 - for its error alone, which a Path would give the same
                pass
        load()
    except ssl.SSLError as error:
        why = "does not fit the other" if error.reason == "KEY_VALUES_MISMATCH" else "cannot be used as such"
        raise HistoryFileError(f"the file of `{name}` in the history URL {why}") from None
    except OSError as error:
        raise HistoryFileError(f"the file of `{name}` in the history URL cannot be read: {error.strerror}") from None


def _set_socket_options(address: Address, connection: "asyncpg.Connection[Any]") -> None:
    """Enable keepalive, by which the system notices a dead peer, unless the address says otherwise as for libpq."""
    # The driver neither hands out its socket nor takes one.
    found = connection._transport.get_extra_info("socket")  # noqa: SLF001
    if found is None or found.family == socket.AF_UNIX:
        return
    if address.get("keepalives") != "0":
        found.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, option in _KEEPALIVE_OPTIONS.items():
        value = int(address.get(name) or 0)
        if value > 0 and hasattr(socket, option):
            found.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
