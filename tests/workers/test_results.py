"""The result of a handler is checked against its annotation before it is stored."""

from typing import Any

import pytest
from workers.floor import Floor
from workers.givers import app
from workers.plant import python_path

from millstream_contracts import JobState

both = pytest.mark.parametrize("kind", ["loop", "process"])


@pytest.fixture
async def givers(floor: Floor, monkeypatch: pytest.MonkeyPatch) -> Floor:
    """Return a floor with a worker for handlers that return whatever is asked for."""
    monkeypatch.setenv("PYTHONPATH", python_path())
    await floor.hire(app, apps=("workers.givers:app",))
    return floor


@both
@pytest.mark.parametrize(
    ("annotation", "value", "stored"),
    [
        ("receipt", "receipt", {"order_id": 1, "total": 2.5}),
        ("receipt", "dict", {"order_id": 1, "total": 3}),
        ("maybe", "none", None),
        ("model", "model", {"order_id": 1, "files": ["a/b"]}),
        ("model", "model as dict", {"order_id": 1}),
        ("path", "path", "a/b"),
        ("nothing", "none", None),
        ("anything", "model", {"order_id": 1, "files": ["a/b"]}),
        ("anything", "looks infinite", {"text": "\xcb\x7f\xff", "data": b"\xcb\x7f\xff", "huge": 1.7e308}),
    ],
)
async def test_a_result_that_its_annotation_allows_is_stored(
    givers: Floor, kind: str, annotation: str, value: str, stored: Any
) -> None:
    """A result of the annotated type is stored as plain data, whether it is an object of the type or looks like one."""
    job = await givers.run(f"{kind}.{annotation}", value)
    assert (job.state, job.result) == (JobState.SUCCEEDED, stored), job.error


@both
@pytest.mark.parametrize(
    ("annotation", "value", "message"),
    [
        ("receipt", "wrong", "the result is no Receipt: Expected `float`, got `str` - at `$.total`"),
        ("receipt", "missing", "the result is no Receipt: Object missing required field `order_id`"),
        ("receipt", "none", "the result is no Receipt: Expected `object`, got `null`"),
        ("nothing", "text", "the result is no None: Expected `null`, got `str`"),
        ("model", "text", "the result is no Model: "),
        ("model", "wrong model", "Model: `order_id` is no int"),
        ("receipt", "infinite", "the result has inf at `$.total`: NaN and infinities cannot be shown as JSON"),
        ("anything", "nan", "the result has nan at `$.rows[1].a`: NaN and infinities cannot be shown as JSON"),
    ],
)
async def test_a_result_that_its_annotation_does_not_allow_buries_the_job(
    givers: Floor, kind: str, annotation: str, value: str, message: str
) -> None:
    """A job whose result is not what its handler is annotated with is dead, and its error names the field."""
    job = await givers.run(f"{kind}.{annotation}", value)
    assert (job.state, job.reason, job.attempts, job.result) == (JobState.DEAD, "invalid_result", 1, None)
    assert job.error is not None
    assert job.error.message.startswith(message)
