"""What workflows and batches have in common: how one is created, and what they are told of jobs."""

from enum import IntEnum

from msgspec import Struct

from millstream_contracts import JobId
from millstream_streams.store.deliveries import News


class CreateCode(IntEnum):
    """What became of a request for a new workflow or batch. The numbers are those of the scripts `create`."""

    STORED = 1
    REPLAYED = 2
    """It was stored before, by the same request."""
    KEY_REUSED = -1


class FlowNews(Struct, frozen=True):
    """The present state of a job of a workflow or a batch."""

    flow: str
    """Its id."""
    place: str
    """The node of a workflow; of a batch `m` for a member, or the event of a callback."""
    run: int
    job_id: JobId
    state: str
    version: str
    result: bytes = b""


def read_news(news: News) -> FlowNews | None:
    """Return what the workflow or batch of a job is told; None when its field `flow` was written by another program."""
    flow, _, rest = news.flow.partition(":")
    place, _, run = rest.partition(":")
    if not flow or not run.isdecimal():
        return None
    return FlowNews(flow, place, int(run), news.id, news.state, news.version, news.result)
