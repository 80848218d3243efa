"""The history connects to PostgreSQL with the TLS that its URL asks for, and says what a refusal means."""

import asyncio
import os
import shutil
import socket
import ssl
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from history_databases import execute, query
from msgspec import Struct
from sqlalchemy import text
from topologies.certificates import HAS_OPENSSL, Authority, Pair
from topologies.postgres import UNSAFE, LocalPostgres, find_postgres, local_postgres

from millstream_cli.embedded import free_ports
from millstream_history import HistoryError, HistoryFileError, HistoryUnavailableError, migrate, open_history
from millstream_history.connection.database import open_engine

SECRET = "hunter2"
PASSWORD = "p/w @:%"
ENCODED = "p%2Fw%20%40%3A%25"
IS_TLS = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"

_RULES = """
hostssl all certified 127.0.0.1/32 cert
hostssl all tlsonly   127.0.0.1/32 trust
hostnossl all plain   127.0.0.1/32 trust
host    all guarded   127.0.0.1/32 scram-sha-256
host    all postgres  127.0.0.1/32 trust
host    all weak      127.0.0.1/32 trust
local   all all                    trust
"""


class TlsServer(Struct, frozen=True):
    """A PostgreSQL with TLS, and its certificates."""

    server: LocalPostgres
    folder: Path
    authority: Authority
    stranger: Authority
    client: Pair
    locked: Pair
    """A client's certificate whose key is encrypted."""
    own: Pair

    def url(self, user: str, query: str = "", *, host: str = "localhost", database: str = "postgres") -> str:
        """Return an address; the server's certificate is that of `localhost`."""
        return f"postgresql://{user}@{host}:{self.server.port}/{database}?{query}"


@pytest.fixture(scope="module")
def tls() -> Iterator[TlsServer]:
    """Yield a server with TLS."""
    programs = find_postgres()
    if programs is None or not HAS_OPENSSL:
        pytest.skip("it needs a PostgreSQL of its own and openssl")
    with tempfile.TemporaryDirectory(prefix="millstream-tls-") as name:
        folder = Path(name)
        authority, stranger = Authority(folder / "ours"), Authority(folder / "other")
        own = authority.issue("server", "DNS:localhost")
        (folder / "hba").write_text(_RULES)
        if os.geteuid() == 0:
            for path in (folder, own.key.parent, own.key):
                shutil.chown(path, "postgres", "postgres")
        options = {
            "ssl": "on",
            "ssl_cert_file": str(own.certificate),
            "ssl_key_file": str(own.key),
            "ssl_ca_file": str(authority.certificate),
            "hba_file": str(folder / "hba"),
            "unix_socket_directories": name,
        }
        with local_postgres(programs, UNSAFE | options) as server:
            yield TlsServer(
                server=server,
                folder=folder,
                authority=authority,
                stranger=stranger,
                client=authority.issue("certified"),
                locked=_renamed(authority),
                own=own,
            )


def _renamed(authority: Authority) -> Pair:
    """Return a second certificate of the same user, with an encrypted key."""
    kept = authority.issue("certified", password=SECRET)
    copies = Pair(kept.certificate.with_name("locked.crt"), kept.key.with_name("locked.key"))
    kept.certificate.rename(copies.certificate)
    kept.key.rename(copies.key)
    authority.issue("certified")
    return copies


@pytest.fixture(scope="module", autouse=True)
async def _users(tls: TlsServer) -> None:
    for user in ("certified", "tlsonly", "plain", "weak"):
        await execute(tls.server.url, f"CREATE USER {user}")
    await execute(tls.server.url, f"CREATE USER guarded PASSWORD '{PASSWORD}'")


async def is_encrypted(url: str) -> bool:
    """Return whether a connection by this address is encrypted."""
    return await query(url, IS_TLS) == [(True,)]


async def refusal(url: str) -> HistoryError:
    """Return the error of a look at this address, which must be one line without a secret."""
    with pytest.raises(HistoryError) as caught:
        async with open_history(url) as history:
            await history.look()
    line = str(caught.value)
    assert len(line.splitlines()) == 1
    assert SECRET not in line
    assert "hunter" not in line
    return caught.value


