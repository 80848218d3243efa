"""Makes the job that delivers one event to one recipient, the same whenever it is made."""

import hashlib
from collections.abc import Sequence

import msgspec
from msgspec.structs import replace

from millstream import NewJob
from millstream_contracts import Event, Job, JobSpec, JobTransition, Queue, made_at, moment, read_state
from millstream_dispatcher.webhooks.recipient import Recipient
from millstream_submission import BuiltJob, Masker, SystemSubmitter, TypeCatalogue
from millstream_telemetry import TraceContext
from millstream_webhooks import CALL_TYPE, CONTENT_TYPE, WebhookCall, WebhookKeys, cloud_event, sealed

_DIGEST_BYTES = 16
NO_SPEC = JobSpec(payload=msgspec.Raw(b""), created_at_ms=0)


class DeliveryMaker:
    """Builds `webhook.call` jobs."""

    def __init__(self, submitter: SystemSubmitter, catalogue: TypeCatalogue, keys: WebhookKeys) -> None:
        self._submitter = submitter
        self._catalogue = catalogue
        self._keys = keys

    async def build(
        self,
        queue: Queue,
        event: Event,
        transition: JobTransition,
        recipient: Recipient,
        known: tuple[Job, JobSpec] | None,
    ) -> BuiltJob:
        """Return the job that delivers an event. `known` is what Redis has of the event's job.

        Raises: SubmissionError, StoreUnavailableError.
        """
        job, spec = known or (_forgotten(queue, transition), NO_SPEC)
        job = replace(job, state=read_state(transition.state, job.state), version=transition.version)
        if recipient.whole:
            # What is sent has left the system, and the call is itself a job that is shown.
            job = Masker(await self._catalogue.of(queue.tenant)).job(job)
        event_id = event_id_of(queue, transition, recipient.endpoint)
        source = f"/millstream/{queue.tenant}"
        call = WebhookCall(
            url=recipient.url,
            body=cloud_event(event_id, event.kind, moment(event.at_ms), source, job, whole=recipient.whole),
            content_type=CONTENT_TYPE,
            event_id=event_id,
            endpoint=recipient.endpoint,
            salts=recipient.salts,
        )
        tags = {"endpoint": recipient.endpoint, "event": str(event.kind), "job": transition.id}
        content = NewJob(CALL_TYPE, sealed(call, self._keys), tags=tags).content
        caller = TraceContext(spec.traceparent, spec.tracestate)
        return await self._submitter.build(queue.tenant, content, _digest(event_id), caller=caller)

    async def store(self, built: Sequence[BuiltJob]) -> None:
        """Store jobs. Those that were stored before stay as they are. Raises: StoreUnavailableError."""
        await self._submitter.store(built)


def event_id_of(queue: Queue, transition: JobTransition, endpoint: str) -> str:
    """Return the id of an event for one recipient: the same at each delivery and from each dispatcher."""
    words = (queue.tenant, transition.id, str(transition.version), endpoint)
    return "evt_" + _digest("\0".join(words)).hex()


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=_DIGEST_BYTES).digest()


def _forgotten(queue: Queue, transition: JobTransition) -> Job:
    """Return what an event tells of a job that Redis has forgotten."""
    state = read_state(transition.state)
    return Job(id=transition.id, type=queue.type, state=state, created_at=made_at(transition.id))
