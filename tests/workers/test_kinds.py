"""Whatever can be called is a handler, and gives the same on the loop, in a thread and in a process."""

import pytest
from workers.floor import Floor
from workers.kinds_app import app
from workers.plant import python_path

from millstream_contracts import JobState
from millstream_telemetry import JobTracer

TYPES = [one.type for one in app if not one.type.startswith("added")]


async def test_every_kind_of_function_gives_its_result_wherever_it_runs(
    floor: Floor, monkeypatch: pytest.MonkeyPatch, tracer: JobTracer
) -> None:
    """Wrapped coroutines are awaited, and partials and objects called, on the loop, in threads and in processes."""
    monkeypatch.setenv("PYTHONPATH", python_path())
    await floor.hire(app, apps=("workers.kinds_app:app",), tracer=tracer)
    ids = {job_type: await floor.submit(job_type, 21) for job_type in TYPES}
    jobs = {job_type: await floor.settled(job_id) for job_type, job_id in ids.items()}
    assert {job_type: (job.state, job.result) for job_type, job in jobs.items()} == dict.fromkeys(
        TYPES, (JobState.SUCCEEDED, 42)
    )


async def test_a_default_is_used_anew_by_each_job_without_a_payload(
    floor: Floor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job without a payload has the default of its handler, and none sees what another one has made of it."""
    monkeypatch.setenv("PYTHONPATH", python_path())
    await floor.hire(app, apps=("workers.kinds_app:app",), types=("added.*",))
    for job_type in ("added.thread", "added.process"):
        results = [(await floor.run(job_type)).result for _ in range(2)]
        assert results == [2, 2]
        assert (await floor.run(job_type, [5, 5])).result == 3
