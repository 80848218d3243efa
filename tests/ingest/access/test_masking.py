"""A request that asks for it gets masks in the place of secret values, from every route."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from ingest.access.conftest import Give, bearer
from ingest.serving import MSGPACK, Ingest, problem, unpacked
from msgspec import Struct

from millstream import App, DeadJob, Secret
from millstream_contracts import (
    DEFAULT_TENANT,
    MASK,
    BulkOperation,
    Job,
    JobId,
    JobState,
    JobType,
    MintedKey,
    NodeState,
    OperationSample,
    PayloadChange,
    Role,
    WorkflowId,
    WorkflowNode,
    WorkflowNodePage,
    WorkflowState,
    WorkflowStatus,
)
from millstream_history import RecentJobs
from millstream_ingest.access.masking import masked_answer, without_secret_values
from millstream_streams import Broker
from millstream_submission import KnownType, KnownTypes, TypeCatalogue
from millstream_telemetry import MetricRegistry

SECRET = "canary-4711"
MASKED = {"Millstream-Secrets": "masked"}
NOW = datetime(2026, 11, 28, tzinfo=UTC)


class Login(Struct):
    """A payload with a secret."""

    user: str
    password: Secret[str]


class Ticket(Struct):
    """A result with a secret."""

    id: int
    token: Secret[str]


app = App("shop")


@app.job("login")
async def log_in(login: Login) -> Ticket:
    """Log in."""
    return Ticket(1, login.password)


@app.job("plain")
async def do_plainly(payload: dict[str, str]) -> str:
    """Do what has no secret."""
    return payload["user"]


@app.job("mourn")
async def mourn(dead: DeadJob) -> None:
    """Take a dead letter."""


PAYLOAD = {"user": "ann", "password": SECRET}
SHOWN = {"user": "ann", "password": MASK}


@pytest.fixture
async def known(broker: Broker) -> KnownTypes:
    """Register the types of the app, and return them as ingest knows them."""
    await broker.registry.add_types(DEFAULT_TENANT, [one.registration() for one in app])
    return await TypeCatalogue(broker.registry, MetricRegistry()).of(DEFAULT_TENANT)


def builtins(value: Any) -> Any:
    """Return an answer as it is sent."""
    return msgspec.json.decode(msgspec.json.encode(value))


@pytest.mark.usefixtures("known")
async def test_no_masked_answer_has_a_secret(ingest: Ingest, admin: MintedKey) -> None:
    """Jobs, templates and schedules are told with masks to a request that asks for them, and plainly to others."""
    headers, job = bearer(admin), {"type": "login", "payload": PAYLOAD}
    stored = await ingest.http.post("/v1/jobs", json=job, headers={**headers, **MASKED})
    assert (stored.status_code, stored.json()["payload"]) == (202, SHOWN)
    for path, body in (("/v1/templates/t", job), ("/v1/schedules/s", {"cron": "0 0 1 1 *", "job": job})):
        made = await ingest.http.put(path, json=body, headers={**headers, **MASKED})
        assert made.status_code == 201, made.text
        assert SECRET not in made.text
    for path in (f"/v1/jobs/{stored.json()['id']}", "/v1/templates", "/v1/templates/t", "/v1/schedules/s"):
        for accept in ("application/json", MSGPACK):
            wanted = {"accept": accept, **headers}
            plain = await ingest.http.get(path, headers=wanted)
            shown = await ingest.http.get(path, headers={**wanted, **MASKED})
            assert SECRET.encode() in plain.content, path
            assert SECRET.encode() not in shown.content, path
            assert b"ann" in shown.content, path
            assert "Millstream-Secrets" in shown.headers["vary"]
    found = await ingest.http.get(f"/v1/jobs/{stored.json()['id']}", headers={"accept": MSGPACK, **headers, **MASKED})
    assert unpacked(found)["payload"] == SHOWN


@pytest.mark.usefixtures("known")
async def test_mask_changes_nothing_of_what_is_withheld(ingest: Ingest, admin: MintedKey, give: Give) -> None:
    """A principal that may read no payloads gets none, also masked."""
    stored = await ingest.http.post("/v1/jobs", json={"type": "login", "payload": PAYLOAD}, headers=bearer(admin))
    viewer = {**bearer(await give(Role.VIEWER)), **MASKED}
    found = await ingest.http.get(f"/v1/jobs/{stored.json()['id']}", headers=viewer)
    assert found.json().get("payload") is None


@pytest.mark.usefixtures("known")
async def test_mask_is_no_value_of_a_secret(ingest: Ingest, admin: MintedKey) -> None:
    """A payload that was read masked is refused, with the place, and would otherwise be stored so."""
    body = {"type": "login", "payload": SHOWN}
    for path, sent, pointer in (
        ("/v1/jobs", body, "/payload/password"),
        ("/v1/schedules/s", {"cron": "0 0 1 1 *", "job": body}, "/job/payload/password"),
    ):
        method = "POST" if path == "/v1/jobs" else "PUT"
        refused = await ingest.http.request(method, path, json=sent, headers=bearer(admin))
        assert problem(refused, 422, "invalid-request")["errors"][0]["pointer"] == pointer
    fine = {"type": "plain", "payload": {"user": MASK}}
    assert (await ingest.http.post("/v1/jobs", json=fine, headers=bearer(admin))).status_code == 202


@pytest.mark.usefixtures("known")
async def test_names_that_users_have_chosen_are_not_masked(ingest: Ingest, admin: MintedKey) -> None:
    """Tags, and nodes of a workflow, may have the names of fields with secrets, and are told as they are."""
    names = ["patch", "payload", "result", "samples"]
    headers = {**bearer(admin), **MASKED}
    job = {"type": "login", "payload": PAYLOAD, "tags": dict.fromkeys(names, "seen")}
    made = await ingest.http.put("/v1/templates/t", json=job, headers=headers)
    assert (made.status_code, made.json()["tags"]) == (201, job["tags"])
    workflow = {"name": "w", "nodes": {name: {"type": "login", "payload": PAYLOAD} for name in names}}
    accepted = await ingest.http.post("/v1/workflows", json=workflow, headers=headers)
    assert {one.partition("_")[0] for one in accepted.json()["nodes"].values()} == {"login"}


async def test_other_value_of_the_header_is_refused(ingest: Ingest, admin: MintedKey) -> None:
    """A request that wants something unknown of secrets is refused, in place of being answered plainly."""
    headers = {**bearer(admin), "Millstream-Secrets": "hidden"}
    refused = await ingest.http.get("/v1/types", headers=headers)
    assert problem(refused, 400, "bad-request")["errors"][0]["pointer"] == "Millstream-Secrets:"


async def test_marks_of_every_live_release_count(broker: Broker) -> None:
    """While a release that knows no secret and one that does are both live, both count."""
    bare = App("shop")

    @bare.job("login")
    async def log_in_plainly(login: dict[str, str]) -> None:
        """Log in."""

    for worker, one in (("old", app), ("new", bare)):
        registrations = [handler.registration(worker) for handler in one]
        await broker.registry.add_types(DEFAULT_TENANT, registrations, worker=worker, alive_for=timedelta(minutes=1))
    known = await TypeCatalogue(broker.registry, MetricRegistry()).of(DEFAULT_TENANT)
    shown = masked_answer(job_of("login", PAYLOAD), known)
    assert shown.payload == SHOWN


def job_of(job_type: str, payload: Any, result: Any = None) -> Job:
    """Return a job."""
    return Job(
        id=JobId("j"), type=JobType(job_type), state=JobState.SUCCEEDED, created_at=NOW, payload=payload, result=result
    )


async def test_results_and_jobs_in_payloads_are_masked(known: KnownTypes) -> None:
    """A result is masked by its own schema, and the payload of a dead job by that of the job that died."""
    shown = masked_answer(job_of("login", PAYLOAD, {"id": 1, "token": SECRET}), known)
    assert (shown.payload, shown.result) == (SHOWN, {"id": 1, "token": MASK})
    dead = {"id": "j", "type": "login", "reason": "attempts", "payload": PAYLOAD}
    assert masked_answer(job_of("mourn", dead), known).payload == {**dead, "payload": SHOWN}
    event = {"type": "millstream.job.succeeded", "data": {"type": "login", "result": {"token": SECRET}}}
    assert SECRET not in repr(masked_answer(job_of("webhook.call", {"body": event}), known))
    # The field of another type that only has the name.
    assert masked_answer(job_of("plain", PAYLOAD), known).payload == PAYLOAD


async def test_samples_of_a_patch_are_masked(known: KnownTypes) -> None:
    """A patch and what it would change are masked as the payloads that it is for."""
    samples = [
        OperationSample(
            "j",
            [
                PayloadChange(pointer="/password", kind="changed", before=SECRET, after=SECRET),
                PayloadChange(pointer="/user", kind="changed", before="ann", after="bob"),
                PayloadChange(pointer="", kind="changed", before=PAYLOAD, after=PAYLOAD),
            ],
        )
    ]
    operation = BulkOperation(
        id="o", kind="patch", state="pending", rate=1.0, created_at=NOW, updated_at=NOW,
        patch=PAYLOAD, samples=samples,
    )  # fmt: skip
    shown = masked_answer(operation, known)
    assert SECRET not in repr(shown)
    assert shown["patch"] == SHOWN
    assert [one["after"] for one in shown["samples"][0]["changes"]] == [MASK, "bob", SHOWN]


def flow_of(*types: str, counts: dict[NodeState, int] | None = None) -> WorkflowNodePage:
    """Return a workflow with a node of each type, and a result that has a secret."""
    nodes = [WorkflowNode(name=one, type=one, state=NodeState.SUCCEEDED) for one in types]
    status = WorkflowStatus(
        id=WorkflowId("w"), name="w", state=WorkflowState.SUCCEEDED, created_at=NOW, result={"all": SECRET},
        counts=counts or {NodeState.SUCCEEDED: len(types)},
    )  # fmt: skip
    return WorkflowNodePage(workflow=status, nodes=nodes)


async def test_result_of_a_workflow_is_masked_unless_no_node_has_a_secret(known: KnownTypes) -> None:
    """A workflow's result has parts of results of several types: it is masked as a whole where one has a secret."""
    assert masked_answer(flow_of("plain", "login"), known)["workflow"]["result"] == MASK
    assert builtins(masked_answer(flow_of("plain"), known))["workflow"]["result"] == {"all": SECRET}
    # Of a page of its nodes the other types are not known.
    assert masked_answer(flow_of("plain", counts={NodeState.SUCCEEDED: 2}), known)["workflow"]["result"] == MASK
    assert masked_answer(flow_of("plain").workflow, known)["result"] == MASK


