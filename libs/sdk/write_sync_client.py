"""Writes `sync_client.py` from `async_client.py`: `make generate` does it, and a test holds the two together."""

import re
import subprocess
import sys
from pathlib import Path

CLIENTS = Path(__file__).parent / "millstream/client"
SOURCE, TARGET = CLIENTS / "async_client.py", CLIENTS / "sync_client.py"

HEAD = '''"""The client for programs without an event loop, generated from `async_client.py` by `make generate`."""
'''

WORDS = {
    "async def ": "def ",
    "await ": "",
    "AsyncTransport": "SyncTransport",
    "AsyncHttpClient": "HttpClient",
    "an `AsyncClient`": "a `Client`",
    "Client": "SyncClient",
    "JobHandle": "SyncJobHandle",
    "__aenter__": "__enter__",
    "__aexit__": "__exit__",
    "aclose": "close",
    "Tasks": "Threads",
}
"""What is called otherwise in a client without an event loop."""

_WORD = re.compile("|".join(rf"(?<![A-Za-z]){re.escape(word)}" for word in WORDS))
_ASYNC_LINT = re.compile(r" *# noqa: ASYNC\d+.*")


def sync_client() -> str:
    """Return the text of the client without an event loop."""
    _, _, body = SOURCE.read_text().partition("\n")
    words = _WORD.sub(lambda found: WORDS[found[0]], _ASYNC_LINT.sub("", HEAD + body))
    ruff = [sys.executable, "-m", "ruff"]
    ordered = _piped(
        [*ruff, "check", "--fix-only", "--quiet", "--select=I", "--stdin-filename", str(TARGET), "-"], words
    )
    return _piped([*ruff, "format", "--quiet", "--stdin-filename", str(TARGET), "-"], ordered)


def _piped(command: list[str], text: str) -> str:
    return subprocess.run(command, input=text, capture_output=True, check=True, text=True).stdout


if __name__ == "__main__":
    TARGET.write_text(sync_client())
