"""Whatever schemathesis asks with the credential of a role, or with none, it gets what the role allows and no more.

A role has few examples, since tests/fuzz/test_openapi.py has all bodies tried by what may do everything; with
FUZZ_EXAMPLES there are more.
"""

import secrets
from collections.abc import Iterator
from pathlib import Path

import anyio
import hypothesis
import pytest
import requests
import schemathesis
from fuzz.target import Target, running_target
from fuzz.test_openapi import CONFORMANCE, hurry, operations
from hypothesis import strategies as st
from msgspec import Struct
from schemathesis.generation import GenerationMode
from streams.seeds import commit, seed, seed_dead, seed_running

from millstream_contracts import (
    DEFAULT_TENANT,
    OPERATOR_SCOPES,
    ROLE_SCOPES,
    JobType,
    Queue,
    Role,
    Scope,
    Tenant,
    mint_key,
)
from millstream_ingest.api.app import API_ROUTES
from millstream_ingest.api.route import Route
from millstream_ingest.api.routes import docs, health
from millstream_streams import Broker, KeyChange, StoredApiKey, StoredTenant, open_broker

ONE_IN = 8
"""The share of the examples of a profile that each operation has with each credential."""

FREE = frozenset({Scope.PUBLIC, Scope.AUTHENTICATED})
_ALL = (*API_ROUTES, *health.PROBES, health.get_metrics, *docs.routes_of({}))
ROUTES = {(method, route.path): route for route in _ALL for method in route.methods}


class Credential(Struct, frozen=True):
    """What a request is made with."""

    headers: dict[str, str]
    scopes: frozenset[Scope] | None
    """None without a credential."""
    job_ids: list[str]
    """Jobs that there are, half of which it has submitted."""
    types: tuple[str, ...] = ()

    def refusals_of(self, route: Route) -> frozenset[int]:
        """Return the only statuses of a route that it must not use; empty for one that it may use."""
        if route.scope is Scope.PUBLIC:
            return frozenset()
        if self.scopes is None:
            return frozenset({401})
        # Of what is its own a submitter is told: tests/ingest/access/test_own_jobs.py has who is told what.
        is_for_own = route.own and Scope.JOBS_SUBMIT in self.scopes
        return frozenset() if is_for_own or route.scope in self.scopes | FREE else frozenset({403})


@pytest.fixture(scope="module")
def target(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """Yield an ingest process that asks for credentials and accepts jobs of any type."""
    namespace = f"fuzz{secrets.token_hex(6)}"
    folder: Path = tmp_path_factory.mktemp("ingest")
    with running_target(redis_url, namespace, folder, MILLSTREAM_AUTH="required") as running:
        yield running


@pytest.fixture(scope="module")
def documented_api(target: Target) -> schemathesis.BaseSchema:
    """Return the API as the document of the running ingest describes it."""
    return schemathesis.openapi.from_url(f"{target.url}/openapi.json")


@pytest.fixture(scope="module")
def credentials(target: Target, redis_url: str) -> dict[str, Credential]:
    """Return a credential of each role, one of another tenant, a narrowed one, and none."""

    async def store() -> dict[str, Credential]:
        async with open_broker(redis_url, namespace=target.namespace) as broker:
            await broker.tenants.put_tenant(Tenant("acme"), None, StoredTenant(created_at_ms=broker.clock.now_ms()))
            given = {role.value: await _given(broker, role.value, role) for role in Role}
            given["narrowed"] = await _given(broker, "narrowed", Role.ADMIN, DEFAULT_TENANT, "email.*")
            given["tenant"] = await _given(broker, "tenant", Role.ADMIN, "acme")
            return {**given, "none": Credential({}, None, given["admin"].job_ids)}

    return anyio.run(store)


async def _given(broker: Broker, name: str, role: Role, tenant: str = DEFAULT_TENANT, *types: str) -> Credential:
    """Store a key, and jobs of a type of its own, half of which it has submitted."""
    key, queue = mint_key(), Queue(Tenant(tenant), JobType(f"email.{name}"))
    now_ms = broker.clock.now_ms()
    stored = StoredApiKey(
        digest=key.digest, tenant=tenant, name=name, role=role, created_at_ms=now_ms, types=list(types)
    )
    assert await broker.api_keys.put_keys([KeyChange(key.id, None, stored)])
    await broker.registry.add_queues([queue])
    scopes = ROLE_SCOPES[role] if tenant == DEFAULT_TENANT else ROLE_SCOPES[role] - OPERATOR_SCOPES
    owners, ids = (key.id, "another"), list[str]()
    for owner in owners:
        dead, ended = await seed_dead(broker, queue, owner=owner), await seed_running(broker, queue, owner=owner)
        # None runs: no worker would answer for its stack.
        await commit(broker, ended)
        ids += [dead, ended.id]
    for owner in owners:
        ids += await seed(broker, queue, owner=owner)
    return Credential({"Authorization": f"Bearer {key.text}"}, scopes, ids, types)


@pytest.fixture(scope="module")
def session() -> Iterator[requests.Session]:
    """Yield a client that keeps its connections between requests."""
    with requests.Session() as opened:
        opened.trust_env = False
        yield opened


@pytest.mark.parametrize("name", [*Role, "narrowed", "tenant", "none"])
def test_answer_is_what_the_credential_allows(documented_api, credentials, session, subtests, name):
    """With each credential every answer is documented and no 5xx; what it does not allow is a 401 or a 403 at once."""
    credential = credentials[name]
    for operation in operations(documented_api):
        with subtests.test(operation.label):
            ask_at_random(operation, credential, session)


def ask_at_random(operation: schemathesis.APIOperation, credential: Credential, session: requests.Session) -> None:
    """Send what hypothesis makes of an operation's schemas with a credential, often with the id of a real job."""
    profile = hypothesis.settings.get_profile("fuzz")
    only = credential.refusals_of(ROUTES[operation.method.upper(), operation.path])
    # What is refused before it is read is the same whatever it is.
    most = 2 if only else max(2, profile.max_examples // ONE_IN)

    @hypothesis.settings(profile, max_examples=most)
    @hypothesis.given(operation.as_strategy(generation_mode=GenerationMode.POSITIVE), st.data())
    def asking(case, data):
        if "job_id" in case.path_parameters:
            case.path_parameters["job_id"] = data.draw(st.sampled_from(credential.job_ids))
        hurry(case)
        case.headers = {name: value for name, value in (case.headers or {}).items() if name.lower() != "authorization"}
        response = case.call(session=session, headers=credential.headers, timeout=60)
        case.validate_response(response, checks=CONFORMANCE)
        # A path that the router does not know has no right of its own.
        is_unrouted = response.status_code in {404, 405} and "job_id" not in case.path_parameters
        if only and not is_unrouted:
            assert response.status_code in only, response.status_code
        if not only and credential.scopes is not None:
            assert response.status_code != 401

    asking()
