"""Fixtures that serve the API, mail and certificates on loopback."""

import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from shutil import which
from typing import Any

import pytest
from sdk.client.scripted_api import Connect, Either, ScriptedApi
from sdk.handlers.smtp_sink import SmtpSink

from millstream import Client, SyncClient
from millstream.handlers import SmtpSettings


@pytest.fixture
def api() -> Iterator[ScriptedApi]:
    """Serve a scripted API on a port of its own."""
    server = ScriptedApi()
    yield server
    server.close()


@pytest.fixture(params=["async", "sync"])
async def connect(request: pytest.FixtureRequest, api: ScriptedApi) -> AsyncIterator[Connect]:
    """Return a function that makes clients of the server, async or sync, and close them at the end."""
    is_sync = request.param == "sync"
    made: list[Either] = []

    def make(url: str = api.url, **options: Any) -> Either:
        made.append(Either((SyncClient if is_sync else Client)(url, **options), is_sync))
        return made[-1]

    yield make
    for client in made:
        await (client.close() if is_sync else client.aclose())


@pytest.fixture
def sink() -> SmtpSink:
    """Return a mail server that is not yet serving."""
    return SmtpSink()


@pytest.fixture
async def smtp(sink: SmtpSink) -> AsyncIterator[SmtpSettings]:
    """Return settings that lead to the serving sink."""
    async with sink.serving() as port:
        yield SmtpSettings(port=port, sender="shop@example.org", timeout_s=10)


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """Make a certificate for 127.0.0.1, its key in the same file."""
    openssl = which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed")
    path = tmp_path / "server.pem"
    command = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(path), "-out", str(tmp_path / "cert.pem")]
    subprocess.run(command, check=True, capture_output=True)
    path.write_text(path.read_text() + (tmp_path / "cert.pem").read_text())
    return path
