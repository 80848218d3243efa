"""What each error of a conversation with a database means: whether it passes by itself, its reason, and its words."""

import socket
import ssl
import traceback

import anyio
import asyncpg
import pytest
from history.test_migrating import FORGOTTEN_ROW, JOB_ROW, TRANSITION_ROW
from history_databases import execute
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from millstream_history import HistoryError, HistorySchemaError, HistoryUnavailableError, Rows, open_history
from millstream_history.connection import database
from millstream_history.connection.database import open_engine, transaction
from millstream_history.connection.faults import ERRORS, translate
from millstream_history.errors import HistoryConflictError

PASSES, CONFLICTS, STAYS = HistoryUnavailableError, HistoryConflictError, HistoryError
SECRET = "hunter2"

BY_CODE = {
    "28P01": (STAYS, "refused", "the password is wrong"),
    "28000": (STAYS, "refused", "does not admit this user"),
    "3D000": (STAYS, "refused", "no database of this name"),
    "3F000": (STAYS, "refused", "no schema to work in"),
    "42501": (STAYS, "refused", "has not the rights: permission denied for table jobs"),
    "25006": (PASSES, "away", "a standby, or read-only"),
    "40001": (CONFLICTS, "away", "another transaction was in the way"),
    "40P01": (CONFLICTS, "away", "another transaction was in the way"),
    "23514": (CONFLICTS, "away", "a partition was made meanwhile"),
    "55P03": (PASSES, "away", "its tables are in use"),
    "53100": (PASSES, "full", "its disk is full"),
    "53300": (PASSES, "full", "too many connections"),
    "57014": (PASSES, "away", "took too long"),
    "57P01": (PASSES, "away", "it is shutting down"),
    "57P02": (PASSES, "away", "it is shutting down"),
    "57P03": (PASSES, "away", "it is starting or shutting down"),
    "08003": (PASSES, "away", "does a PostgreSQL answer at this address?"),
    "08006": (PASSES, "away", "it closed the connection"),
    "08P01": (PASSES, "refused", "does not speak as a PostgreSQL does"),
    # Codes without words of their own go by their class.
    "08001": (PASSES, "refused", "did not take what it was sent"),
    "40002": (PASSES, "refused", "did not take what it was sent"),
    "53200": (PASSES, "refused", "did not take what it was sent"),
    "57000": (PASSES, "refused", "did not take what it was sent"),
    "58030": (PASSES, "refused", "did not take what it was sent"),
    "22003": (STAYS, "refused", "did not take what it was sent"),
    "25001": (STAYS, "refused", "did not take what it was sent"),
    "23505": (STAYS, "refused", "did not take what it was sent"),
    "42P01": (HistorySchemaError, "schema", "run `millstream migrate`"),
    "42703": (HistorySchemaError, "schema", "run `millstream migrate`"),
}
OTHER_TABLES = {"42P01", "42703", "42P10", "42804", "42846", "23502", "23503", "23505", "23514"}


def of_code(code: str) -> asyncpg.PostgresError:
    """Return the driver's error for what a server says; its text may name objects, and a row in its detail."""
    error = asyncpg.PostgresError(f"permission denied for table jobs\nDETAIL: ({SECRET})")
    error.sqlstate = code
    return error


@pytest.mark.parametrize("code", sorted(BY_CODE))
def test_each_code_of_a_server_has_a_meaning(code: str) -> None:
    """Whether to try again is told by the class, what to do by the reason, and no word of a row is shown."""
    kind, reason, words = BY_CODE[code]
    meant = translate(of_code(code))
    assert (type(meant), meant.reason) == (kind, reason)
    assert words in str(meant)
    assert code in str(meant)
    assert SECRET not in str(meant)
    assert len(str(meant).splitlines()) == 1


def of_tls(reason: str | None) -> ssl.SSLError:
    """Return an error of a handshake, with the reason that OpenSSL gives, if it gives one."""
    error = ssl.SSLError(1, "handshake")
    error.reason = reason  # type: ignore[assignment]
    return error