async def test_schema_of_a_type_is_shown_as_it_is(ingest: Ingest, admin: MintedKey, broker: Broker) -> None:
    """Schemas have fields with the names of payloads and results, and are none."""
    odd = App("odd")

    class Odd(Struct):
        type: str
        result: str
        payload: Secret[str]

    @odd.job("odd")
    async def handle(payload: Odd) -> Odd:
        return payload

    await broker.registry.add_types(DEFAULT_TENANT, [one.registration() for one in odd])
    plain = await ingest.http.get("/v1/types", headers=bearer(admin))
    assert (await ingest.http.get("/v1/types", headers={**bearer(admin), **MASKED})).json() == plain.json()


@pytest.mark.usefixtures("known")
async def test_hints_have_no_secret_value(
    remembering: Ingest,
    admin: MintedKey,
    known: KnownTypes,
) -> None:
    """Hints name the field of a secret, and none of its values; where types cannot be read, no value of a payload."""
    seen = RecentJobs(1, {name: seen_of(value) for name, value in FACTS.items()}, {})
    shown = without_secret_values(seen, known)
    assert {name: list(one.values) for name, one in shown.fields.items()} == {
        "payload.user": ["ann"], "payload.password": [], 'payload."a.b"': [], "worker": ["w"],
    }  # fmt: skip
    unknown = without_secret_values(seen, None)
    assert [name for name, one in unknown.fields.items() if one.values] == ["worker"]
    answer = await remembering.http.get("/v1/jobs/search/hints", params={"q": "payload."}, headers=bearer(admin))
    assert answer.status_code == 200


FACTS = {"payload.user": "ann", "payload.password": SECRET, 'payload."a.b"': SECRET, "worker": "w"}


def seen_of(value: str) -> Any:
    """Return what was seen of a field with one value."""
    from millstream_history.search.hints.recent_jobs import Seen

    seen = Seen(1)
    seen.values[value] += 1
    return seen


def test_types_without_secrets_leave_answers_alone() -> None:
    """An answer is returned as it is where no type has a secret."""
    registration = app.handlers["plain"].registration()
    job = job_of("plain", PAYLOAD)
    assert masked_answer(job, {registration.type: KnownType(registration, None, "")}) is job
