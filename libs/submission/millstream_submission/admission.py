"""Decides whether a submission may become a job: its type has to be known and its payload to fit the schema."""

from collections.abc import Sequence
from typing import Literal

from millstream_contracts import FieldError, JobType, Tenant, TypePolicy, did_you_mean, told
from millstream_submission.decoding import Decoded
from millstream_submission.errors import InvalidError, invalid
from millstream_submission.field_errors import missing
from millstream_submission.type_catalogue import KnownTypes, TypeCatalogue

UnknownTypes = Literal["refuse", "accept"]

_DEFAULT_POLICY = TypePolicy()


class Admission:
    """Checks submissions against the registrations of workers."""

    def __init__(self, unknown_types: UnknownTypes) -> None:
        self._refuses_unknown = unknown_types == "refuse"

    def admit(self, decoded: Decoded, known: KnownTypes, prefix: str = "") -> TypePolicy:
        """Return the policy of the newest release that accepts the submission.

        `prefix` is the pointer to the submission in the request. Raises: InvalidError.
        """
        job_type = JobType(decoded.submission.type)
        found = known.get(job_type)
        if found is None:
            # Before the first worker has registered it is unknown which types there will be.
            if known and self._refuses_unknown:
                raise _unknown_type(job_type, known, prefix)
            return _DEFAULT_POLICY
        if found.schema is not None and (errors := found.schema.errors(decoded.value)):
            takers = (one for one in found.others if one.schema is None or not one.schema.errors(decoded.value))
            if taker := next(takers, None):
                return taker.registration.policy
            raise _unfit(decoded, errors, prefix)
        return found.registration.policy

    async def admit_by_newest(
        self, decoded: Decoded, known: KnownTypes, catalogue: TypeCatalogue, tenant: Tenant, prefix: str = ""
    ) -> TypePolicy:
        """Admit by these types, but read them again before a refusal, because a worker may have registered others.

        Raises: InvalidError.
        """
        try:
            return self.admit(decoded, known, prefix)
        except InvalidError:
            return self.admit(decoded, await catalogue.newest(tenant), prefix)


def _unknown_type(job_type: JobType, known: KnownTypes, prefix: str) -> InvalidError:
    detail = f"no worker has registered the job type `{job_type}`{did_you_mean(job_type, known)}"
    return invalid(FieldError(f"{prefix}/type", detail))


def _unfit(decoded: Decoded, errors: Sequence[FieldError], prefix: str) -> InvalidError:
    job_type = decoded.submission.type
    if not decoded.submission.payload:
        detail = f"{missing('payload')}, and jobs of the type `{job_type}` need one"
        return invalid(FieldError(f"{prefix}/payload", detail))
    at = [FieldError(prefix + error.pointer, error.detail) for error in errors]
    return InvalidError(at, f"the payload does not fit the schema of `{job_type}`: {told(at)}")