ON_THIS_SIDE = [
    (socket.gaierror(-2, "no such name"), PASSES, "away", "host is not known"),
    (UnicodeError("label too long"), PASSES, "away", "host is not known"),
    (UnicodeEncodeError("idna", "x", 0, 1, "no"), PASSES, "away", "host is not known"),
    (TimeoutError(), PASSES, "away", "did not answer in time"),
    (PoolTimeoutError("QueuePool limit"), PASSES, "away", "did not answer in time"),
    (FileNotFoundError(2, "no"), PASSES, "away", "no socket at this path"),
    (NotADirectoryError(20, "no"), PASSES, "away", "no socket at this path"),
    (PermissionError(13, "no"), PASSES, "refused", "may not be opened"),
    (asyncpg.TargetServerAttributeNotMatched("no"), PASSES, "away", "`target_session_attrs`"),
    (asyncpg.ClientConfigurationError("no"), STAYS, "refused", "a PG* variable is wrong"),
    (TypeError(SECRET), STAYS, "refused", "does not fit its column"),
    (asyncpg.DataError(SECRET), STAYS, "refused", "did not take what it was sent"),
    (of_tls(None), PASSES, "refused", "no agreement on TLS: the handshake failed"),
    (of_tls("WRONG_VERSION_NUMBER"), PASSES, "refused", "no agreement on TLS: WRONG_VERSION_NUMBER"),
    (ConnectionError("rejected SSL upgrade"), PASSES, "refused", "it has no TLS"),
    (ConnectionRefusedError(111, "no"), PASSES, "away", "nothing listens"),
    (OSError("Multiple exceptions: [Errno 111] Connect call failed ('::1', 1), [...]"), PASSES, "away", "listens"),
    (ConnectionResetError(104, "no"), PASSES, "away", "the connection failed"),
    (asyncpg.InterfaceError("connection is closed"), PASSES, "away", "the connection failed"),
]


@pytest.mark.parametrize(
    ("error", "kind", "reason", "words"), ON_THIS_SIDE, ids=[type(row[0]).__name__ for row in ON_THIS_SIDE]
)
def test_each_error_of_this_side_has_a_meaning(error: Exception, kind: type, reason: str, words: str) -> None:
    """What no server has said is told by its type, whether it comes bare or as the cause of one of SQLAlchemy's."""
    # The last kind comes out of SQLAlchemy alone, as the cause of an error of its own.
    assert isinstance(error, (*ERRORS, asyncpg.InternalClientError))
    wrapped = DBAPIError("SELECT", {}, RuntimeError("adapted"))
    assert isinstance(wrapped.orig, Exception)
    wrapped.orig.__cause__ = error
    for one in (error, wrapped):
        meant = translate(one)
        assert (type(meant), meant.reason) == (kind, reason)
        assert words in str(meant)
        assert SECRET not in str(meant)


@pytest.mark.parametrize("code", sorted(BY_CODE.keys() | OTHER_TABLES))
def test_only_what_says_that_tables_differ_is_blamed_on_a_newer_release(code: str) -> None:
    """A full disk, or a user without rights, is the same beside any release."""
    meant = translate(of_code(code), newer_revision="9999")
    assert ("of a newer release" in str(meant)) is (code in OTHER_TABLES)
    assert isinstance(meant, HistorySchemaError) is (code in OTHER_TABLES)


@pytest.mark.parametrize(
    ("error", "is_theirs"),
    [(TypeError("x"), True), (ValueError("x"), True), (UnicodeError("x"), False), (OSError("x"), False)],
)
def test_a_value_that_the_driver_cannot_send_is_blamed_on_a_newer_release(error: Exception, is_theirs: bool) -> None:
    """A column may have another type there; a connection that fails has nothing to do with it."""
    assert isinstance(translate(error, newer_revision="9999"), HistorySchemaError) is is_theirs


async def test_no_value_of_a_row_is_in_an_error_or_in_its_traceback(history_url: str) -> None:
    """PostgreSQL shows the row that it refuses, and a traceback shows the error that another came from."""
    await execute(history_url, "ALTER TABLE jobs ADD CHECK (type <> 'hunter2')")
    row = (JOB_ROW[0], JOB_ROW[1], SECRET, *JOB_ROW[3:])
    async with open_history(history_url) as history:
        with pytest.raises(HistoryError) as caught:
            await history.store(Rows([row], [FORGOTTEN_ROW], [TRANSITION_ROW]))
    assert SECRET not in "".join(traceback.format_exception(caught.value))


async def test_an_error_of_sqlalchemy_shows_no_parameter(history_url: str) -> None:
    """What is bound to a statement may be a payload, and the text of such an error ends in logs."""
    async with open_engine(history_url) as engine, engine.connect() as connection:
        with pytest.raises(DBAPIError) as caught:
            await connection.execute(text("SELECT missing WHERE CAST(:x AS text) = 'a'"), {"x": SECRET})
    assert SECRET not in str(caught.value)


async def test_a_history_holds_two_connections_and_waits_a_bounded_time_for_one(
    history_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A third caller would wait for half a minute by default, while its service looks dead."""
    monkeypatch.setattr(database, "CONNECT_WITHIN_S", 0.05)
    async with open_engine(history_url) as engine, transaction(engine), transaction(engine):
        with anyio.fail_after(20.0), pytest.raises(HistoryUnavailableError, match="in time"):
            async with transaction(engine):
                pass
