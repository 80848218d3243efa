"""The OpenAPI document is complete, consistent, and agrees with the responses."""

import re

import jsonschema_rs
import msgspec
import pytest
from ingest.serving import JSON, MSGPACK, problem

import millstream_contracts
from millstream_contracts import Submission
from millstream_ingest.api.app import create_app
from millstream_ingest.api.route import OPERATION_KEY
from millstream_ingest.api.schemas import FIELD_DESCRIPTIONS, schemas_of

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
    """Every request and response body is documented in JSON and MessagePack."""
    for (path, method), operation in operations(document).items():
        bodies = [answer.get("content", {}) for status, answer in operation["responses"].items() if status < "400"]
        if "requestBody" in operation:
            bodies.append(operation["requestBody"]["content"])
        for content in bodies:
            if content and path != "/metrics":
                assert {JSON, MSGPACK} <= content.keys(), (method, path)


async def test_every_refusal_is_a_problem_document(document):
    """Each status from 400 has the schema of a problem and an example of each of its kinds."""
    for operation in operations(document).values():
        assert {"400", "500", "503"} <= operation["responses"].keys()
        for status, answer in operation["responses"].items():
            if status >= "400" and "application/json" not in answer["content"]:
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


async def test_example_of_a_submission_is_accepted(ingest, document):
    """The example of a submission is accepted by ingest."""
    body = document["paths"]["/v1/jobs"]["post"]["requestBody"]["content"][JSON]["example"]
    assert (await ingest.http.post("/v1/jobs", json=body)).status_code == 202
    batch = document["paths"]["/v1/jobs/batch"]["post"]["requestBody"]["content"][JSON]["example"]
    assert (await ingest.http.post("/v1/jobs/batch", json=batch)).json()["rejected"] == 0


async def test_answers_are_valid_by_their_schemas(ingest, document, registered):
    """Real responses are valid by the documented schemas."""
    job = await ingest.submit(payload={"to": "a"})
    for path in ("/v1/jobs", "/v1/dead", "/v1/queues", "/v1/types", "/v1/workers", "/health", "/livez"):
        fits(document, path, "get", await ingest.get(path))
    fits(document, "/v1/jobs/{job_id}", "get", await ingest.get(f"/v1/jobs/{job['id']}"))
    refusal = problem(await ingest.http.post("/v1/jobs", json={"typ": 1}), 422, "invalid-request")
    fits(document, "/v1/jobs", "post", refusal, "422", "application/problem+json")


def fits(document, path, method, value, status="200", media_type=JSON) -> None:
    """Check a response by the schema of the document."""
    schema = document["paths"][path][method]["responses"][status]["content"][media_type]["schema"]
    jsonschema_rs.validator_for({**schema, "components": document["components"]}, offline=True).validate(value)


def test_submission_has_the_fields_that_are_decoded():
    """The documented submission has the fields of the type that decodes it, each with a description."""
    _, components = schemas_of([Submission])
    names = [field.name for field in msgspec.structs.fields(Submission)]
    assert list(components["Submission"]["properties"]) == names
    assert list(FIELD_DESCRIPTIONS["Submission"]) == names
    assert components["Submission"]["required"] == ["type"]
    assert components["Submission"]["additionalProperties"] is False


def test_descriptions_are_of_fields_that_exist():
    """Every description is of an existing field."""
    for name, descriptions in FIELD_DESCRIPTIONS.items():
        fields = {field.name for field in msgspec.structs.fields(getattr(millstream_contracts, name))}
        assert descriptions.keys() <= fields
