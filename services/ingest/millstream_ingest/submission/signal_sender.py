"""Sends signals to jobs: checks what they carry as a payload is checked, and counts what has become of each."""

from msgspec import Raw

from millstream_contracts import FieldError, JobId, Queue, SignalReceipt, limits
from millstream_contracts.signal_name import is_signal_name
from millstream_ingest.http.errors import IngestError
from millstream_ingest.http.negotiation import Encoding
from millstream_ingest.http.problems import INVALID_REQUEST, JOB_NOT_FOUND, WRONG_STATE
from millstream_ingest.submission.bodies import CODECS
from millstream_ingest.submission.idempotency import IdempotencyKey, reused
from millstream_streams import SignalCode, StepStore
from millstream_submission import too_large
from millstream_telemetry import IngestMetrics

_OUTCOMES = {SignalCode.DELIVERED: "delivered", SignalCode.KEPT: "kept", SignalCode.REPLAYED: "replayed"}
_REFUSALS = {
    SignalCode.ENDED: (WRONG_STATE, "the job has ended: it takes no signal any more"),
    SignalCode.UNKNOWN_JOB: (JOB_NOT_FOUND, ""),
    SignalCode.TOO_MANY: (WRONG_STATE, f"the job has {limits.MAX_KEPT_SIGNALS} signals that it has not taken yet"),
}


class SignalSender:
    """Sends signals."""

    def __init__(self, store: StepStore, metrics: IngestMetrics) -> None:
        self._store = store
        self._metrics = metrics

    async def send(
        self, queue: Queue, job_id: JobId, name: str, body: bytes, encoding: Encoding, key: IdempotencyKey | None
    ) -> SignalReceipt:
        """Send a signal with this body.

        Raises: IngestError (404, 409, 422), SubmissionError, StoreError.
        """
        try:
            return await self._send(queue, job_id, name, body, encoding, key)
        except Exception:
            self._metrics.count_signal("refused")
            raise

    async def _send(
        self, queue: Queue, job_id: JobId, name: str, body: bytes, encoding: Encoding, key: IdempotencyKey | None
    ) -> SignalReceipt:
        if not is_signal_name(name):
            detail = "the name of a signal is 1 to 64 of the characters a-z, 0-9, `.` and `-`"
            raise IngestError(INVALID_REQUEST, detail, [FieldError("", detail)])
        _, packed = CODECS[encoding].payload(Raw(body), "")
        if len(packed) > limits.MAX_SIGNAL_BYTES:
            raise too_large("", "the payload of the signal", len(packed), limits.MAX_SIGNAL_BYTES)
        known = None if key is None else key.of_value(packed)
        code = await self._store.signal(queue, job_id, name, packed, known)
        if code is SignalCode.KEY_REUSED:
            raise reused()
        if refusal := _REFUSALS.get(code):
            raise IngestError(*refusal)
        outcome = _OUTCOMES[code]
        self._metrics.count_signal(outcome)
        return SignalReceipt(id=job_id, name=name, outcome=outcome)  # type: ignore[arg-type]