@pytest.mark.parametrize("mode", ["allow", "prefer", "require", ""])
async def test_a_certificate_of_any_signer_will_do_where_none_is_asked_for(tls: TlsServer, mode: str) -> None:
    """`sslmode=require` accepts a certificate of any signer, as managed databases have it."""
    assert await is_encrypted(tls.url("tlsonly", f"sslmode={mode}"))


@pytest.mark.parametrize(
    ("user", "mode", "encrypted"),
    [
        ("postgres", "disable", False),
        ("postgres", "allow", False),
        ("postgres", "prefer", True),
        ("plain", "prefer", False),
        ("tlsonly", "allow", True),
    ],
)
async def test_each_mode_encrypts_as_with_libpq(tls: TlsServer, user: str, mode: str, encrypted: bool) -> None:
    """`allow` begins without TLS and `prefer` with it, and each falls back to the other, as with libpq."""
    assert await is_encrypted(tls.url(user, f"sslmode={mode}")) is encrypted


async def test_require_with_an_authority_checks_the_signer(tls: TlsServer) -> None:
    """`require` with an authority means `verify-ca`, as with libpq."""
    assert await is_encrypted(tls.url("tlsonly", f"sslmode=require&sslrootcert={tls.authority.certificate}"))
    error = await refusal(tls.url("tlsonly", f"sslmode=require&sslrootcert={tls.stranger.certificate}"))
    assert "certificate is not trusted" in str(error)


async def test_verify_ca_takes_another_name_and_verify_full_does_not(tls: TlsServer) -> None:
    """`verify-ca` accepts a certificate of another host name, and `verify-full` refuses it."""
    trust = f"sslrootcert={tls.authority.certificate}"
    assert await is_encrypted(tls.url("tlsonly", f"sslmode=verify-ca&{trust}", host="127.0.0.1"))
    assert await is_encrypted(tls.url("tlsonly", f"sslmode=verify-full&{trust}"))
    error = await refusal(tls.url("tlsonly", f"sslmode=verify-full&{trust}", host="127.0.0.1"))
    assert error.reason == "refused"
    assert "certificate is not trusted" in str(error)


@pytest.mark.parametrize("mode", ["verify-ca", "verify-full"])
async def test_a_certificate_of_a_wrong_signer_is_refused(tls: TlsServer, mode: str) -> None:
    """A certificate of a wrong signer is refused before the password is sent."""
    error = await refusal(tls.url(f"u:{SECRET}", f"sslmode={mode}&sslrootcert={tls.stranger.certificate}"))
    assert "certificate is not trusted" in str(error)
    assert error.reason == "refused"


