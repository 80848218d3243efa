"""Makes certificates with the `openssl` of this machine, by an authority that clients may trust or not."""

import shutil
import subprocess
from pathlib import Path

from msgspec import Struct

# Nothing of the machine's own configuration gets into the certificates.
_REQUEST = "[req]\ndistinguished_name=dn\n[dn]\n"
_LIST = "[ca]\ndefault_ca=here\n[here]\ndatabase={folder}/index\ndefault_md=sha256\ndefault_crl_days=2\n"
HAS_OPENSSL = shutil.which("openssl") is not None


class Pair(Struct, frozen=True):
    """A certificate and its key."""

    certificate: Path
    key: Path


class Authority:
    """A certificate authority, which signs and revokes certificates."""

    def __init__(self, folder: Path, name: str = "authority") -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "request.cnf").write_text(_REQUEST)
        (folder / "list.cnf").write_text(_LIST.format(folder=folder))
        (folder / "index").touch()
        self._own = self._request(name, "basicConstraints=critical,CA:TRUE", "keyUsage=keyCertSign,cRLSign")

    @property
    def certificate(self) -> Path:
        """Return the certificate with which clients trust this authority."""
        return self._own.certificate

    def issue(self, name: str, *alternatives: str, password: str = "") -> Pair:
        """Return a certificate for a common name and others, such as `IP:127.0.0.1`, its key perhaps encrypted."""
        extensions = [f"subjectAltName={','.join(alternatives)}"] if alternatives else []
        pair = self._request(name, "basicConstraints=CA:FALSE", *extensions, signer=self._own)
        if password:
            self._run("ec", "-in", pair.key, "-aes256", "-passout", f"pass:{password}", "-out", pair.key)
        return pair

    def revoke(self, *pairs: Pair) -> Path:
        """Return the revocation list with these certificates on it."""
        signer = ("-config", self._folder / "list.cnf", "-cert", self._own.certificate, "-keyfile", self._own.key)
        for pair in pairs:
            self._run("ca", *signer, "-revoke", pair.certificate)
        path = self._folder / f"revoked-{len(pairs)}.crl"
        self._run("ca", *signer, "-gencrl", "-out", path)
        return path

    def _request(self, name: str, *extensions: str, signer: Pair | None = None) -> Pair:
        pair = Pair(self._folder / f"{name}.crt", self._folder / f"{name}.key")
        signing = ("-CA", signer.certificate, "-CAkey", signer.key) if signer else ()
        added = [word for extension in extensions for word in ("-addext", extension)]
        kind = ("-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2")
        files = ("-config", self._folder / "request.cnf", "-keyout", pair.key, "-out", pair.certificate)
        self._run("req", *kind, *files, "-subj", f"/CN={name}", *added, *signing)
        pair.key.chmod(0o600)
        return pair

    def _run(self, *words: object) -> None:
        subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True)
