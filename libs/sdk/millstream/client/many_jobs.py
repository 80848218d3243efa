"""Submits jobs in as few requests as the limits of the API allow, as a flow."""

from collections.abc import Sequence

from msgspec.structs import replace

from millstream.client.flow import ApiFlow
from millstream.client.retrier import Call, Retrier
from millstream.errors import ApiError
from millstream.jobs.idempotency_key import checked_key
from millstream.jobs.new_job import NewJob, batches
from millstream_contracts import BatchItem, BatchReceipt


def submitted_in_parts(
    retrier: Retrier, call: Call[BatchReceipt], jobs: Sequence[NewJob], idempotency_key: str | None
) -> ApiFlow[BatchReceipt]:
    """Submit jobs by a call that takes many; the receipt is in the order of `jobs`.

    Raises: ApiError, when the first request is refused. The refusal of a later request is the problem of each of
    its items, because an exception would hide the ids of the jobs that the earlier requests stored.
    """
    key = checked_key(idempotency_key)
    items: list[BatchItem] = []
    for number, (count, body) in enumerate(batches(jobs)):
        headers = {**call.headers, "idempotency-key": f"{key}.{number}" if number else key}
        start = len(items)
        try:
            receipt = yield from retrier.flow(replace(call, content=body, headers=headers))
            items += [replace(item, index=start + item.index) for item in receipt.items]
        except ApiError as error:
            if not items:
                raise
            items += _all_refused(error, start, count)
    accepted = sum(item.problem is None for item in items)
    return BatchReceipt(accepted=accepted, rejected=len(items) - accepted, items=items)


def _all_refused(error: ApiError, start: int, count: int) -> list[BatchItem]:
    status = error.problem.status
    return [BatchItem(index=start + n, status=status, problem=error.problem) for n in range(count)]
