"""The registered types that a process keeps close by: how old they may be, and which releases of a type they hold."""

import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import anyio
import pytest
from waiting import wait_until

from millstream_contracts import DEFAULT_TENANT, JobType, TypePolicy, TypeRegistration
from millstream_streams import Broker, Registrations, StoreUnavailableError
from millstream_submission import JSON, Admission, InvalidError, TypeCatalogue, decode_submission, type_catalogue
from millstream_telemetry import MetricRegistry

TYPE = JobType("a")
FAR_S = 600.0


def registration(schema_type: str = "string", *, job_type: str = TYPE, partitions: int = 1) -> TypeRegistration:
    """Return what a worker registers whose handler takes payloads of this kind."""
    policy = TypePolicy(partitions=partitions)
    return TypeRegistration(type=JobType(job_type), policy=policy, payload_schema={"type": schema_type})


async def begin(broker: Broker, worker: str, at_ms: int, *registrations: TypeRegistration) -> None:
    """Have a worker register, as it does when it starts."""
    await broker.registry.add_types(
        DEFAULT_TENANT, registrations, worker=worker, started_at_ms=at_ms, alive_for=timedelta(minutes=5)
    )


class Reads:
    """Counts how often the registry is asked, and may do something before its answer is passed on."""

    def __init__(self, registrations: Callable[..., Awaitable[Registrations]]) -> None:
        self.count = 0
        self.before_answer: Callable[[], Awaitable[Any]] = anyio.lowlevel.checkpoint
        self._registrations = registrations

    async def __call__(self, *arguments: Any) -> Registrations:
        """Ask."""
        self.count += 1
        found = await self._registrations(*arguments)
        await self.before_answer()
        return found


