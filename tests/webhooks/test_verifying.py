"""The programs of docs/history/webhooks.md verify signatures, each in its language."""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from millstream_webhooks import WebhookKeys, signature_headers

PAGE = Path(__file__).parents[2] / "docs" / "history" / "webhooks.md"
KEYS = WebhookKeys(["k" * 32])
BODY = '{"a": "ü", "n": [1, 2]}\n'.encode()

Verify = Callable[[dict[str, str], bytes], bool]
"""Runs a program with this environment and body. Returns: whether it finds the call genuine."""


def program(language: str) -> str:
    """Return the program in one language."""
    (text,) = re.findall(rf"^```{language}\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    return text


@pytest.fixture(scope="module", params=["python", "javascript", "go", "sh"])
def verify(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Verify:
    """Return what runs the program of a language, where the language is there."""
    folder = tmp_path_factory.mktemp("verify")
    tools = {"python": sys.executable, "javascript": "node", "go": "go", "sh": "openssl"}
    if (tool := shutil.which(tools[request.param])) is None:
        pytest.skip(f"{tools[request.param]} is not on this machine")
    name = {"python": "verify.py", "javascript": "verify.mjs", "go": "verify.go", "sh": "verify.sh"}[request.param]
    (folder / name).write_text(program(request.param))
    command = {"sh": ["sh", name], "go": ["./verify"]}.get(request.param, [tool, name])
    if request.param == "go":
        build = {**os.environ, "GOCACHE": str(folder / "cache"), "GOFLAGS": "-mod=mod", "GO111MODULE": "off"}
        subprocess.run([tool, "build", "-o", "verify", name], cwd=folder, env=build, check=True, capture_output=True)

    def run(environ: dict[str, str], body: bytes) -> bool:
        done = subprocess.run(
            command, cwd=folder, env={**os.environ, **environ}, input=body, capture_output=True, check=False
        )
        assert done.returncode in {0, 1}, done.stderr.decode()
        return done.returncode == 0

    return run


def environ_of(secrets: list[bytes], *, secret: str, at_s: int | None = None) -> dict[str, str]:
    """Return the environment of a call that is signed with some secrets, for a receiver that has one."""
    headers = signature_headers("evt_1", int(time.time()) if at_s is None else at_s, BODY, secrets)
    names = {"ID": "webhook-id", "TIMESTAMP": "webhook-timestamp", "SIGNATURE": "webhook-signature"}
    return {"SECRET": secret, **{name: headers[header] for name, header in names.items()}}


def test_program_accepts_a_genuine_call_and_no_other(verify: Verify) -> None:
    """A call that is signed with the secret is accepted; another body, id, secret or an old one is refused."""
    secret = KEYS.secret("whep_1", "s")
    genuine = environ_of(KEYS.secrets("whep_1", ["s"]), secret=secret)
    assert verify(genuine, BODY)
    assert verify(environ_of(KEYS.secrets("whep_1", ["other", "s"]), secret=secret), BODY)
    assert not verify(genuine, BODY.strip())
    assert not verify({**genuine, "ID": "evt_2"}, BODY)
    assert not verify({**genuine, "SECRET": KEYS.secret("whep_1", "other")}, BODY)
    assert not verify(environ_of(KEYS.secrets("whep_1", ["s"]), secret=secret, at_s=int(time.time()) - 400), BODY)
