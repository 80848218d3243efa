"""What `@app.batch` takes, and what it refuses when it is read."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from millstream import App, Batch, BatchContext, Context, HandlerError, SyncBatch
from millstream_contracts import Gathering


def test_a_batch_handler_takes_and_gives_what_one_job_does() -> None:
    """The types of payload and result are those of the batch, and the policy says how many jobs a call takes."""
    app = App("test")

    @app.batch("index", size=500, wait=timedelta(milliseconds=200), timeout=30)
    async def index(texts: Batch[str, int]) -> None:
        """Index texts."""

    registration = index.registration()
    assert registration.payload_schema == {"type": "string"}
    assert registration.result_schema == {"type": "integer"}
    assert registration.policy.gathers == Gathering(size=500, wait_s=0.2)
    assert (registration.policy.timeout_s, registration.description) == (30, "Index texts.")


async def _nothing() -> None: ...


async def _no_batch(text: str) -> None: ...


async def _three(texts: Batch[str, int], ctx: BatchContext, more: int) -> None: ...


async def _other_context(texts: Batch[str, int], ctx: Context) -> None: ...


async def _sync_batch(texts: SyncBatch[str, int]) -> None: ...


def _async_batch(texts: Batch[str, int]) -> None: ...


async def _results(texts: Batch[str, int]) -> list[int]:
    return []


async def _plain(texts: Batch[str, int]) -> None: ...


@pytest.mark.parametrize(
    ("function", "options", "says"),
    [
        (_nothing, {}, "takes a Batch"),
        (_no_batch, {}, "annotate `text`"),
        (_three, {}, "takes a Batch"),
        (_other_context, {}, "BatchContext"),
        (_sync_batch, {}, "is async: it takes a Batch"),
        (_async_batch, {}, "is not async: it takes a SyncBatch"),
        (_results, {}, "item.succeed"),
        (_plain, {"size": 0}, "size"),
        (_plain, {"size": 10_001}, "size"),
        (_plain, {"size": "many"}, "size"),
        (_plain, {"wait": -1}, "wait"),
        (_plain, {"wait": 61}, "wait"),
        (_plain, {"isolation": "process"}, "not in a process"),
        (_plain, {"isolation": "thread"}, "is async"),
        (_plain, {"sizes": 4}, "did you mean `size`"),
    ],
)
def test_what_cannot_work_is_refused_when_it_is_read(
    function: Callable[..., Any], options: dict[str, Any], says: str
) -> None:
    """A function or an option that cannot work is refused, with what is wrong."""
    app = App("test")
    with pytest.raises(HandlerError, match=says):
        app.batch("index", **options)(function)
    assert app.handlers == {}


def test_a_batch_is_for_batch_handlers() -> None:
    """A function of `@app.job` that takes a batch is refused."""
    app = App("test")

    async def index(texts: Batch[str, int]) -> None: ...

    with pytest.raises(HandlerError, match=r"`@app\.batch`"):
        app.job("index")(index)