@pytest.fixture
def reads(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> Reads:
    """Return the counter of what this test asks the registry."""
    counter = Reads(broker.registry.registrations)
    monkeypatch.setattr(broker.registry, "registrations", counter)
    return counter


@pytest.fixture
def catalogue(broker: Broker, reads: Reads) -> TypeCatalogue:
    """Return a catalogue that has read nothing yet."""
    return TypeCatalogue(broker.registry, MetricRegistry())


def test_types_are_as_old_as_the_pages_say() -> None:
    """A second where all goes well; a refusal is checked against what is hardly older than itself."""
    constants = (type_catalogue.FRESH_FOR_S, type_catalogue.READ_AGAIN_AFTER_S, type_catalogue.ANSWER_WITHIN_S)
    assert constants == (1.0, 0.05, 0.5)


async def test_callers_that_come_at_once_share_one_read(catalogue: TypeCatalogue, reads: Reads) -> None:
    """A thousand requests find the types old in the same moment."""
    async with anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(catalogue.of, DEFAULT_TENANT)
    assert reads.count == 1


async def test_a_flood_of_refusals_reads_the_types_once(
    catalogue: TypeCatalogue, reads: Reads, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each refusal asks for the newest types, and gets those of a moment ago."""
    monkeypatch.setattr(type_catalogue, "READ_AGAIN_AFTER_S", FAR_S)
    for _ in range(20):
        await catalogue.newest(DEFAULT_TENANT)
    assert reads.count == 1


async def test_types_are_as_old_as_the_question_for_them_and_not_as_the_answer(
    broker: Broker, catalogue: TypeCatalogue, reads: Reads
) -> None:
    """A worker that registers while the answer is on its way is in the next one, before anything is refused."""

    async def register_meanwhile() -> None:
        asked_at = time.monotonic()
        await begin(broker, "w1", 1, registration())
        slow_s = 2 * type_catalogue.READ_AGAIN_AFTER_S
        await wait_until(lambda: time.monotonic() > asked_at + slow_s, "the answer has taken long")
        reads.before_answer = anyio.lowlevel.checkpoint

    reads.before_answer = register_meanwhile
    assert await catalogue.newest(DEFAULT_TENANT) == {}
    assert list(await catalogue.newest(DEFAULT_TENANT)) == [TYPE]


@pytest.mark.parametrize("trouble", ["silent", "away"])
async def test_types_hold_for_another_second_where_redis_does_not_answer(
    broker: Broker, catalogue: TypeCatalogue, reads: Reads, monkeypatch: pytest.MonkeyPatch, trouble: str
) -> None:
    """No request waits for it for long, and not each of them asks again."""

    async def refuse() -> None:
        raise StoreUnavailableError("away")

    await begin(broker, "w1", 1, registration())
    monkeypatch.setattr(type_catalogue, "FRESH_FOR_S", 0.0)
    known = await catalogue.of(DEFAULT_TENANT)
    assert list(known) == [TYPE]
    monkeypatch.setattr(type_catalogue, "FRESH_FOR_S", FAR_S)
    catalogue.answer_within_s = 0.02
    reads.before_answer = anyio.sleep_forever if trouble == "silent" else refuse
    with anyio.fail_after(20.0):
        for _ in range(3):
            assert await catalogue.of(DEFAULT_TENANT) is known
    assert catalogue.fresh(DEFAULT_TENANT) is known
    assert reads.count == 2


@pytest.mark.parametrize("own", [[], [registration()]], ids=["ingest", "a process with types of its own"])
async def test_types_that_were_never_read_are_not_taken_for_unregistered(
    broker: Broker, reads: Reads, monkeypatch: pytest.MonkeyPatch, own: list[TypeRegistration]
) -> None:
    """A process that begins while Redis is away refuses submissions: it cannot tell where a job belongs."""

    async def refuse() -> None:
        raise StoreUnavailableError("away")

    catalogue = TypeCatalogue(broker.registry, MetricRegistry(), own=own)
    await begin(broker, "w1", 1, registration(partitions=4))
    reads.before_answer = refuse
    for ask in (catalogue.of, catalogue.newest, catalogue.of):
        with pytest.raises(StoreUnavailableError):
            await ask(DEFAULT_TENANT)
    assert catalogue.fresh(DEFAULT_TENANT) is None
    assert reads.count == 1
    reads.before_answer = anyio.lowlevel.checkpoint
    monkeypatch.setattr(type_catalogue, "READ_AGAIN_AFTER_S", 0.0)
    assert (await catalogue.newest(DEFAULT_TENANT))[TYPE].registration.policy.partitions == 4


async def test_types_of_this_process_are_known_beside_those_of_the_registry(broker: Broker) -> None:
    """A worker submits children of its own types, also before it has registered them, or after that was lost."""
    await begin(broker, "w1", 1, registration(job_type="theirs"))
    catalogue = TypeCatalogue(broker.registry, MetricRegistry(), own=[registration(job_type="ours")])
    assert set(await catalogue.of(DEFAULT_TENANT)) == {"ours", "theirs"}


async def test_each_tenant_has_types_of_its_own(broker: Broker, catalogue: TypeCatalogue, reads: Reads) -> None:
    """What was read for one says nothing of another."""
    await begin(broker, "w1", 1, registration())
    assert list(await catalogue.of(DEFAULT_TENANT)) == [TYPE]
    await catalogue.newest(DEFAULT_TENANT)
    assert await catalogue.newest("other") == await catalogue.of("other") == {}
    assert catalogue.fresh("third") is None


async def policy_for(catalogue: TypeCatalogue, payload: str) -> TypePolicy:
    """Return the policy by which a submission with this payload is admitted."""
    decoded = decode_submission(f'{{"type": "{TYPE}", "payload": {payload}}}'.encode(), JSON)
    return Admission("refuse").admit(decoded, await catalogue.of(DEFAULT_TENANT))


async def test_a_payload_is_admitted_by_the_newest_release_that_takes_it(
    broker: Broker, catalogue: TypeCatalogue
) -> None:
    """Of any number of releases, whatever the order in which they were deployed: its partitions are looked after."""
    kinds = ("boolean", "string", "string", "integer", "array")
    for partitions, kind in enumerate(kinds, start=1):
        await begin(broker, f"w{partitions}", partitions, registration(kind, partitions=partitions))
    found = [(await policy_for(catalogue, payload)).partitions for payload in ("[]", "7", '"x"', "true")]
    assert found == [5, 4, 3, 1]
    with pytest.raises(InvalidError):
        await policy_for(catalogue, "null")


async def test_a_release_that_has_left_admits_nothing_any_more(
    broker: Broker, catalogue: TypeCatalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether it was the oldest or the newest: no worker could run what it took, and the others go on."""
    monkeypatch.setattr(type_catalogue, "FRESH_FOR_S", 0.0)
    for at, kind in enumerate(("string", "boolean", "integer"), start=1):
        await begin(broker, f"w{at}", at, registration(kind))
    for worker, payload in (("w1", '"x"'), ("w3", "7")):
        await policy_for(catalogue, payload)
        await broker.registry.leave(worker)
        with pytest.raises(InvalidError):
            await policy_for(catalogue, payload)
        await policy_for(catalogue, "true")
