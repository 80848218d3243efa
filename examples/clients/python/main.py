"""Submits jobs with the client that comes with Millstream: see docs/clients.md."""

import os

from millstream import JobFailedError, SyncClient

with SyncClient(os.environ.get("MILLSTREAM_URL", "http://127.0.0.1:8080")) as client:
    # Each call has an `Idempotency-Key` of its own, with which it repeats what is answered with 503.
    report = client.submit("report.generate", {"rows": [{"city": "Oslo", "sold": 3}], "format": "csv"})
    done = client.wait(report.id, timeout=30)
    print(f"{done.type} {done.state} at {done.finished_at:%Y-%m-%dT%H:%M:%SZ}")

    poison = client.submit("demo.poison", max_attempts=1)
    try:
        poison.result(timeout=30)
    except JobFailedError as error:
        print(f"{error.job.type} {error.job.state}: {error.job.error.message if error.job.error else ''}")

    read = client.get(poison.id)
    listed = any(letter.id == poison.id for letter in client.dead(type="demo.poison", limit=100).items)
    print(f"read {read.state}, listed {str(listed).lower()}")

    redriven = client.redrive(ids=[poison.id])
    print(f"redriven {redriven.done}")
