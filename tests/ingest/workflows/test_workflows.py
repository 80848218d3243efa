"""Workflows over HTTP: what is submitted is stored and shown, and what breaks a rule is refused by its place."""

from collections.abc import Mapping
from typing import Any

import msgspec
import pytest
from ingest.serving import MSGPACK, Ingest

from millstream_contracts import (
    DEFAULT_TENANT,
    JobId,
    NodeState,
    TypePolicy,
    TypeRegistration,
    WorkflowState,
    limits,
    queue_of,
)
from millstream_contracts.ids import JobType
from millstream_ingest.api.routes import workflow_examples as examples
from millstream_streams import Broker, FlowNews
from millstream_workflows import compose

PATH = "/v1/workflows"
NODES: dict[str, Any] = {
    "list": {"type": "album.list", "payload": {"album": 7}},
    "thumb": {
        "type": "image.resize",
        "map": {"$result": "list", "path": "/images"},
        "payload": {"image": {"$item": ""}, "width": 200},
        "max_failures": 3,
    },
    "index": {
        "type": "album.index",
        "payload": {"thumbs": {"$result": "thumb", "default": []}},
        "after": ["list"],
        "after_failure": "run",
    },
}
THUMBNAILS: dict[str, Any] = {"name": "thumbnails", "nodes": NODES, "result": {"$result": "index"}}


async def submit(ingest: Ingest, body: Any = None, key: str = "", status: int = 202) -> dict[str, Any]:
    """Submit a workflow; return the answer."""
    headers = {"idempotency-key": key} if key else {}
    response = await ingest.http.post(PATH, json=THUMBNAILS if body is None else body, headers=headers)
    assert response.status_code == status, response.text
    return response.json()


async def refused(ingest: Ingest, nodes: Mapping[str, Any], **fields: Any) -> dict[str, str]:
    """Submit nodes that have to be refused; return what is wrong by its place."""
    answer = await submit(ingest, {"name": "a", "nodes": nodes, **fields}, status=422)
    return {error["pointer"]: error["detail"] for error in answer["errors"]}


async def test_what_is_submitted_is_shown(ingest: Ingest) -> None:
    """A workflow is accepted with the ids of its jobs, and shown with its nodes in the order of the submission."""
    response = await ingest.http.post(PATH, json={**THUMBNAILS, "on_failure": "cancel", "retention_s": 7200})
    assert response.status_code == 202, response.text
    accepted = response.json()
    assert response.headers["location"] == f"{PATH}/{accepted['id']}"
    assert accepted["counts"] == {"starting": 1, "waiting": 2}
    assert list(accepted["nodes"]) == ["list", "index"]
    found = await ingest.get(f"{PATH}/{accepted['id']}")
    workflow = found["workflow"]
    assert (
        workflow["name"],
        workflow["state"],
        workflow["counts"],
        workflow["on_failure"],
        workflow["retention_s"],
    ) == (
        "thumbnails",
        "running",
        {"starting": 1, "waiting": 2},
        "cancel",
        7200,
    )
    assert [(node["name"], node["type"], node["state"], node.get("after", [])) for node in found["nodes"]] == [
        ("list", "album.list", "starting", []),
        ("thumb", "image.resize", "waiting", ["list"]),
        ("index", "album.index", "waiting", ["list", "thumb"]),
    ]
    assert "items" in found["nodes"][1]
    assert "next_cursor" in found


async def test_inputs_are_shown_on_request(ingest: Ingest, broker: Broker) -> None:
    """With `results=1` a node tells whose results it takes and how large each is, and nothing of what is in them."""
    path = f"{PATH}/{(await submit(ingest))['id']}"
    assert all("inputs" not in node for node in (await ingest.get(path))["nodes"])
    assert [node["inputs"] for node in (await ingest.get(path, results=1))["nodes"]] == [
        [],
        [{"node": "list", "result_bytes": None}],
        [{"node": "thumb", "result_bytes": None}],
    ]
    result = msgspec.msgpack.encode({"images": ["secret"]})
    [shard] = await broker.workflows.shards()
    news = FlowNews(path.rpartition("/")[2], "0", 1, JobId(""), "succeeded", "7", result)
    await broker.workflows.note(shard, [news])
    found = await ingest.get(path, results=1)
    assert found["nodes"][1]["inputs"] == [{"node": "list", "result_bytes": len(result)}]
    assert "secret" not in str(found)
    assert (await ingest.http.get(path, params={"results": "yes"})).status_code == 400


async def test_nodes_are_stored_as_their_dispatcher_needs_them(ingest: Ingest, broker: Broker) -> None:
    """What is stored of a node makes its submission: type, payload and options, with results in place of references."""
    nodes = {
        "one": {"type": "a"},
        "two": {"type": "b", "payload": [{"$result": "one"}], "max_attempts": 3, "tags": {"x": "y"}},
    }
    await submit(ingest, {"name": "a", "nodes": nodes})
    [shard] = await broker.workflows.shards()
    [task] = (await broker.workflows.take_starts(shard, 10)).tasks
    assert (task.node, msgspec.msgpack.decode(compose(task.blueprint, {}))) == ("0", {"type": "a", "payload": None})


