"""Decides whether a submission may become a job: its type has to be known and its payload to fit the schema."""

from collections.abc import Sequence
from typing import Literal

from millstream_contracts import MASK, FieldError, JobType, SecretPlaces, TypePolicy, did_you_mean, told
from millstream_submission.decoding import Decoded
from millstream_submission.errors import InvalidError, invalid
from millstream_submission.field_errors import missing, pointer
from millstream_submission.job_key import key_of
from millstream_submission.payload_schema import MAX_ERRORS
from millstream_submission.type_catalogue import KnownType, KnownTypes
from millstream_submission.unique_keys import unique_key

UnknownTypes = Literal["refuse", "accept"]

_DEFAULT_POLICY = TypePolicy()


class Admission:
    """Checks submissions against the registrations of workers."""

    def __init__(self, unknown_types: UnknownTypes) -> None:
        self._refuses_unknown = unknown_types == "refuse"

    def admit(self, decoded: Decoded, known: KnownTypes, prefix: str = "") -> TypePolicy:
        """Return the policy of the newest release that accepts the submission.

        `prefix` is the pointer to the submission in the request. Raises: InvalidError, also where this policy
        finds a value in the payload that cannot be the key of a job.
        """
        policy = self._policy(decoded, known, prefix)
        if policy.key is not None:
            key_of(decoded, policy, prefix)
        return policy

    def _policy(self, decoded: Decoded, known: KnownTypes, prefix: str) -> TypePolicy:
        found = self._known(JobType(decoded.submission.type), known, prefix)
        if found is None:
            return _DEFAULT_POLICY
        if found.schema is not None and (errors := found.schema.errors(decoded.value)):
            takers = (one for one in found.others if one.schema is None or not one.schema.errors(decoded.value))
            if (taker := next(takers, None)) is None:
                raise _unfit(decoded, errors, prefix)
            found = taker
        if found.secret_payload is not None:
            _check_masks(decoded, found.secret_payload, prefix)
        return _fitting(decoded, found.registration.policy, prefix)

    def admit_type(self, job_type: JobType, known: KnownTypes, prefix: str = "") -> TypePolicy:
        """Return the policy of a type whose payload is yet to be made. Raises: InvalidError."""
        found = self._known(job_type, known, prefix)
        return _DEFAULT_POLICY if found is None else found.registration.policy

    def _known(self, job_type: JobType, known: KnownTypes, prefix: str) -> KnownType | None:
        """Return a type; None for one that may be unknown. Raises: InvalidError."""
        found = known.get(job_type)
        # Before the first worker has registered it is unknown which types there will be.
        if found is None and known and self._refuses_unknown:
            raise _unknown_type(job_type, known, prefix)
        return found


def _fitting(decoded: Decoded, policy: TypePolicy, prefix: str) -> TypePolicy:
    """Return a policy by which a submission can have its unique key, and keep it exactly. Raises: InvalidError."""
    if policy.unique is None and decoded.submission.unique is None:
        return policy
    unique_key(decoded, policy, prefix)
    if policy.partitions > 1 and key_of(decoded, policy, prefix):
        detail = f"and a `key` would each choose the partition, of which `{decoded.submission.type}` has several"
        raise invalid(FieldError(f"{prefix}/unique", detail))
    return policy


def _check_masks(decoded: Decoded, secrets: SecretPlaces, prefix: str) -> None:
    """Refuse a payload that was read masked and would be stored so. Raises: InvalidError."""
    masks = secrets.masks_in(decoded.value)
    if masks:
        detail = f"is secret, and `{MASK}` stands in the place of its value"
        raise invalid(*(FieldError(f"{prefix}/payload{pointer(*path)}", detail) for path in masks[:MAX_ERRORS]))


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
