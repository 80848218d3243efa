"""`run_service` turns a process into a service."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import pytest

SCRIPT = """
import sys, threading, time
import anyio, structlog
from millstream_runtime import ServiceSettings, run_service

async def main(service):
    {body}

run_service("reaper", ServiceSettings(log_level="warning", **{settings}), main, not_errors=(KeyError,))
print("ended")
"""


def ran(
    body: str, settings: Mapping[str, Any] = MappingProxyType({}), **environ: str
) -> "subprocess.CompletedProcess[str]":
    """Run a service with this body to its end."""
    code = SCRIPT.format(body=body.replace("\n", "\n    "), settings=dict(settings))
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("MILLSTREAM_", "OTEL_"))}
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False, env=inherited | environ
    )


def test_a_service_logs_under_its_name_at_its_level_to_a_stream_that_does_not_fail() -> None:
    """A service logs under its name, at the level of its settings, to a stream that does not fail."""
    done = ran('structlog.get_logger().info("quiet")\nstructlog.get_logger().warning(type(sys.stderr).__name__)')
    (line,) = map(json.loads, done.stderr.splitlines())
    assert (line["event"], line["service"], line["level"]) == ("LastingStream", "reaper", "warning")
    assert (done.returncode, done.stdout) == (0, "ended\n")


def test_a_single_error_leaves_as_itself() -> None:
    """A single error leaves `run_service` as itself, also out of a task group."""
    done = ran('async with anyio.create_task_group():\n    raise LookupError("no city")')
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "LookupError: no city"
    assert "ExceptionGroup" not in done.stderr.splitlines()[-1]


def test_a_service_ends_beside_a_thread_that_does_not() -> None:
    """A service ends though a thread of it never does."""
    done = ran("threading.Thread(target=time.sleep, args=(600,)).start()")
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("propagation", ["child", "link"])
def test_a_service_that_leaves_at_once_sends_its_spans_and_traces_as_it_is_told(propagation: str) -> None:
    """A service that leaves at once exports the spans that it recorded."""
    body = "from opentelemetry import trace\nwith trace.get_tracer('x').start_as_current_span('last'): pass\n"
    body += "print(service.settings.trace_propagation, service.tracer._propagation, flush=True)\nservice.leave()"
    environ = {"OTEL_TRACES_EXPORTER": "console", "OTEL_TRACES_SAMPLER": "always_on"}
    done = ran(body, {"trace_propagation": propagation}, **environ)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{propagation} {propagation}\n")
    assert '"name": "last"' in done.stdout
    assert "ended" not in done.stdout
