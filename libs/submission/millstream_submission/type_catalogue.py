"""A cache of the registered job types, so that a submission need not ask Redis.

It is read again when a request arrives and it is older than a second, or before a refusal; an idle ingest sends
nothing. While Redis is away the last known types count. Where none were ever read, nothing is known of any type: to
take them for unregistered would place a job in another partition than its repetition.
"""

import math
import time
from collections.abc import Iterable, Mapping, Sequence

import anyio
from msgspec import Struct
from msgspec.structs import replace

from millstream_contracts import JobType, SecretPlaces, Tenant, TypeRegistration, secret_places
from millstream_streams import Registered, Registrations, Registry, StoreUnavailableError, digest_of
from millstream_submission.payload_schema import PayloadSchema, compile_schema
from millstream_telemetry import MetricRegistry

FRESH_FOR_S = 1.0
ANSWER_WITHIN_S = 0.5
READ_AGAIN_AFTER_S = 0.05
"""The least time between two reads of types before a refusal, so that a flood of refusals costs Redis little."""


class KnownType(Struct, frozen=True):
    """A registered type, and the schemas for its payloads."""

    registration: TypeRegistration
    schema: PayloadSchema | None
    digest: str
    """The digest of the registration."""
    others: tuple["KnownType", ...] = ()
    """The same type in the other live releases, the newest first."""
    secret_payload: SecretPlaces | None = None
    """Where the payload has secrets; None where nowhere."""
    secret_result: SecretPlaces | None = None

    @property
    def secret_payloads(self) -> list[SecretPlaces]:
        """Return where payloads have secrets by any live release: jobs of each of them are there."""
        return [one.secret_payload for one in (self, *self.others) if one.secret_payload]

    @property
    def secret_results(self) -> list[SecretPlaces]:
        """Return where results have secrets by any live release."""
        return [one.secret_result for one in (self, *self.others) if one.secret_result]


KnownTypes = Mapping[JobType, KnownType]


class TypeCatalogue:
    """The registered types of each tenant."""

    def __init__(
        self,
        registry: Registry,
        metrics: MetricRegistry,
        *,
        own: Iterable[TypeRegistration] = (),
        answer_within_s: float = ANSWER_WITHIN_S,
    ) -> None:
        """Take `own`, the types that are known without a registration, because this process handles them.

        A read takes `answer_within_s` seconds at most.
        """
        self._registry = registry
        self._own: KnownTypes = {one.type: _known(one, digest_of(one)) for one in own}
        self._metrics = metrics
        self.answer_within_s = answer_within_s
        self._known: dict[Tenant, KnownTypes] = {}
        self._fresh_until: dict[Tenant, float] = {}
        self._read_at: dict[Tenant, float] = {}
        self._reading = anyio.Lock()
        self._failure = ""
        """Why the last read that failed did."""

    def fresh(self, tenant: Tenant) -> KnownTypes | None:
        """Return the types of a tenant if they need not be read again; None where :meth:`of` has to be called."""
        return None if self._is_stale(tenant) else self._known.get(tenant)

    async def of(self, tenant: Tenant) -> KnownTypes:
        """Return the types of a tenant, at most a second old unless Redis is away.

        Raises: StoreUnavailableError, when they were never read and cannot be now.
        """
        if self._is_stale(tenant):
            async with self._reading:
                if self._is_stale(tenant):
                    await self._read(tenant)
        return self._read_by_now(tenant)

    async def newest(self, tenant: Tenant) -> KnownTypes:
        """Return the types of a tenant as they are now, for a submission that older ones would refuse.

        A worker may have registered since, and a refusal is final for a client. Raises: StoreUnavailableError, as
        :meth:`of`.
        """
        async with self._reading:
            if time.monotonic() > self._read_at.get(tenant, -math.inf) + READ_AGAIN_AFTER_S:
                await self._read(tenant)
        return self._read_by_now(tenant)

    def _read_by_now(self, tenant: Tenant) -> KnownTypes:
        known = self._known.get(tenant)
        if known is None:
            raise StoreUnavailableError(f"the registered job types could not be read yet: {self._failure}")
        return known

    def _is_stale(self, tenant: Tenant) -> bool:
        return time.monotonic() > self._fresh_until.get(tenant, 0.0)

    async def _read(self, tenant: Tenant) -> None:
        self._read_at[tenant] = time.monotonic()
        try:
            with anyio.fail_after(self.answer_within_s):
                registrations = await self._registry.registrations(tenant)
        except StoreUnavailableError as error:
            self._failure = str(error)
        except TimeoutError:
            self._failure = f"Redis did not answer within {self.answer_within_s:g} s"
        else:
            self._replace(tenant, registrations)
        self._fresh_until[tenant] = time.monotonic() + FRESH_FOR_S

    def _replace(self, tenant: Tenant, registrations: Registrations) -> None:
        known = self._known.get(tenant, self._own)
        self._known[tenant] = {
            **self._own,
            **{job_type: _learn(ranked, known.get(job_type)) for job_type, ranked in registrations.items()},
        }
        self._metrics.register_types(registrations)


def _learn(ranked: Sequence[Registered], known: KnownType | None) -> KnownType:
    """Return the known type of a registration; only a new schema is compiled."""
    before = (known, *known.others) if known else ()
    if known is not None and [one.digest for one in before] == [one.digest for one in ranked]:
        return known
    compiled = {one.digest: replace(one, others=()) for one in before}
    newest, *others = [
        replace(compiled[one.digest], registration=one.registration)
        if one.digest in compiled
        else _known(one.registration, one.digest)
        for one in ranked
    ]
    return replace(newest, others=tuple(others))


def _known(registration: TypeRegistration, digest: str) -> KnownType:
    return KnownType(
        registration,
        compile_schema(registration.type, registration.payload_schema),
        digest,
        secret_payload=secret_places(registration.payload_schema),
        secret_result=secret_places(registration.result_schema),
    )