async def test_msgpack_is_taken_too(ingest: Ingest) -> None:
    """A workflow may be submitted as MessagePack, and with one key it is the same request as in JSON."""
    first = await submit(ingest, key="k")
    response = await ingest.http.post(
        PATH,
        content=msgspec.msgpack.encode(THUMBNAILS),
        headers={"content-type": MSGPACK, "idempotency-key": "k", "accept": "application/json"},
    )
    assert (response.status_code, response.headers.get("idempotency-replayed")) == (202, "true")
    assert response.json()["id"] == first["id"]


async def test_a_key_makes_one_workflow(ingest: Ingest) -> None:
    """A repetition returns the same workflow with the same jobs, also laid out otherwise; another body is refused."""
    first = await submit(ingest, key="k")
    other_order = {"result": THUMBNAILS["result"], "nodes": NODES, "name": "thumbnails"}
    assert await submit(ingest, other_order, key="k") == first
    assert (await submit(ingest, {**THUMBNAILS, "name": "other"}, key="k", status=422))["type"].endswith("reused")
    assert (await submit(ingest, key="l"))["id"] != first["id"]
    assert len((await ingest.get(PATH))["items"]) == 2


@pytest.mark.parametrize(
    ("nodes", "pointers"),
    [
        ({"a": {"type": "a", "after": ["b"]}}, ["/nodes/a/after/0"]),
        ({"a": {"type": "a", "after": ["b"]}, "b": {"type": "a", "payload": {"$result": "a"}}}, ["/nodes/a"]),
        ({"a": {"type": "a b"}, "b": {"typ": "a"}}, ["/nodes/a/type", "/nodes/b/typ"]),
        ({"a": {}}, ["/nodes/a/type"]),
        ({"a": {"type": "a", "run_at": "2027-01-01T00:00:00Z"}}, ["/nodes/a/run_at"]),
        ({"a": {"type": "a", "delay_s": 9, "expires_in_s": 5}}, ["/nodes/a/expires_in_s"]),
        ({"a": {"type": "a", "tags": {"x": "\0"}}}, ["/nodes/a/tags"]),
        ({"a": {"type": "a", "payload": {"deep": ["\0"]}}}, ["/nodes/a/payload/deep/0"]),
        ({"a": {"type": "a", "payload": 10**30}}, ["/nodes/a/payload"]),
        ({"a": {"type": "a", "payload": {"$item": ""}}}, ["/nodes/a/payload"]),
        ({"a": {"type": "a", "map": [1]}}, ["/nodes/a/map"]),
        ({"a": {"type": "a", "after_failure": "go"}}, ["/nodes/a/after_failure"]),
        ({"a b": {"type": "a"}}, ["/nodes"]),
        ({}, ["/nodes"]),
    ],
)
async def test_what_breaks_a_rule_is_refused_by_its_place(
    ingest: Ingest, nodes: dict[str, Any], pointers: list[str]
) -> None:
    """A graph that cannot be run, and a node that keeps no rule of a submission, are named; nothing is stored."""
    assert list(await refused(ingest, nodes)) == pointers
    assert (await ingest.get(PATH))["items"] == []


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"on_failure": "stop"}, "/on_failure"),
        ({"retention_s": 5}, "/retention_s"),
        ({"name": "A"}, "/name"),
        ({"result": {"$result": "b"}}, "/result/$result"),
        ({"result": "\0"}, "/result"),
        ({"on_failre": "wait"}, "/on_failre"),
    ],
)
async def test_the_fields_of_the_whole_are_checked(ingest: Ingest, fields: dict[str, Any], pointer: str) -> None:
    """What is said of the workflow as a whole is refused by its field."""
    answer = await submit(ingest, {"name": "a", "nodes": {"a": {"type": "a"}}, **fields}, status=422)
    assert [error["pointer"] for error in answer["errors"]] == [pointer]


async def test_a_body_that_is_none_is_refused(ingest: Ingest) -> None:
    """Bytes that are no JSON, and a body that is too large, are refused as for a job."""
    json = {"content-type": "application/json"}
    assert (await ingest.http.post(PATH, content=b'{"name": "a", "nodes"', headers=json)).status_code == 400
    large = b'{"name": "a", "nodes": {"a": {"type": "' + b"a" * limits.MAX_WORKFLOW_BODY_BYTES + b'"}}}'
    assert (await ingest.http.post(PATH, content=large, headers=json)).status_code == 413
    payload = {"a": {"type": "a", "payload": "x" * (limits.MAX_PAYLOAD_BYTES + 1)}}
    assert (await ingest.http.post(PATH, json={"name": "a", "nodes": payload})).status_code == 413


