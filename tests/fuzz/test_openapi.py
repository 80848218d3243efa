"""Whatever schemathesis makes of the OpenAPI document, the responses are those that it documents."""

import math
import re
from collections.abc import Iterator
from typing import Any

import anyio
import hypothesis
import msgspec
import pytest
import requests
import schemathesis
from fuzz.target import Target
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from streams.seeds import FAR_MS, commit, seed, seed_dead, seed_running

from millstream_contracts import DEFAULT_TENANT, Cancelled, JobType, Queue, TypePolicy, TypeRegistration
from millstream_streams import open_broker

TYPE = JobType("email.send")
SEQUENCES = {"application/x-ndjson": msgspec.json.encode, "application/vnd.msgpack-seq": msgspec.msgpack.encode}
CONFORMANCE = [
    # Redis is there, so even the 503s that are documented are wrong.
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
BATCH = "/v1/jobs/batch"
"""The operation that refuses each of its items by itself."""

EVENTS = "/v1/events"
"""The operation that answers with a stream; tests/ingest/events asks it."""

LONGEST_WAIT_S = 0.05

_WAIT = re.compile(r"(wait\s*=\s*)[\d.]+")


@schemathesis.serializer("application/vnd.msgpack")
def as_messagepack(_: Any, value: Any) -> bytes:
    """Encode a generated body as MessagePack."""
    return msgspec.msgpack.encode(_shown(value))


@schemathesis.serializer(*SEQUENCES)
def as_sequence(context: schemathesis.SerializationContext, value: Any) -> bytes:
    """Encode the jobs of a generated batch one after the other."""
    encode = SEQUENCES[context.case.media_type]
    jobs = value["jobs"] if isinstance(value, dict) and isinstance(value.get("jobs"), list) else [value]
    return b"".join(encode(_shown(job)) + b"\n" * (encode is msgspec.json.encode) for job in jobs)


@schemathesis.deserializer("application/vnd.msgpack")
def from_messagepack(_: Any, response: schemathesis.Response) -> Any:
    """Decode a response in MessagePack."""
    return msgspec.msgpack.decode(response.content)


def _shown(value: Any) -> Any:
    """Return a value without what neither encoding can hold: integers beyond 64 bits, lone surrogates."""
    match value:
        case bool():
            return value
        case int():
            return value if -(1 << 63) <= value < 1 << 64 else float(value) if abs(value) < 1e300 else math.inf
        case str():
            return value.encode(errors="replace").decode()
        case list():
            return [_shown(one) for one in value]
        case dict():
            return {_shown(key): _shown(one) for key, one in value.items()}
        case _:
            return value


@pytest.fixture(scope="module")
def documented_api(target: Target) -> schemathesis.BaseSchema:
    """Return the API as the document of the running ingest describes it."""
    return schemathesis.openapi.from_url(f"{target.url}/openapi.json")


@pytest.fixture(scope="module")
def session() -> Iterator[requests.Session]:
    """Yield a client that keeps its connections between requests."""
    with requests.Session() as opened:
        opened.trust_env = False
        yield opened


@pytest.fixture(scope="module")
def known_ids(target: Target, redis_url: str) -> list[str]:
    """Return ids of jobs in every state that a job can have without a clock."""

    async def store() -> list[str]:
        queue = Queue(DEFAULT_TENANT, TYPE)
        async with open_broker(redis_url, namespace=target.namespace) as broker:
            await broker.registry.add_queues([queue])
            await broker.registry.add_types(DEFAULT_TENANT, [TypeRegistration(type=TYPE, policy=TypePolicy())])
            dead = [await seed_dead(broker, queue) for _ in range(3)]
            ended = [await seed_running(broker, queue) for _ in range(2)]
            await commit(broker, ended[0])
            await commit(broker, ended[1], Cancelled("by hand"))
            running = await seed_running(broker, queue)
            queued = await seed(broker, queue, 3)
            scheduled = await seed(broker, queue, delay_ms=FAR_MS)
            return [*dead, *(one.id for one in ended), running.id, *queued, *scheduled]

    return anyio.run(store)


@pytest.mark.parametrize("mode", GenerationMode)
def test_answer_is_as_documented_whatever_is_asked(documented_api, known_ids, session, subtests, mode):
    """Status, content type, headers and body of each response are documented, and none is a 5xx.

    A request that the document forbids is not accepted.
    """
    for operation in operations(documented_api):
        if mode is GenerationMode.NEGATIVE and not can_be_broken(operation):
            continue
        with subtests.test(operation.label):
            ask_at_random(operation, mode, known_ids, session)


def test_answer_is_as_documented_at_the_bounds(documented_api, session, subtests):
    """Responses are documented at and beyond each bound of each field, and for methods that a path lacks."""
    for operation in operations(documented_api):
        generation = documented_api.config.generation_for(operation=operation)
        cases = documented_api.iter_coverage_cases(
            operation, generation_modes=list(GenerationMode), generation_config=generation
        )
        with subtests.test(operation.label):
            for case in cases:
                # Of a sequence the document can only say what one object with all of the jobs would be.
                if case.media_type not in SEQUENCES:
                    ask(case, session, CONFORMANCE)


def operations(document: schemathesis.BaseSchema) -> list[schemathesis.APIOperation]:
    """Return every operation of a document whose response has an end."""
    found = [found.ok() for found in document.get_all_operations()]
    return [operation for operation in found if operation.path != EVENTS]


def can_be_broken(operation: schemathesis.APIOperation) -> bool:
    """Return whether a request can break the document, which none can where any text will do for a path."""
    return bool(operation.body or operation.query)


def ask_at_random(
    operation: schemathesis.APIOperation, mode: GenerationMode, known_ids: list[str], session: requests.Session
) -> None:
    """Send what hypothesis makes of an operation's schemas, every other time with the id of a real job."""
    checks = [*CONFORMANCE] if operation.path == BATCH else [*CONFORMANCE, negative_data_rejection]

    @hypothesis.settings(hypothesis.settings.get_profile("fuzz"))
    @hypothesis.given(operation.as_strategy(generation_mode=mode), st.integers(0, 2 * len(known_ids)))
    def asking(case, pick):
        if "job_id" in case.path_parameters and pick < len(known_ids):
            case.path_parameters["job_id"] = known_ids[pick]
        ask(case, session, checks)

    asking()


def ask(case: schemathesis.Case, session: requests.Session, checks: list[schemathesis.CheckFunction]) -> None:
    """Send a request and check its response. A request without a response within the timeout fails."""
    hurry(case)
    case.call_and_validate(session=session, checks=checks, timeout=60)


def hurry(case: schemathesis.Case) -> None:
    """Shorten the wait of a request, because no worker runs these jobs."""
    for place in (case.query, case.headers):
        for name, value in list((place or {}).items()):
            if name == "wait" and _is_long(value):
                place[name] = LONGEST_WAIT_S
            elif name.lower() == "prefer" and isinstance(value, str):
                place[name] = _WAIT.sub(rf"\g<1>{LONGEST_WAIT_S}", value)


def _is_long(value: Any) -> bool:
    try:
        return float(value) > LONGEST_WAIT_S
    except (TypeError, ValueError):
        return False
