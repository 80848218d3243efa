"""The OpenAPI document is complete, consistent, and agrees with the responses."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import jsonschema_rs
import msgspec
import pytest
from ingest.serving import JSON, MSGPACK, problem
from streams.seeds import seed_dead

from millstream import App
from millstream.handlers import HandlerSettings, builtin_app
from millstream_cli.demo import jobs as demo
from millstream_contracts import (
    DEFAULT_TENANT,
    PUBLISHED_NAME_PATTERN,
    RATE_PATTERN,
    SECRETS_HEADER,
    RunningJob,
    Submission,
    WorkerInfo,
)
from millstream_ingest.api.app import API_ROUTES, create_app
from millstream_ingest.api.descriptions import MODELS
from millstream_ingest.api.operation import SCHEDULE_NAME
from millstream_ingest.api.route import OPERATION_KEY, require_scopes
from millstream_ingest.api.schemas import schemas_of

ENCODE = {JSON: msgspec.json.encode, MSGPACK: msgspec.msgpack.encode}
PROBES = {"/health", "/livez", "/readyz"}
PAGES = {"/", "/docs", "/docs/assets/{file_path}", "/problems/{slug}"}
"""Pages for people, whose paths are in no document."""


@pytest.fixture
async def document(ingest):
    """Return the document as it is served."""
    return await ingest.get("/openapi.json")


def operations(document) -> dict[tuple[str, str], dict]:
    """Return every operation by path and method."""
    return {
        (path, method.upper()): operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }


async def test_every_route_and_method_stands_in_the_document(ingest, document):
    """Every route and method is in the document, except HEAD and OPTIONS, which follow from the others."""
    served = {
        (route.path_format, method)
        for route in create_app(ingest.services).routes
        for method in getattr(route, "methods", set())
        if method not in {"HEAD", "OPTIONS"} and route.path_format not in PAGES
    }
    assert set(operations(document)) == served
    assert ("/v1/jobs", "POST") in served


async def test_every_route_of_the_api_is_declared(ingest):
    """Every handler below /v1 carries its operation."""
    for route in create_app(ingest.services).routes:
        for handler in getattr(route, "route_handlers", ()):
            if handler.http_methods != {"OPTIONS"} and route.path_format.startswith("/v1"):
                assert OPERATION_KEY in handler.opt, route.path_format


async def test_operations_that_mask_secrets_name_the_header(document):
    """Each operation whose answer may have secrets has the header that masks them, and no other one has it."""
    naming = {
        place
        for place, operation in operations(document).items()
        if any(one["name"] == SECRETS_HEADER for one in operation.get("parameters", ()))
    }
    assert naming >= {
        ("/v1/jobs", "GET"),
        ("/v1/jobs", "POST"),
        ("/v1/jobs/{job_id}", "GET"),
        ("/v1/schedules/{schedule}", "PUT"),
        ("/v1/templates", "GET"),
        ("/v1/workflows/{workflow_id}", "GET"),
        ("/v1/operations", "POST"),
    }
    assert naming.isdisjoint({("/v1/queues", "GET"), ("/v1/keys", "POST"), ("/v1/types", "GET"), ("/health", "GET")})


async def test_document_has_what_openapi_requires(document):
    """The document has what OpenAPI requires: version, info, unique operation ids, descriptions and parameters."""
    assert re.fullmatch(r"3\.1\.\d+", document["openapi"])
    assert {"title", "version", "license"} <= document["info"].keys()
    found = operations(document)
    ids = [operation["operationId"] for operation in found.values()]
    assert len(ids) == len(set(ids))
    tags = {tag["name"] for tag in document["tags"]}
    for (path, _), operation in found.items():
        assert operation["summary"]
        assert set(operation["tags"]) <= tags
        assert operation["responses"]
        assert all(answer["description"] for answer in operation["responses"].values())
        in_path = {one["name"] for one in operation.get("parameters", []) if one["in"] == "path"}
        assert in_path == set(re.findall(r"\{(\w+)\}", path))


async def test_bodies_have_both_encodings(document):
    """Every request and response body is documented in JSON and MessagePack, streams apart."""
    for (path, method), operation in operations(document).items():
        bodies = [answer.get("content", {}) for status, answer in operation["responses"].items() if status < "400"]
        if "requestBody" in operation:
            bodies.append(operation["requestBody"]["content"])
        for content in bodies:
            if content and path not in {"/metrics", "/v1/events"}:
                assert {JSON, MSGPACK} <= content.keys(), (method, path)


async def test_every_refusal_is_a_problem_document(document):
    """Each status from 400 has the schema of a problem and an example of each kind; a probe that fails has its own."""
    for (path, _), operation in operations(document).items():
        assert ({"400", "500", "503"} if path.startswith("/v1/") else {"500"}) <= operation["responses"].keys()
        for status, answer in operation["responses"].items():
            if status < "400":
                continue
            if path in PROBES and status == "503":
                assert answer["content"][JSON]["schema"] == operation["responses"]["200"]["content"][JSON]["schema"]
                continue
            content = answer["content"]["application/problem+json"]
            assert content["schema"] == {"$ref": "#/components/schemas/Problem"}
            assert content["examples"]


async def test_references_lead_somewhere(document):
    """Every `$ref` names an existing component, and every component is used."""
    used = set(re.findall(r'"\$ref":"#/components/schemas/([^"]+)"', msgspec.json.encode(document).decode()))
    assert used <= document["components"]["schemas"].keys()


async def test_schemas_are_schemas(document):
    """All schemas are valid by JSON Schema 2020-12, the dialect of OpenAPI 3.1."""
    for name, schema in document["components"]["schemas"].items():
        whole = {**schema, "components": document["components"]}
        assert jsonschema_rs.validator_for(whole, offline=True), name


async def test_examples_are_valid_by_their_schemas(document):
    """Every example is valid by its schema."""
    checked = 0
    for content in contents(document):
        examples = [content["example"]] if "example" in content else []
        examples += [example["value"] for example in content.get("examples", {}).values()]
        for example in examples:
            schema = {**content["schema"], "components": document["components"]}
            jsonschema_rs.validator_for(schema, offline=True).validate(example)
            checked += 1
    assert checked > 30


def contents(node) -> list[dict]:
    """Return every object of the document with a schema and an example."""
    if isinstance(node, dict):
        own = [node] if "schema" in node and ({"example", "examples"} & node.keys()) else []
        return own + [found for child in node.values() for found in contents(child)]
    return [found for child in node for found in contents(child)] if isinstance(node, list) else []


async def test_examples_of_requests_work_on_the_system_as_it_comes(ingest, broker, document):
    """Each job that an example submits is of a type that `make up` runs, with a payload that its handler takes."""
    apps: list[App[Any]] = [builtin_app(HandlerSettings()), demo.app]
    registrations = [handler.registration() for app in apps for handler in app]
    await broker.registry.add_types(DEFAULT_TENANT, registrations)
    bodies = {path: operation["requestBody"]["content"] for (path, _), operation in operations(document).items()
              if "requestBody" in operation}  # fmt: skip
    assert len(bodies["/v1/jobs"][JSON]["examples"]) > 2
    # Endpoints and operations need a history, schedules and templates a name, signals a job, reruns a workflow, members
    # a batch, limits a queue, priorities a job, rotations, limits and sessions a key, tenants a name: tests of their
    # own have their examples.
    own = (
        "/webhooks",
        "/schedules",
        "/templates",
        "/v1/operations",
        "/signals",
        "/rerun",
        "{key_id}",
        "/sessions",
        "/tenants",
        "{batch_id}",
        "/limits",
        "/priority",
    )
    without = [path for path in bodies if not any(part in path for part in own)]
    for path, content in ((path, bodies[path]) for path in without):
        for media_type, media in content.items():
            for name, example in media.get("examples", {}).items():
                value = example["value"]
                body = value.encode() if media_type == "application/x-ndjson" else ENCODE[media_type](value)
                headers = {"content-type": media_type, "accept": JSON}
                response = await ingest.http.post(path, content=body, headers=headers)
                assert response.status_code < 300, (name, response.text)
                assert response.json().get("rejected", 0) == 0, (name, response.text)


async def test_examples_of_parameters_work_on_the_system_as_it_comes(broker, document):
    """A job type that stands as the example of a parameter is one that `make up` runs."""
    known = {handler.registration().type for app in (builtin_app(HandlerSettings()), demo.app) for handler in app}
    shown = {
        parameter["example"]
        for operation in operations(document).values()
        for parameter in operation.get("parameters", [])
        if parameter["name"] in {"type", "job_type"} and "example" in parameter
    }
    assert shown
    assert shown <= known


async def test_answers_are_valid_by_their_schemas(ingest, broker, queue, document, registered):
    """Each answer is valid by the schema that the document has for it."""
    await seed_dead(broker, queue)
    now = datetime.now(UTC)
    running = [RunningJob("email.send_0001JD3YQ8Z7M4T6V0RXKBN5C2WA", now)]
    worker = WorkerInfo(name="w", types=["a"], concurrency=1, running=running, started_at=now, seen_at=now)
    await broker.registry.beat(worker)
    job = await ingest.submit(payload={"to": "a"})
    for path in ("/v1/jobs", "/v1/dead", "/v1/queues", "/v1/types", "/v1/workers", "/health", "/livez"):
        answer = await ingest.get(path)
        fits(document, path, "get", answer)
        assert answer.get("items", True), f"{path} has nothing that could be checked"
    fits(document, "/v1/jobs/{job_id}", "get", await ingest.get(f"/v1/jobs/{job['id']}"))
    refusal = problem(await ingest.http.post("/v1/jobs", json={"typ": 1}), 422, "invalid-request")
    fits(document, "/v1/jobs", "post", refusal, "422", "application/problem+json")


def fits(document, path, method, value, status="200", media_type=JSON) -> None:
    """Check a response by the schema of the document."""
    schema = document["paths"][path][method]["responses"][status]["content"][media_type]["schema"]
    jsonschema_rs.validator_for({**schema, "components": document["components"]}, offline=True).validate(value)


def test_submission_has_the_fields_that_are_decoded():
    """The described shape is that of the type that reads requests."""
    _, components = schemas_of([Submission])
    names = [field.name for field in msgspec.structs.fields(Submission)]
    # A template fills a submission up before it is decoded.
    assert list(components["Submission"]["properties"]) == [*names, "template"]
    assert components["Submission"]["required"] == ["type"]
    assert components["Submission"]["additionalProperties"] is False


async def test_every_object_and_field_is_described(document):
    """Each component and each of its fields has a sentence, and no sentence is of a field that is gone."""
    components = document["components"]["schemas"]
    assert components.keys() == MODELS.keys()
    for name, schema in components.items():
        assert schema["description"] == MODELS[name].text
        fields = schema.get("properties", {})
        assert fields.keys() == MODELS[name].fields.keys(), name
        assert all(field["description"] for field in fields.values())


def schemas_in(node: Any, place: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every schema of a document with its place."""
    if isinstance(node, list):
        for number, child in enumerate(node):
            yield from schemas_in(child, f"{place}/{number}")
    elif isinstance(node, dict):
        # A field may be named like a keyword.
        if {"type", "enum", "anyOf", "$ref"} & node.keys() and not place.endswith("/properties"):
            yield place, node
        for name, child in node.items():
            if name not in {"examples", "example", "securitySchemes"}:
                yield from schemas_in(child, f"{place}/{name}")


