"""Explains in one line why a connection to Redis could not be made or made ready.

Redis-py reports the same mistake in five ways, with or without the address, and one response of a server repeats the
password. The failures of all addresses are put into words here.
"""

import socket
import ssl
from collections.abc import Iterator, Sequence
from enum import StrEnum

from msgspec import Struct
from redis import exceptions as redis_errors

from millstream_contracts import one_line

_SAID_CHARS = 240


class Verdict(StrEnum):
    """What can mend a failure to connect."""

    AWAY = "away"
    """Wait: the server does not respond, or cannot serve yet."""
    REFUSED = "refused"
    """Change a setting on either side: the server refuses us."""
    WRONG = "wrong"
    """Change the address: the server can never be the intended Redis."""


class Diagnosis(Struct, frozen=True):
    """The reason for a missing connection, as the end of a sentence that begins with the address."""

    verdict: Verdict
    why: str
    is_guess: bool = False
    """Whether perhaps only one side speaks TLS, which a probe of the port would show."""


HAS_NO_TLS = Diagnosis(Verdict.REFUSED, "does not speak TLS: write the address without it, or another port")
_CLOSED_EARLY = Diagnosis(Verdict.AWAY, "closed the connection during the TLS handshake", is_guess=True)
WANTS_TLS = Diagnosis(Verdict.REFUSED, "speaks TLS only: write an address that begins with rediss")


class Peer(Struct, frozen=True):
    """The server that a connection was to be made with, as far as it explains a failure."""

    host: str
    port: int
    db: int | str = 0
    tls: bool = False
    has_certificate: bool = False
    """Whether there is a client certificate."""
    connect_within_s: float = 0.0
    answer_within_s: float = 0.0
    secrets: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def __repr__(self) -> str:
        """Return a text without secrets, because errors contain it."""
        return f"{type(self).__name__}({self})"


class NotConnectedError(redis_errors.ConnectionError):
    """A connection could not be made, or not be made ready for commands."""

    def __init__(self, where: "Peer | str", diagnosis: Diagnosis) -> None:
        self.where = where
        self.diagnosis = diagnosis
        super().__init__(f"{where} {diagnosis.why}")


class NoPrimaryError(NotConnectedError):
    """No Sentinel names the primary."""

    def __init__(self, failures: Sequence[NotConnectedError]) -> None:
        """Take the answer of each Sentinel, or the reason why it gave none."""
        self.failures = tuple(failures)
        verdicts = {failure.diagnosis.verdict for failure in failures}
        # A Sentinel that is away may be the one that knows; a refusal is reported first, because it does not pass.
        verdict = verdicts.pop() if len(verdicts) == 1 else Verdict.REFUSED
        said = one_line("; ".join(sorted(map(str, failures))), _SAID_CHARS)
        super().__init__("no Sentinel names the primary:", Diagnosis(verdict, said))


_REPLIES = (
    ("invalid username-password", Verdict.REFUSED, "refuses the user name or the password"),
    ("invalid password", Verdict.REFUSED, "refuses the password"),
    ("Authentication required", Verdict.REFUSED, "wants a password, and is given none"),
    ("without any password configured", Verdict.REFUSED, "has no password, and is given one"),
    ("no password is set", Verdict.REFUSED, "has no password, and is given one"),
    ("DB index", Verdict.WRONG, "has no database {db}"),
    ("not allowed in cluster mode", Verdict.WRONG, "is a node of a cluster: write redis+cluster://, and no database"),
    ("protected mode", Verdict.REFUSED, "is in protected mode: it is open to its own machine only"),
    ("unknown command", Verdict.WRONG, "does not know a command that every Redis knows"),
    ("cluster support disabled", Verdict.WRONG, "is no node of a cluster: write redis://"),
    ("number of clients", Verdict.AWAY, "has as many clients as it takes"),
    ("loading the dataset", Verdict.AWAY, "is loading its data"),
    # What redis-py says when the answer to its greeting is none that a Redis gives.
    ("Error setting client name", Verdict.WRONG, "is no Redis: it answers as none does"),
    ("Invalid Username or Password", Verdict.WRONG, "is no Redis: it answers as none does"),
    ("Invalid Database", Verdict.WRONG, "is no Redis: it answers as none does"),
)
"""Responses of servers to a greeting, by a part of the text."""

