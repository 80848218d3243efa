"""The TLS of connections to Redis: trusted and own certificates, which are read again when their files change.

Host names are always verified, and TLS 1.2 is the lowest version.
"""

import ssl
from functools import cache
from pathlib import Path

from msgspec import Struct

from millstream_streams.errors import RedisTlsError


class TlsFiles(Struct, frozen=True):
    """Certificates as files, in PEM."""

    ca_file: Path | None = None
    """The authorities that sign the certificates of servers. None trusts those of the system."""
    cert_file: Path | None = None
    """The client's own certificate, for servers that ask for one."""
    key_file: Path | None = None
    """The key of the certificate; None when it is in the same file."""

    @property
    def given(self) -> list[tuple[str, Path]]:
        """The files that are named, each with the name of its field."""
        named = {"ca_file": self.ca_file, "cert_file": self.cert_file, "key_file": self.key_file}
        return [(field, path) for field, path in named.items() if path is not None]


class TlsContext:
    """The TLS context of connections, for any thread. Raises: RedisTlsError, when it is made."""

    def __init__(self, files: TlsFiles) -> None:
        self._files = files
        self._stamps = _stamps(files)
        self._context = _load(files)

    @property
    def has_certificate(self) -> bool:
        """Whether there is a client certificate."""
        return self._files.cert_file is not None

    def get(self) -> ssl.SSLContext:
        """Return the context for the next connection.

        Certificates are replaced while services run. If the files cannot be read, as while they are being written, the
        last good ones stay in use.
        """
        stamps = _stamps(self._files)
        if stamps != self._stamps:
            try:
                self._context, self._stamps = _load(self._files), stamps
            except RedisTlsError:
                return self._context
        return self._context


@cache
def tls_context(files: TlsFiles) -> TlsContext:
    """Return the one context of these files. Raises: RedisTlsError, which names the unusable field."""
    return TlsContext(files)


def _stamps(files: TlsFiles) -> list[tuple[int, int, int] | None]:
    return [_stamp(path) for _, path in files.given]


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _load(files: TlsFiles) -> ssl.SSLContext:
    for field, path in files.given:
        _check_readable(field, path)
    try:
        context = ssl.create_default_context(cafile=files.ca_file)
    except (OSError, ValueError) as error:
        raise RedisTlsError("ca_file", f"has no certificate that can be read ({_reason(error)})") from None
    if files.cert_file is not None:
        _load_own(context, files.cert_file, files.key_file)
    elif files.key_file is not None:
        raise RedisTlsError("key_file", "is a key without a certificate: name that as well")
    return context


def _load_own(context: ssl.SSLContext, cert_file: Path, key_file: Path | None) -> None:
    asked = []

    def refuse() -> bytes:
        # Without this OpenSSL would ask for the pass phrase on the terminal, and wait.
        asked.append(True)
        return b""

    field = "key_file" if key_file is not None else "cert_file"
    try:
        context.load_cert_chain(cert_file, key_file, password=refuse)
    except (OSError, ValueError) as error:
        if asked:
            raise RedisTlsError(field, "has a key with a pass phrase: give one without") from None
        raise RedisTlsError(field, f"has no key that fits the certificate ({_reason(error)})") from None


def _check_readable(field: str, path: Path) -> None:
    try:
        path.read_bytes()
    except OSError as error:
        raise RedisTlsError(field, f"cannot be read: {error.strerror}") from None


def _reason(error: Exception) -> str:
    return (getattr(error, "reason", None) or type(error).__name__).replace("_", " ").lower()
