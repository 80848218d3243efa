"""Durable handlers from outside: what they have behind them, and the signals that they wait for."""

from typing import Any

from millstream_contracts import JobId, JobSteps, Scope, SignalReceipt, limits
from millstream_ingest.api.operation import Content, Operation, Parameter
from millstream_ingest.api.request import ApiRequest
from millstream_ingest.api.route import Audited, act, read
from millstream_ingest.api.routes import examples
from millstream_ingest.api.routes.jobs import queue_of_request, read_job
from millstream_ingest.http.negotiation import Encoding, request_encoding
from millstream_ingest.http.problems import (
    ERASED,
    HISTORY_UNAVAILABLE,
    IDEMPOTENCY_KEY_REUSED,
    INVALID_REQUEST,
    JOB_NOT_FOUND,
    STORE_FULL,
    WRONG_STATE,
)
from millstream_ingest.http.response import Response
from millstream_ingest.submission.idempotency import HEADER

_TAG = "Jobs"

STEPS = Operation(
    id="getJobSteps",
    tag=_TAG,
    summary="See the steps of a durable handler",
    description="What its handler has stored, the oldest first, and the signals that it has not taken yet. What steps "
    "have given is not shown. They go when the job has ended.",
    answers={200: Content(model=JobSteps, description="Its steps", examples=examples.STEPS)},
    problems=(JOB_NOT_FOUND, ERASED, HISTORY_UNAVAILABLE),
)
SIGNAL = Operation(
    id="signalJob",
    tag=_TAG,
    summary="Send a signal to a job",
    description="The body is what the signal carries: any value, or nothing. A job that waits for a signal of this "
    f"name goes on; another keeps it until it waits for it, {limits.MAX_KEPT_SIGNALS} of them at most.",
    headers=(Parameter(HEADER, "The same key and body within 24 hours are one signal"),),
    body=Content(model=Any, examples=examples.SIGNALS),
    answers={202: Content(model=SignalReceipt, description="It is kept, or taken", examples=examples.SIGNAL_RECEIPT)},
    problems=(JOB_NOT_FOUND, WRONG_STATE, INVALID_REQUEST, IDEMPOTENCY_KEY_REUSED, STORE_FULL),
)


@read("/v1/jobs/{job_id}/steps", STEPS, Scope.JOBS_READ)
async def get_job_steps(request: ApiRequest, job_id: str) -> Response:
    """See the steps of a durable handler."""
    request.read_query()
    queue = queue_of_request(request, job_id)
    job = await read_job(request, queue, job_id)
    return Response(await request.services.step_reader.read(queue, job))


@act("/v1/jobs/{job_id}/signals/{signal}", SIGNAL, Scope.JOBS_MANAGE, audited=Audited.BARE)
async def signal_job(request: ApiRequest, job_id: str, signal: str) -> Response:
    """Send a signal to a job."""
    request.read_query()
    queue = queue_of_request(request, job_id)
    # A body without a type is nothing: then it has to be empty.
    encoding = request_encoding(request.body_type) if request.body_type else Encoding.MSGPACK
    key = request.idempotency_key
    body = await request.read_body(limits.MAX_BODY_BYTES)
    if body and not request.body_type:
        encoding = request_encoding(None)
    receipt = await request.services.signal_sender.send(queue, JobId(job_id), signal, body, encoding, key)
    return Response(receipt, 202, {"Idempotency-Replayed": "true"} if receipt.outcome == "replayed" else {})


ROUTES = (get_job_steps, signal_job)
