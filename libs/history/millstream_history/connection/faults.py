"""Translates errors of SQLAlchemy, asyncpg and the system to one line each, without a word of the rows.

The text of a server's error may contain values of a row, so it is shown only where it can name nothing but objects.
"""

import socket
import ssl
from collections.abc import Mapping, Sequence

import asyncpg
from msgspec import Struct
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from millstream_history.errors import (
    HistoryConflictError,
    HistoryError,
    HistorySchemaError,
    HistoryUnavailableError,
    Reason,
)

ERRORS = (
    DBAPIError,
    PoolTimeoutError,
    # The driver's own, where it is used without SQLAlchemy, to connect and to copy.
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    OSError,
    TimeoutError,
    # A host name that no encoding of names can hold.
    UnicodeError,
    # A value that the driver cannot send as the type of its column.
    TypeError,
)
"""All that may be raised by a conversation with a database."""


class Meaning(Struct, frozen=True):
    """The meaning of an error."""

    reason: Reason
    words: str


_BY_CODE: Mapping[str, Meaning] = {
    "28P01": Meaning("refused", "the user or the password is wrong"),
    "28000": Meaning(
        "refused", "the server does not admit this user to this database from here in this way (pg_hba.conf, TLS)"
    ),
    "3D000": Meaning("refused", "there is no database of this name"),
    "3F000": Meaning("refused", "there is no schema to work in (search_path)"),
    "25006": Meaning("away", "it is a standby, or read-only"),
    "40001": Meaning("away", "another transaction was in the way"),
    "40P01": Meaning("away", "another transaction was in the way"),
    "53100": Meaning("full", "its disk is full"),
    "53300": Meaning("full", "it has too many connections"),
    # No table has a CHECK: the partition of these rows was made while the statement waited for the default one.
    "23514": Meaning("away", "a partition was made meanwhile"),
    "55P03": Meaning("away", "its tables are in use"),
    "57014": Meaning("away", "a statement took too long"),
    "57P01": Meaning("away", "it is shutting down"),
    "57P02": Meaning("away", "it is shutting down"),
    "57P03": Meaning("away", "it is starting or shutting down"),
    "08003": Meaning("away", "it closed the connection: does a PostgreSQL answer at this address?"),
    "08006": Meaning("away", "it closed the connection"),
    "08P01": Meaning("refused", "it does not speak as a PostgreSQL does"),
}
# Connections, resources, an operator's word, the system: all of it passes without a change on our side. As do a
# deadlock, and a server that is read-only for a while.
_PASSING = ("08", "53", "57", "58", "40", "25006", "55P03", "23514")
_CONFLICTS = frozenset({"40001", "40P01", "23514"})
_NO_RIGHTS = "42501"
_MISSING_TABLES = frozenset({"42P01", "42703"})
_OTHER_TABLES = _MISSING_TABLES | {"42P10", "42804", "42846", "23502", "23503", "23505", "23514"}
"""No such table or column, no such key, another type, a value that the table demands and this release has not."""

_ON_THIS_SIDE: Sequence[tuple[tuple[type[BaseException], ...], Meaning]] = (
    ((socket.gaierror, UnicodeError), Meaning("away", "its host is not known")),
    ((TimeoutError, PoolTimeoutError), Meaning("away", "it did not answer in time")),
    ((FileNotFoundError, NotADirectoryError), Meaning("away", "there is no socket at this path")),
    ((PermissionError,), Meaning("refused", "its socket, or a file of TLS, may not be opened")),
    (
        (asyncpg.TargetServerAttributeNotMatched,),
        Meaning("away", "none of its hosts is such as `target_session_attrs` asks for"),
    ),
    (
        (asyncpg.ClientConfigurationError,),
        Meaning("refused", "a PG* variable is wrong, or the certificate of the authority is missing (`sslrootcert`)"),
    ),
    ((TypeError, ValueError), Meaning("refused", "a value does not fit its column")),
)
"""Errors without a code, which come from this side of the connection; the first that fits."""


def translate(error: Exception, *, newer_revision: str | None = None) -> HistoryError:
    """Return the meaning of an error. `newer_revision` is that of tables which a newer release has made, if one has."""
    cause = (error.orig and error.orig.__cause__) or error if isinstance(error, DBAPIError) else error
    code = str(getattr(cause, "sqlstate", None) or "")
    what = " ".join(filter(None, [type(cause).__name__, code]))
    if newer_revision and (code in _OTHER_TABLES or not (code or _may_pass(cause))):
        return HistorySchemaError(
            f"the history database is at revision {newer_revision}, of a newer release, and this one cannot write it "
            f"({what}); events are kept for the newer one"
        )
    if code in _MISSING_TABLES:
        return HistorySchemaError(f"the history database has other tables ({what}): run `millstream migrate`")
    meaning = _meaning_of_code(cause, code) if code else _meaning_on_this_side(cause)
    if code.startswith(_PASSING) if code else _may_pass(cause):
        kind = HistoryConflictError if code in _CONFLICTS else HistoryUnavailableError
        return kind(f"the history database is not available: {meaning.words} ({what})", meaning.reason)
    return HistoryError(f"the history database refused: {meaning.words} ({what})", meaning.reason)


def _may_pass(cause: BaseException) -> bool:
    """Whether an error without a code is about the connection, and not about a value that cannot be sent."""
    return isinstance(cause, UnicodeError) or not isinstance(cause, ValueError | TypeError)


def _meaning_of_code(cause: BaseException, code: str) -> Meaning:
    if code == _NO_RIGHTS:
        # The server's words name the table or the schema, and nothing that was to be stored.
        return Meaning("refused", f"the user has not the rights: {str(cause).splitlines()[0]}")
    return _BY_CODE.get(code, Meaning("refused", "it did not take what it was sent"))


def _meaning_on_this_side(cause: BaseException) -> Meaning:
    if isinstance(cause, ssl.SSLCertVerificationError):
        return Meaning("refused", f"its certificate is not trusted: {cause.verify_message}")
    if isinstance(cause, ssl.SSLError):
        return Meaning("refused", f"no agreement on TLS: {cause.reason or 'the handshake failed'}")
    if "rejected SSL upgrade" in str(cause):
        return Meaning("refused", "it has no TLS, or is no PostgreSQL")
    for kinds, meaning in _ON_THIS_SIDE:
        if isinstance(cause, kinds):
            return meaning
    return Meaning("away", "nothing listens at its address" if _is_refused(cause) else "the connection failed")


def _is_refused(cause: BaseException) -> bool:
    # Of a host with several addresses the event loop says "Multiple exceptions", and no number.
    return isinstance(cause, ConnectionRefusedError) or "Connect call failed" in str(cause)
