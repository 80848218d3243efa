"""A worker in a process of its own: `python worker_program.py '{"redis_url": ..., ...}'`, a WorkerConfig in JSON. Its log goes to the error output.
"""

import sys

import anyio
import msgspec

from millstream_telemetry import JobTracer, configure_logs
from millstream_workers.app_loader import load_app, merge_apps
from millstream_workers.config import WorkerConfig
from millstream_workers.service import run_worker


def main() -> None:
    """Run a worker until it is told to stop."""
    config = msgspec.json.decode(sys.argv[1], type=WorkerConfig)
    configure_logs("workers", "info", sys.stderr)
    app = merge_apps(load_app(ref) for ref in config.app_refs)
    anyio.run(lambda: run_worker(config, app, tracer=JobTracer(None), release="1.2.3"))


if __name__ == "__main__":
    main()