async def test_schemas_are_those_that_generators_read_alike(document):
    """No default makes a field required, enumerations have a type, numbers a format, and only objects are in unions."""
    for place, schema in schemas_in(document):
        if place.startswith("/components/schemas/"):
            assert "default" not in schema, place
            assert "title" not in schema, place
        if "enum" in schema:
            assert schema["type"] in ("string", ["string", "null"]), place
        if "integer" in schema.get("type", ()):
            assert schema["format"] == "int64", place
        if "number" in schema.get("type", ()):
            assert schema["format"] == "double", place
        if schema.get("type") == "object":
            assert {"properties", "additionalProperties"} & schema.keys(), place
        if place.endswith(("_at", "/run_at")):
            assert schema["format"] == "date-time", place
        if "anyOf" in schema:
            assert [set(member) for member in schema["anyOf"]] == [{"$ref"}, {"type"}], place
        assert "exclusiveMinimum" not in schema, place


async def test_patterns_are_read_by_every_engine(document):
    """No pattern looks ahead: RE2 and the engine of Rust, which many clients check with, cannot."""
    patterns = {schema["pattern"] for _, schema in schemas_in(document) if "pattern" in schema}
    # RFC 7636 has the same form for what a client keeps to itself.
    nonce_secret = "^[A-Za-z0-9_-]{43,128}$"
    node_name = "^[a-zA-Z0-9][a-zA-Z0-9._-]{0,63}$"
    narrowing = {r"^[0-9A-Fa-f.:]+(/\d{1,3})?$", "^[a-z0-9*][a-z0-9.*-]{0,63}$"}
    known = narrowing | {
        PUBLISHED_NAME_PATTERN,
        "^[a-z0-9.*?-]{1,64}$",
        SCHEDULE_NAME["pattern"],
        node_name,
        RATE_PATTERN,
        nonce_secret,
    }
    assert patterns == known
    assert not any("(?" in pattern for pattern in patterns)
    schema = {"pattern": PUBLISHED_NAME_PATTERN}
    checks = jsonschema_rs.validator_for(schema, pattern_options=jsonschema_rs.RegexOptions())
    assert checks.is_valid("email.send")
    assert not checks.is_valid("email.send\n")


async def test_what_is_always_sent_is_required(document):
    """A field that is never left out of an answer is required, so that clients need not ask whether it is there."""
    components = document["components"]["schemas"]
    job = components["Job"]
    assert set(job["required"]) == set(job["properties"])
    assert job["properties"]["finished_at"]["type"] == ["string", "null"]
    problem_schema = components["Problem"]
    assert set(problem_schema["required"]) == {"type", "title", "status", "detail"}
    # What is left out is never null.
    assert components["BatchItem"]["properties"]["id"]["type"] == "string"


async def test_each_operation_names_the_scope_that_its_route_declares(ingest, document):
    """A public operation takes no credentials; every other names its scope, and for now runs without any too.

    One that is open for what is one's own names the scope beside by which that is one's own, and says so.
    """
    scopes = require_scopes(create_app(ingest.services).routes)
    own = {(route.path, method) for route in API_ROUTES if route.own for method in route.methods}
    for place, operation in operations(document).items():
        named = [scopes[place], *(["jobs:submit"] if place in own else [])]
        expected = [] if scopes[place] == "public" else [{}, *({"bearer": [scope]} for scope in named)]
        assert operation["security"] == expected, place
        assert ("has submitted" in operation.get("description", "")) >= (place in own), place
