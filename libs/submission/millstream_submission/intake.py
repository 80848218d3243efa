"""Takes submissions in: decodes each, fills it up from the template that it names, and admits it."""

from collections.abc import Callable

from msgspec import Raw
from msgspec.structs import replace

from millstream_contracts import FieldError, JobType, Tenant, TypePolicy, did_you_mean
from millstream_streams import Templates
from millstream_submission.admission import Admission
from millstream_submission.decoding import Codec, Decoded, decode_submission
from millstream_submission.errors import InvalidError, invalid
from millstream_submission.field_errors import quoted
from millstream_submission.filling import FIELD, Members, as_sent, filled_up, members_of, name_of
from millstream_submission.type_catalogue import TypeCatalogue


class Intake:
    """The way from bytes to a submission that may become a job, the same for whatever submits.

    `clock` gives Unix seconds, by the clock of Redis.
    """

    def __init__(
        self, catalogue: TypeCatalogue, admission: Admission, templates: Templates, *, clock: Callable[[], float]
    ) -> None:
        self._catalogue = catalogue
        self._admission = admission
        self._templates = templates
        self._clock = clock

    async def decode(self, tenant: Tenant, body: bytes | Raw, codec: Codec, prefix: str = "") -> Decoded:
        """Return one submission and its payload. Raises: SubmissionError, StoreUnavailableError.

        `prefix` is the pointer to the submission where it is a part of a request.
        """
        try:
            return decode_submission(body, codec, prefix, self._clock)
        except InvalidError:
            # A name of a template is refused as an unknown field, so that other submissions pay nothing for it.
            if (members := members_of(body, codec)) is None:
                raise
        template = await self._template(tenant, name_of(members, codec, prefix), prefix)
        decoded = decode_submission(filled_up(members, template, codec), codec, prefix, self._clock)
        return replace(decoded, sent=as_sent(members, codec))

    async def admit(self, tenant: Tenant, decoded: Decoded, prefix: str = "") -> TypePolicy:
        """Return the policy of the newest release that accepts a submission.

        Types are read again before a refusal, because a worker may have registered others. Raises: InvalidError.
        """
        known = self._catalogue.fresh(tenant) or await self._catalogue.of(tenant)
        try:
            return self._admission.admit(decoded, known, prefix)
        except InvalidError:
            return self._admission.admit(decoded, await self._catalogue.newest(tenant), prefix)

    async def admit_type(self, tenant: Tenant, job_type: JobType, prefix: str = "") -> TypePolicy:
        """Return the policy of a type whose payload is yet to be made. Raises: InvalidError."""
        known = self._catalogue.fresh(tenant) or await self._catalogue.of(tenant)
        try:
            return self._admission.admit_type(job_type, known, prefix)
        except InvalidError:
            return self._admission.admit_type(job_type, await self._catalogue.newest(tenant), prefix)

    async def _template(self, tenant: Tenant, name: str, prefix: str) -> Members:
        if (found := await self._templates.get(tenant, name)) is not None:
            return found.fields
        known = did_you_mean(name, await self._templates.all(tenant))
        raise invalid(FieldError(f"{prefix}/{FIELD}", f"there is no template `{quoted(name)}`{known}"))