async def test_nodes_keep_the_rules_of_their_types(ingest: Ingest, registered: TypeRegistration) -> None:
    """A type has to be known and a payload to fit its schema; one with references is checked once it is made."""
    found = await refused(
        ingest,
        {
            "bad": {"type": "email.send", "payload": {"copies": -1}},
            "unknown": {"type": "email.sned"},
            "good": {"type": "email.send", "payload": {"to": "a@b"}},
        },
    )
    assert set(found) == {"/nodes/bad/payload/to", "/nodes/bad/payload/copies", "/nodes/unknown/type"}
    assert "did you mean `email.send`" in found["/nodes/unknown/type"]
    await submit(
        ingest,
        {
            "name": "a",
            "nodes": {
                "good": {"type": "email.send", "payload": {"to": "a@b"}},
                "late": {"type": "email.send", "payload": {"to": {"$result": "good"}}},
            },
        },
    )


async def test_the_jobs_of_a_type_with_partitions_are_spread(ingest: Ingest, broker: Broker) -> None:
    """Each node has a partition of its type, decided on at the submission."""
    spread = TypeRegistration(type=JobType("wide"), policy=TypePolicy(partitions=8))
    await broker.registry.add_types(DEFAULT_TENANT, [spread])
    accepted = await submit(ingest, {"name": "a", "nodes": {f"n{at}": {"type": "wide"} for at in range(64)}})
    queues = {queue_of(DEFAULT_TENANT, job_id) for job_id in accepted["nodes"].values()}
    assert len(queues) == 8


async def test_nodes_come_page_by_page(ingest: Ingest) -> None:
    """A large graph is read in pages, each with a link to the next, and by the states of nodes."""
    nodes = {f"n{at}": {"type": "a", "after": ["n0"] if at else []} for at in range(1200)}
    path = f"{PATH}/{(await submit(ingest, {'name': 'a', 'nodes': nodes}))['id']}"
    names: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = await ingest.get(path, limit=500, cursor=cursor)
        names += [node["name"] for node in page["nodes"]]
        cursor = page["next_cursor"]
    assert names == list(nodes)
    assert [node["name"] for node in (await ingest.get(path, nodes="starting"))["nodes"]] == ["n0"]
    assert (await ingest.get(path, nodes="failed"))["nodes"] == []
    assert (await ingest.http.get(f"{path}?nodes=done")).status_code == 400
    assert (await ingest.http.get(f"{path}?cursor=eA")).status_code == 400


async def test_workflows_are_listed_newest_first(ingest: Ingest) -> None:
    """A list has all of them, those of a state, and pages."""
    ids = [(await submit(ingest))["id"] for _ in range(3)]
    first = await ingest.get(PATH, limit=2)
    second = await ingest.get(PATH, limit=2, cursor=first["next_cursor"])
    assert [one["id"] for one in [*first["items"], *second["items"]]] == ids[::-1]
    await ingest.http.post(f"{PATH}/{ids[1]}/cancel")
    assert ids[1] not in [one["id"] for one in (await ingest.get(PATH, state="running"))["items"]]
    assert (await ingest.http.get(f"{PATH}?state=going")).status_code == 400
    assert (await ingest.http.get(f"{PATH}?cursor=eA")).status_code == 400


async def test_a_workflow_is_cancelled_once(ingest: Ingest) -> None:
    """A cancellation is answered with where the workflow is, and asking for it again changes nothing."""
    path = f"{PATH}/{(await submit(ingest))['id']}"
    for _ in range(2):
        response = await ingest.http.post(f"{path}/cancel")
        assert response.status_code == 200, response.text
        assert response.json()["state"] in {"cancelling", "cancelled"}


@pytest.mark.parametrize("workflow_id", ["WF_000001KBCSZ4000ABCDEFGHJKMNP", "email.send_1", "%00", "x" * 300])
async def test_a_workflow_that_is_not_there_is_told(ingest: Ingest, workflow_id: str) -> None:
    """Whatever is asked for is 404 for an id of none."""
    responses = [
        await ingest.http.get(f"{PATH}/{workflow_id}"),
        await ingest.http.post(f"{PATH}/{workflow_id}/cancel"),
        await ingest.http.post(f"{PATH}/{workflow_id}/rerun", json={"failed": True}),
    ]
    assert [response.status_code for response in responses] == [404] * 3
    assert all(response.json()["type"].endswith("workflow-not-found") for response in responses)


async def test_a_rerun_names_nodes_or_those_that_failed(ingest: Ingest) -> None:
    """Neither, both, and a node that is not there are refused; so is a node that is starting."""
    path = f"{PATH}/{(await submit(ingest))['id']}/rerun"
    for body in ({}, {"failed": True, "from": ["list"]}, {"from": []}):
        assert (await ingest.http.post(path, json=body)).status_code == 422
    response = await ingest.http.post(path, json={"from": ["list", "thum"]})
    assert [(error["pointer"], error["detail"]) for error in response.json()["errors"]] == [
        ("/from/1", "there is no node `thum`; did you mean `thumb`?")
    ]
    assert (await ingest.http.post(path, json={"from": ["list"]})).status_code == 409


@pytest.mark.parametrize("name", list(examples.SUBMISSIONS))
async def test_the_examples_of_the_document_are_accepted(ingest: Ingest, name: str) -> None:
    """What the document shows can be sent as it is."""
    await submit(ingest, examples.SUBMISSIONS[name].value)
    assert WorkflowState.RUNNING == "running"
    assert NodeState.STARTING == "starting"
