"""Certificates made on the spot: an authority that servers and clients trust, and one that they do not."""

import shutil
import subprocess
from pathlib import Path

import pytest
from msgspec import Struct

from millstream_cli.redis_finder import RedisBinary

_DAYS = "2"
_NEW_KEY = ("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1")


class Pair(Struct, frozen=True):
    """A certificate and its key, as files."""

    cert: Path
    key: Path


class Certificates:
    """An authority, and what it has signed."""

    def __init__(self, folder: Path, name: str = "ca") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._own = Pair(folder / f"{name}.pem", folder / f"{name}.key")
        _openssl(*_NEW_KEY, "-x509", "-nodes", "-days", _DAYS, *_out(self._own), "-subj", f"/CN={name}")

    @property
    def ca(self) -> Path:
        """Return the certificate of the authority."""
        return self._own.cert

    def issue(self, name: str, *alternatives: str, pass_phrase: str = "") -> Pair:
        """Return a certificate for these names, such as `IP:127.0.0.1` or `DNS:localhost`."""
        pair = Pair(self._folder / f"{name}.pem", self._folder / f"{name}.key")
        request, extensions = self._folder / f"{name}.csr", self._folder / f"{name}.ext"
        extensions.write_text(f"subjectAltName={','.join(alternatives) or f'DNS:{name}'}\n")
        lock = ("-passout", f"pass:{pass_phrase}") if pass_phrase else ("-nodes",)
        _openssl(*_NEW_KEY, *lock, "-keyout", str(pair.key), "-out", str(request), "-subj", f"/CN={name}")
        signing = ("-CA", str(self._own.cert), "-CAkey", str(self._own.key), "-CAcreateserial", "-days", _DAYS)
        _openssl("x509", "-req", "-in", str(request), *signing, "-extfile", str(extensions), "-out", str(pair.cert))
        return pair

    def settings(self, server: Pair) -> dict[str, str]:
        """Return the settings of a server that speaks TLS alone, to itself as well, and wants a certificate of all."""
        return {
            "tls-cert-file": str(server.cert),
            "tls-key-file": str(server.key),
            "tls-ca-cert-file": str(self.ca),
            "tls-replication": "yes",
        }


def require_tls(binary: RedisBinary) -> None:
    """Skip a test where certificates cannot be made or the server was built without TLS."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl on PATH")
    # A server stops at the first setting that it does not know, and names it.
    command = [binary.path, "--tls-port", "0", "--no-such-setting", "1"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if "no-such-setting" not in done.stdout + done.stderr:
        pytest.skip(f"{binary.path} was built without TLS")


def _out(pair: Pair) -> tuple[str, ...]:
    return ("-keyout", str(pair.key), "-out", str(pair.cert))


def _openssl(*words: str) -> None:
    subprocess.run(["openssl", *words], check=True, capture_output=True)
