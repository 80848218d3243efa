"""The calls about batches, each written once for both clients."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

import msgspec

from millstream.client.flow import ApiFlow
from millstream.client.many_jobs import submitted_in_parts
from millstream.client.polling import polled
from millstream.client.response_reader import error_of
from millstream.client.retrier import Call, Retrier
from millstream.errors import ApiError
from millstream.jobs.idempotency_key import checked_key
from millstream.jobs.new_job import NewJob, batches
from millstream_contracts import (
    BatchMemberPage,
    BatchPage,
    BatchReceipt,
    BatchState,
    BatchStatus,
    JobId,
)

Query = Mapping[str, str | int | None]

_PATH = "/v1/batches"


class BatchApi:
    """The calls about batches."""

    def __init__(self, retrier: Retrier) -> None:
        self._retrier = retrier

    def create(self, fields: Mapping[str, Any], idempotency_key: str | None) -> ApiFlow[BatchStatus]:
        """Make a batch. The idempotency key makes it one, although the request may be repeated."""
        return self._create(msgspec.msgpack.encode(fields), checked_key(idempotency_key))

    def submit(
        self, fields: Mapping[str, Any], jobs: Iterable[NewJob], idempotency_key: str | None
    ) -> ApiFlow[BatchStatus]:
        """Make a batch of these jobs, in as few requests as possible. Raises: ValueError, for none; ApiError.

        When a later request is refused, the batch is cancelled.
        """
        key = checked_key(idempotency_key)
        first, *others = [msgspec.msgpack.decode(body, type=_Body)["jobs"] for _, body in batches(jobs)] or [[]]
        if not first:
            raise ValueError("a batch without jobs has to be open: `client.batch(...)`")
        content = msgspec.msgpack.encode({**fields, "jobs": first, "open": bool(others)})
        made = yield from self._create(content, key)
        if not others:
            return made
        try:
            for number, jobs_of_one in enumerate(others, start=1):
                yield from self._add_all(made.id, msgspec.msgpack.encode({"jobs": jobs_of_one}), f"{key}.{number}")
        except ApiError:
            yield from self.given_up(made.id)
            raise
        return (yield from self.close(made.id))

    def page(self, query: Query) -> ApiFlow[BatchPage]:
        """Read a page of batches."""
        return self._retrier.flow(Call(path=_PATH, returns=BatchPage, query=query))

    def status(self, batch_id: str, *, delay_s: float = 0.0, until: float = math.inf) -> ApiFlow[BatchStatus]:
        """Read a batch."""
        return self._retrier.flow(Call(path=_path(batch_id), returns=BatchStatus), delay_s=delay_s, until=until)

    def members(self, batch_id: str, query: Query) -> ApiFlow[BatchMemberPage]:
        """Read a page of its members."""
        return self._retrier.flow(Call(path=f"{_path(batch_id)}/jobs", returns=BatchMemberPage, query=query))

    def add(
        self, batch_id: str, jobs: Sequence[NewJob], by: str | None, idempotency_key: str | None
    ) -> ApiFlow[BatchReceipt]:
        """Submit jobs as its members, in as few requests as possible. Raises: as :func:`submitted_in_parts`."""
        call = Call(method="POST", path=f"{_path(batch_id)}/jobs", returns=BatchReceipt, query={"by": by})
        return submitted_in_parts(self._retrier, call, jobs, idempotency_key)

    def add_one(self, batch_id: str, job: NewJob, by: str | None, idempotency_key: str | None) -> ApiFlow[JobId]:
        """Submit one job as a member. Raises: ApiError."""
        receipt = yield from self.add(batch_id, [job], by, idempotency_key)
        return _ids_of(receipt)[0]

    def wait(self, batch_id: str, timeout_s: float) -> ApiFlow[BatchStatus]:
        """Read a batch once every member has settled, and its callbacks are submitted. Raises: WaitTimeoutError."""
        return polled(
            lambda delay_s, until: self.status(batch_id, delay_s=delay_s, until=until),
            _is_over,
            lambda found: f"batch {batch_id} is {found.state}",
            clock=self._retrier.clock,
            timeout_s=timeout_s,
        )

    def close(self, batch_id: str) -> ApiFlow[BatchStatus]:
        """Close a batch. A repetition changes nothing."""
        return self._retrier.flow(Call(method="POST", path=f"{_path(batch_id)}/close", returns=BatchStatus))

    def cancel(self, batch_id: str) -> ApiFlow[BatchStatus]:
        """Cancel a batch. A repetition of one that was carried out is refused."""
        path = f"{_path(batch_id)}/cancel"
        return self._retrier.flow(Call(method="POST", path=path, returns=BatchStatus, repeatable=False))

    def given_up(self, batch_id: str) -> ApiFlow[None]:
        """Cancel a batch that was not submitted whole. One that cannot be cancelled now closes itself later."""
        try:
            yield from self.cancel(batch_id)
        except ApiError:
            return

    def _create(self, content: bytes, key: str) -> ApiFlow[BatchStatus]:
        headers = {"idempotency-key": key}
        call = Call(method="POST", path=_PATH, returns=BatchStatus, content=content, headers=headers)
        return self._retrier.flow(call)

    def _add_all(self, batch_id: str, content: bytes, key: str) -> ApiFlow[None]:
        """Submit jobs as its members, or none when one is refused. Raises: ApiError."""
        receipt = yield from self._retrier.flow(
            Call(
                method="POST",
                path=f"{_path(batch_id)}/jobs",
                returns=BatchReceipt,
                content=content,
                headers={"idempotency-key": key, "prefer": "handling=strict"},
            )
        )
        _ids_of(receipt)


_Body = dict[str, list[msgspec.Raw]]


def _ids_of(receipt: BatchReceipt) -> list[JobId]:
    """Return the ids of jobs that were all accepted. Raises: ApiError, the problem of the first that was not."""
    for item in receipt.items:
        if item.problem is not None:
            raise error_of(item.problem, item.status)
    return [item.id for item in receipt.items if item.id is not None]


def _is_over(found: BatchStatus) -> bool:
    """Return whether every member has settled, and the jobs of the callbacks that have fired can be read."""
    if found.state is not BatchState.STALLED and not found.state.is_terminal:
        return False
    return not any(one.fired and not one.submitted and one.reason is None for one in found.callbacks.values())


def _path(batch_id: str) -> str:
    return f"{_PATH}/{quote(batch_id, safe='')}"