async def test_the_authorities_of_the_system_are_asked_where_the_url_says_so(
    tls: TlsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`sslrootcert=system` checks against the authorities of the system."""
    error = await refusal(tls.url("tlsonly", "sslrootcert=system"))
    assert "certificate is not trusted" in str(error)
    monkeypatch.setenv("SSL_CERT_FILE", str(tls.authority.certificate))
    assert await is_encrypted(tls.url("tlsonly", "sslrootcert=system"))
    assert "not trusted" in str(await refusal(tls.url("tlsonly", "sslrootcert=system", host="127.0.0.1")))


@pytest.mark.parametrize("trust", ["sslmode=require", "sslrootcert=system"])
async def test_a_client_is_known_by_its_certificate(
    tls: TlsServer, trust: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client is admitted by its certificate and key, encrypted or not, and not with a wrong pass phrase."""
    monkeypatch.setenv("SSL_CERT_FILE", str(tls.authority.certificate))
    mine = f"sslcert={tls.client.certificate}&sslkey={tls.client.key}"
    assert await is_encrypted(tls.url("certified", f"{trust}&{mine}"))
    locked = f"sslcert={tls.locked.certificate}&sslkey={tls.locked.key}"
    assert await is_encrypted(tls.url("certified", f"{trust}&{locked}&sslpassword={SECRET}"))
    assert "`sslkey`" in str(await refusal(tls.url("certified", f"{trust}&{locked}&sslpassword=no{SECRET}")))
    assert "`sslkey`" in str(await refusal(tls.url("certified", f"{trust}&{locked}")))
    assert (await refusal(tls.url("certified", trust))).reason == "refused"


async def test_a_certificate_that_was_taken_back_is_refused(tls: TlsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the list that the URL names, and only then; also where the authorities of the system vouch."""
    monkeypatch.setenv("SSL_CERT_FILE", str(tls.authority.certificate))
    fresh, revoked = tls.authority.revoke(), tls.authority.revoke(tls.own)
    for trust in (f"sslmode=verify-full&sslrootcert={tls.authority.certificate}", "sslrootcert=system"):
        assert await is_encrypted(tls.url("tlsonly", f"{trust}&sslcrl={fresh}"))
        assert "revoked" in str(await refusal(tls.url("tlsonly", f"{trust}&sslcrl={revoked}")))


@pytest.mark.parametrize("trust", ["sslmode=require", "sslrootcert=system"])
async def test_versions_of_tls_are_bounded(tls: TlsServer, trust: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ends of the range are kept: 1.3 is what both sides would agree on by themselves."""
    monkeypatch.setenv("SSL_CERT_FILE", str(tls.authority.certificate))
    version = "SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
    oldest = tls.url("tlsonly", f"{trust}&ssl_max_protocol_version=TLSv1.2")
    assert await query(oldest, version) == [("TLSv1.2",)]
    newest = tls.url("tlsonly", f"{trust}&ssl_min_protocol_version=TLSv1.3")
    assert await query(newest, version) == [("TLSv1.3",)]
    assert "no agreement on TLS" in str(await refusal(f"{newest}&ssl_max_protocol_version=TLSv1.2"))


@pytest.mark.parametrize("trust", ["sslmode=require", "sslrootcert=system"])
async def test_a_server_that_speaks_tls_at_once_is_told_what_is_spoken_inside(
    tls: TlsServer, trust: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PostgreSQL 17 takes no connection without the name of its protocol, and many may share a port."""
    monkeypatch.setenv("SSL_CERT_FILE", str(tls.authority.certificate))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tls.own.certificate, tls.own.key)
    context.set_alpn_protocols(["http/1.1", "postgresql"])
    spoken: list[str | None] = []

    async def hear(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        spoken.append(writer.get_extra_info("ssl_object").selected_alpn_protocol())
        writer.close()

    async with await asyncio.start_server(hear, "127.0.0.1", 0, ssl=context) as server:
        port = server.sockets[0].getsockname()[1]
        await refusal(f"postgresql://u@localhost:{port}/d?{trust}&sslnegotiation=direct")
    assert spoken == ["postgresql"]


@pytest.mark.parametrize("name", ["sslrootcert", "sslcrl", "sslcert"])
async def test_a_file_that_is_missing_or_none_is_named_by_its_parameter(tls: TlsServer, name: str) -> None:
    """A certificate file that is missing or wrong is named by its parameter."""
    missing = await refusal(tls.url("postgres", f"sslmode=require&{name}={tls.folder}/{SECRET}"))
    assert isinstance(missing, HistoryFileError)
    assert f"`{name}`" in str(missing)
    assert f"`{name}`" in str(await refusal(tls.url("postgres", f"sslmode=require&{name}={tls.folder}/hba")))


async def test_a_key_that_is_another_certificates_is_named(tls: TlsServer) -> None:
    """A key that does not belong to the certificate is named as such."""
    mixed = f"sslmode=require&sslcert={tls.client.certificate}&sslkey={tls.own.key}"
    assert "does not fit" in str(await refusal(tls.url("certified", mixed)))


async def test_a_password_with_any_character_gets_through(tls: TlsServer) -> None:
    """A password of any characters works, from the URL and from a password file."""
    url = tls.url(f"guarded:{ENCODED}", "sslmode=require")
    assert await is_encrypted(url)
    assert await is_encrypted(tls.url("x", f"user=guarded&password={ENCODED}&sslmode=require"))
    passwords = tls.folder / "passwords"
    passwords.write_text("localhost:*:*:guarded:" + PASSWORD)
    passwords.chmod(0o600)
    assert await is_encrypted(tls.url("guarded", f"passfile={passwords}"))


async def test_settings_of_the_session_are_those_of_the_url(tls: TlsServer) -> None:
    """The session has the application name and the options of the URL."""
    shown = "SELECT current_setting('application_name'), current_setting('work_mem')"
    assert (await query(tls.url("postgres"), shown))[0][0] == "millstream"
    named = tls.url("postgres", "application_name=night&options=-c%20work_mem%3D5MB")
    assert await query(named, shown) == [("night", "5MB")]
    assert (await query(tls.url("postgres", "fallback_application_name=day"), shown))[0][0] == "day"


async def test_a_unix_socket_is_spoken_to_without_tls(tls: TlsServer) -> None:
    """A Unix socket is used without TLS, as with libpq."""
    place = f"host={tls.folder}&port={tls.server.port}"
    assert not await is_encrypted(f"postgresql://postgres@/postgres?{place}&sslmode=require")
    coded = str(tls.folder).replace("/", "%2F")
    assert not await is_encrypted(f"postgresql://postgres@{coded}:{tls.server.port}/postgres")
    error = await refusal(f"postgresql://postgres@/postgres?host={tls.folder}&port=1")
    assert "no socket" in str(error)


async def test_hosts_are_tried_in_turn(tls: TlsServer) -> None:
    """Several hosts are tried in turn, behind one that is away and one that hangs."""
    with listening() as silent:
        hosts = f"127.0.0.1:9,127.0.0.1:{silent},localhost:{tls.server.port}"
        url = f"postgresql://tlsonly@{hosts}/postgres?sslmode=require&connect_timeout=2"
        assert await is_encrypted(url)


async def test_the_server_is_one_such_as_was_asked_for(tls: TlsServer) -> None:
    """`target_session_attrs` chooses the server, and one without a match is refused."""
    assert await query(tls.url("postgres", "target_session_attrs=read-write"), "SELECT 1") == [(1,)]
    assert await query(tls.url("postgres", "target_session_attrs=prefer-standby"), "SELECT 1") == [(1,)]
    error = await refusal(tls.url("postgres", "target_session_attrs=standby"))
    assert "target_session_attrs" in str(error)


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("", (1, None, None, None, 0)),
        ("keepalives=0&tcp_user_timeout=0", (0, None, None, None, 0)),
        (
            "keepalives_idle=11&keepalives_interval=12&keepalives_count=13&tcp_user_timeout=14000",
            (1, 11, 12, 13, 14_000),
        ),
    ],
)
async def test_the_system_looks_whether_the_other_side_is_still_there(
    tls: TlsServer, query: str, wanted: tuple[int | None, ...]
) -> None:
    """The connection has the keepalive options of the URL."""
    options = [
        (socket.SOL_SOCKET, socket.SO_KEEPALIVE),
        (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE),
        (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL),
        (socket.IPPROTO_TCP, socket.TCP_KEEPCNT),
        (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT),
    ]
    async with raw_connection(tls.url("tlsonly", f"sslmode=require&{query}")) as connection:
        found = connection._transport.get_extra_info("socket")
        values = [found.getsockopt(*option) for option in options]
    assert all(want is None or want == value for want, value in zip(wanted, values, strict=True))


@pytest.mark.parametrize(
    ("user", "query", "reason", "words"),
    [
        (f"guarded:{SECRET}", "", "refused", "password is wrong"),
        ("guarded", "", "refused", "password is wrong"),
        (f"stranger:{SECRET}", "", "refused", "does not admit"),
        ("plain", "sslmode=require", "refused", "does not admit"),
        ("postgres", "dbname=none", "refused", "no database of this name"),
        ("postgres", "host=127.0.0.1&port=9", "away", "nothing listens"),
        ("postgres", "host=none.invalid", "away", "host is not known"),
        ("postgres", f"host={'x' * 70}..", "away", "host is not known"),
        ("postgres", "options=-c%20default_transaction_read_only%3Don", "away", "read-only"),
        ("weak", "", "refused", "rights"),
    ],
)
async def test_what_is_wrong_is_one_line_with_its_reason(
    tls: TlsServer, user: str, query: str, reason: str, words: str
) -> None:
    """Each failure to connect is one line with a reason, which tells a refusal from an absence."""
    await migrate(tls.server.url)
    error = await refusal(tls.url(user, query))
    assert words in str(error)
    assert error.reason == reason


async def test_a_user_without_rights_on_the_schema_is_told_so(tls: TlsServer) -> None:
    """A user without rights on the schema gets an error that says so, as since PostgreSQL 15."""
    await execute(tls.server.url, "CREATE DATABASE bare")
    await execute(tls.server.url.removesuffix("postgres") + "bare", "REVOKE CREATE ON SCHEMA public FROM public")
    with pytest.raises(HistoryError, match="permission denied for schema public") as caught:
        await migrate(tls.url("weak", database="bare"))
    assert caught.value.reason == "refused"


async def test_a_standby_is_told_from_a_primary_by_a_look() -> None:
    """A look recognises a standby, which answers reads and stores nothing."""
    programs = find_postgres()
    if programs is None:
        pytest.skip("it needs a PostgreSQL of its own")
    # One that keeps what it has confirmed.
    with local_postgres(programs, {}) as server:
        await migrate(server.url)
        server.become_standby()
        error = await refusal(server.url)
        assert isinstance(error, HistoryUnavailableError)
        assert "standby" in str(error)
        with pytest.raises(HistoryUnavailableError, match="standby"):
            await migrate(f"{server.url}?dbname=template1")


@pytest.mark.parametrize("mode", ["disable", "prefer", "require", "verify-full"])
@pytest.mark.parametrize("answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"-ERR unknown command\r\n", b"N", b""])
async def test_a_port_of_something_else_is_one_line(tls: TlsServer, mode: str, answer: bytes) -> None:
    """A port of another protocol leads to one line, and to no endless wait."""
    trust = f"&sslrootcert={tls.authority.certificate}" if mode == "verify-full" else ""
    async with answering(answer) as port:
        error = await refusal(f"postgresql://u:{SECRET}@127.0.0.1:{port}/d?sslmode={mode}&connect_timeout=2{trust}")
    assert isinstance(error, HistoryUnavailableError)


async def test_a_server_that_is_silent_is_given_up(tls: TlsServer) -> None:
    """A server that accepts the connection and stays silent is given up."""
    with listening() as port:
        error = await refusal(f"postgresql://u:{SECRET}@127.0.0.1:{port}/d?connect_timeout=2")
    assert error.reason == "away"
    assert "in time" in str(error)


@asynccontextmanager
async def raw_connection(url: str) -> AsyncIterator[Any]:
    """Yield the driver's own connection."""
    async with open_engine(url) as engine, engine.connect() as connection:
        await connection.execute(text("SELECT 1"))
        yield (await connection.get_raw_connection()).driver_connection


@asynccontextmanager
async def answering(answer: bytes) -> AsyncIterator[int]:
    """Yield a port that answers anything with one text, and then closes the connection."""

    async def reply(stream: anyio.abc.SocketStream) -> None:
        async with stream:
            await stream.receive()
            if answer:
                await stream.send(answer)

    (port,) = free_ports(1)
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=port)
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, reply)
        yield port
        tasks.cancel_scope.cancel()


class listening:  # noqa: N801 - used as a function
    """Yield a port that accepts connections and sends nothing."""

    def __enter__(self) -> int:
        self._socket = socket.create_server(("127.0.0.1", 0))
        return self._socket.getsockname()[1]

    def __exit__(self, *_: object) -> None:
        self._socket.close()
