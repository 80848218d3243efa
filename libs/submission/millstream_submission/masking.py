"""Masks the secret values of jobs, by what their types declare."""

from collections.abc import Iterable, Sequence
from typing import Any

from msgspec.structs import replace

from millstream_contracts import Job, SecretPlaces
from millstream_submission.type_catalogue import KnownType, KnownTypes


class Masker:
    """Masks payloads and results of the types of one tenant.

    A payload may hold a job: that of a job of `on_dead` has the dead one. So in a payload and in a result, wherever the
    `type` of a job stands beside a `payload` or a `result`, that is masked too.
    """

    def __init__(self, known: KnownTypes) -> None:
        self._secret = {name: one for name, one in known.items() if one.secret_payloads or one.secret_results}
        self.payload_places = [places for one in self._secret.values() for places in one.secret_payloads]
        """Where payloads of any type have secrets."""

    @property
    def is_idle(self) -> bool:
        """Return whether no type has a secret."""
        return not self._secret

    def job(self, job: Job) -> Job:
        """Return a job with masks in the place of its secrets."""
        payload, result = self.payload(job.payload, job.type), self.result(job.result, job.type)
        return replace(job, payload=payload, result=result)

    def payload(self, value: Any, job_type: Any) -> Any:
        """Return the payload of a job; one of a type that is not known has only the secrets of jobs in it."""
        kind = self._kind(job_type)
        return self._nested(_masked(value, kind.secret_payloads if kind else ()))

    def result(self, value: Any, job_type: Any) -> Any:
        """Return the result of a job, as :meth:`payload` does."""
        kind = self._kind(job_type)
        return self._nested(_masked(value, kind.secret_results if kind else ()))

    def any_payload(self, value: Any, path: Sequence[str] = ()) -> Any:
        """Return a payload of which the type is not known, or what is at a path of it, masked by all types."""
        for places in self.payload_places:
            value = places.masked_at(path, value)
        return value

    def has_secret_results(self, types: Iterable[Any] | None = None) -> bool:
        """Return whether results of these types, or of any, have secrets."""
        kinds = self._secret.values() if types is None else filter(None, map(self._kind, types))
        return any(kind.secret_results for kind in kinds)

    def _kind(self, job_type: Any) -> KnownType | None:
        return self._secret.get(job_type) if isinstance(job_type, str) else None  # type: ignore[call-overload]

    def _nested(self, value: Any) -> Any:
        if isinstance(value, list | tuple):
            return [self._nested(one) for one in value]
        if not isinstance(value, dict):
            return value
        job_type = value.get("type")
        if self._kind(job_type) is None:
            return {name: self._nested(one) for name, one in value.items()}
        masks = {"payload": self.payload, "result": self.result}
        return {name: masks[name](one, job_type) if name in masks else self._nested(one) for name, one in value.items()}


def _masked(value: Any, places: Iterable[SecretPlaces]) -> Any:
    for one in places:
        value = one.masked(value)
    return value