_ALERTS = (
    ("CERTIFICATE_REQUIRED", "wants a client certificate, and is given none"),
    ("UNKNOWN_CA", "does not trust our client certificate: it is signed by an authority it does not know"),
    ("CERTIFICATE_EXPIRED", "refuses our client certificate: it has expired"),
    ("PROTOCOL_VERSION", "speaks no version of TLS that is still safe"),
    ("HANDSHAKE_FAILURE", "refuses the TLS handshake: it may want a client certificate, or other ciphers"),
    ("CERTIFICATE", "refuses our client certificate"),
)
"""TLS alerts of servers before they close, by a part of OpenSSL's name."""

_NO_TLS = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG")
_NAME_MISMATCH = (62, 64)
"""The code of X509_verify_cert for a valid certificate of another name."""

_FIRST_BYTES = {"H": " (HTTP?)", "<": " (HTTP?)", "S": " (SSH?)", "2": " (SMTP or FTP?)", "\\x15": " (TLS?)"}


def diagnose(error: Exception, peer: Peer, *, connected: bool) -> Diagnosis:
    """Return why there is no connection. `connected` says that there was one, which got no greeting."""
    for cause in causes(error):
        if isinstance(cause, ssl.SSLError):
            return _of_tls(cause)
    if isinstance(error, redis_errors.InvalidResponse):
        byte = str(error).partition('"')[2].partition('"')[0]
        return Diagnosis(Verdict.WRONG, f"is no Redis: it speaks another protocol{_FIRST_BYTES.get(byte, '')}")
    if known := _of_reply(str(error), peer):
        return known
    if isinstance(error, redis_errors.ResponseError | redis_errors.AuthenticationError):
        return Diagnosis(Verdict.REFUSED, f"refuses the connection: {scrubbed(str(error), peer.secrets)}")
    return _of_silence(error, peer) if connected else _of_absence(error, peer)


def scrubbed(text: str, secrets: tuple[str, ...] = ()) -> str:
    """Return the text of a server without our secrets, which it may repeat."""
    text = text.partition(", with args")[0]
    for secret in secrets:
        text = text.replace(secret, "***")
    return one_line(text, 160)


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and its causes, the last first."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _of_tls(error: ssl.SSLError) -> Diagnosis:
    if isinstance(error, ssl.SSLCertVerificationError):
        what = one_line(error.verify_message).rstrip(".")
        if error.verify_code in _NAME_MISMATCH:
            return Diagnosis(Verdict.REFUSED, f"has the certificate of another name: {what}")
        return Diagnosis(Verdict.REFUSED, f"has a certificate that is not trusted: {what}")
    reason = (error.reason or "").upper()
    if any(name in reason for name in _NO_TLS):
        return HAS_NO_TLS
    if "ALERT" in reason:
        for name, why in _ALERTS:
            if name in reason:
                return Diagnosis(Verdict.REFUSED, why)
    if not reason or "EOF" in reason:
        return _CLOSED_EARLY
    return Diagnosis(Verdict.REFUSED, f"refuses the TLS handshake: {reason.replace('_', ' ').lower()}")


def _of_reply(text: str, peer: Peer) -> Diagnosis | None:
    for part, verdict, why in _REPLIES:
        if part.lower() in text.lower():
            return Diagnosis(verdict, why.format(db=peer.db))
    return None


def _of_silence(error: Exception, peer: Peer) -> Diagnosis:
    if isinstance(error, redis_errors.TimeoutError):
        return Diagnosis(Verdict.AWAY, f"takes connections and does not answer within {peer.answer_within_s:g} s")
    if peer.tls and not peer.has_certificate:
        # The alert that says so is lost where the first words of ours reach a connection that is closed already.
        return Diagnosis(Verdict.REFUSED, "hung up after the TLS handshake: it may want a client certificate")
    return Diagnosis(Verdict.AWAY, "closed the connection before it answered", is_guess=not peer.tls)


def _of_absence(error: Exception, peer: Peer) -> Diagnosis:
    if isinstance(error, redis_errors.TimeoutError):
        with_tls = ", TLS handshake included" if peer.tls else ""
        why = f"takes no connection within {peer.connect_within_s:g} s{with_tls}"
        return Diagnosis(Verdict.AWAY, why, is_guess=peer.tls)
    for cause in causes(error):
        match cause:
            case socket.gaierror() | UnicodeError():
                return Diagnosis(Verdict.AWAY, "cannot be found: there is no such host name")
            case ConnectionRefusedError():
                return Diagnosis(Verdict.AWAY, "takes no connection: nothing listens there (Connection refused)")
            case OSError() if cause.strerror:
                return Diagnosis(Verdict.AWAY, f"cannot be reached: {one_line(cause.strerror, 100)}")
    return _CLOSED_EARLY if peer.tls else Diagnosis(Verdict.AWAY, "cannot be reached")
