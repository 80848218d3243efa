"""Writes the sync client and its handles from the async ones: `make generate` does it, and a test holds both."""

import re
import subprocess
import sys
from pathlib import Path

PACKAGE = Path(__file__).parent / "millstream"
SOURCES = {
    PACKAGE / "client/sync_client.py": PACKAGE / "client/async_client.py",
    PACKAGE / "jobs/sync_job_handle.py": PACKAGE / "jobs/job_handle.py",
    PACKAGE / "workflows/sync_workflow_run.py": PACKAGE / "workflows/workflow_run.py",
    PACKAGE / "batches/sync_batch_handle.py": PACKAGE / "batches/batch_handle.py",
}
"""What each generated module is made from."""

SUBJECTS = {
    "sync_client.py": "client",
    "sync_job_handle.py": "handle on a job",
    "sync_workflow_run.py": "handle on a workflow",
    "sync_batch_handle.py": "handle on a batch",
}
"""What is in each of them."""

HEAD = '''"""The {what} for programs without an event loop, generated from `{source}` by `make generate`."""
'''

WORDS = {
    "async def ": "def ",
    "await ": "",
    "async with ": "with ",
    "async for ": "for ",
    "aclosing": "closing",
    "AsyncIterator": "Iterator",
    "AsyncTransport": "SyncTransport",
    "AsyncHttpClient": "HttpClient",
    "AsyncToken": "SyncToken",
    "an `AsyncClient`": "a `Client`",
    "Client": "SyncClient",
    "JobHandle": "SyncJobHandle",
    "JobReader": "SyncJobReader",
    "job_handle": "sync_job_handle",
    "WorkflowRun": "SyncWorkflowRun",
    "WorkflowReader": "SyncWorkflowReader",
    "workflow_run": "sync_workflow_run",
    "BatchHandle": "SyncBatchHandle",
    "BatchReader": "SyncBatchReader",
    "BatchBlock": "SyncBatchBlock",
    "batch_handle import": "sync_batch_handle import",
    "__aenter__": "__enter__",
    "__aexit__": "__exit__",
    "aclose": "close",
    "Tasks": "Threads",
}
"""What is called otherwise in a client without an event loop."""

_WORD = re.compile("|".join(rf"(?<![A-Za-z]){re.escape(word)}" for word in WORDS))
_ASYNC_LINT = re.compile(r" *# noqa: ASYNC\d+.*")


def generated(target: Path) -> str:
    """Return the text of a generated module."""
    source = SOURCES[target]
    _, _, body = source.read_text().partition("\n")
    head = HEAD.format(what=SUBJECTS[target.name], source=source.name)
    words = _WORD.sub(lambda found: WORDS[found[0]], _ASYNC_LINT.sub("", body))
    ruff = [sys.executable, "-m", "ruff"]
    ordered = _piped(
        [
            *ruff,
            "check",
            "--fix-only",
            "--quiet",
            "--unsafe-fixes",
            "--select=I,UP028",
            "--stdin-filename",
            str(target),
            "-",
        ],
        head + words,
    )
    return _piped([*ruff, "format", "--quiet", "--stdin-filename", str(target), "-"], ordered)


def _piped(command: list[str], text: str) -> str:
    return subprocess.run(command, input=text, capture_output=True, check=True, text=True).stdout


if __name__ == "__main__":
    for made in SOURCES:
        made.write_text(generated(made))
