"""Operations are asked for and steered over HTTP; dispatchers carry them out."""

from collections.abc import AsyncIterator

import msgspec
import pytest
from history_databases import execute
from ingest.serving import Ingest, remembering_ingest

from millstream_ingest.api.routes.examples import NEW_OPERATIONS
from millstream_ingest.settings import IngestSettings
from millstream_streams import Broker


@pytest.fixture
async def remembering(settings: IngestSettings, broker: Broker, history_url: str) -> AsyncIterator[Ingest]:
    """Yield an ingest with a history."""
    async with remembering_ingest(settings, history_url) as running:
        yield running


async def test_an_operation_is_stored_read_and_listed(remembering: Ingest) -> None:
    """What is asked for is answered with 202 and its address, and listed with the newest first."""
    made = await remembering.http.post("/v1/operations", json={"kind": "redrive", "q": "type:a.b since:1d", "rate": 5})
    assert made.status_code == 202, made.text
    first = made.json()
    assert (first["state"], first["q"], first["rate"], first["jobs"]) == ("pending", "type:a.b since:1d", 5.0, None)
    assert await remembering.get(made.headers["location"]) == first
    second = (await remembering.http.post("/v1/operations", json={"kind": "discard", "ids": ["x"]})).json()
    assert (second["jobs"], second["eta_s"]) == (1, 0.0)
    page = await remembering.get("/v1/operations", limit=1)
    assert [one["id"] for one in page["items"]] == [second["id"]]
    page = await remembering.get("/v1/operations", limit=1, cursor=page["next_cursor"])
    assert [one["id"] for one in page["items"]] == [first["id"]]


async def test_an_operation_is_paused_resumed_and_cancelled(remembering: Ingest) -> None:
    """Each order answers with the operation as it is then; one that does not fit its state is refused."""
    made = (await remembering.http.post("/v1/operations", json={"kind": "redrive", "ids": ["x"]})).json()
    place = f"/v1/operations/{made['id']}"
    seen = []
    for verb in ("pause", "pause", "resume", "resume", "cancel", "cancel", "resume"):
        response = await remembering.http.post(f"{place}/{verb}")
        seen.append((response.status_code, response.json().get("state")))
    refused = (409, None)
    assert seen == [(200, "paused"), refused, (200, "pending"), refused, (200, "cancelled"), refused, refused]


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"kind": "redrive"}, "expected one of `q`, `ids` and `group`"),
        ({"kind": "redrive", "q": "", "ids": ["x"]}, "expected one of `q`, `ids` and `group`"),
        ({"kind": "discard", "q": "", "canary": {}}, "only what runs jobs again can be tried out"),
        ({"kind": "explode", "q": ""}, "/kind"),
        ({"kind": "export", "q": "", "dry_run": True}, "an export changes nothing"),
        ({"kind": "export", "ids": ["x"] * 2_001}, "2,000 ids at most"),
        ({"kind": "redrive", "q": "", "export": {}}, "belongs to operations of the kind `export` alone"),
        ({"kind": "erase", "q": " "}, "which means every job"),
        ({"kind": "cancel", "q": ""}, "which means every job"),
        ({"kind": "run-now", "q": ""}, "which means every job"),
        ({"kind": "priority", "ids": ["x"]}, "an operation of the kind `priority` needs one"),
        ({"kind": "cancel", "ids": ["x"], "priority": "low"}, "belongs to operations of the kind `priority` alone"),
        ({"kind": "priority", "ids": ["x"], "priority": "urgent"}, "/priority"),
        (
            {"kind": "cancel", "group": {"type": "a", "fingerprint": "f"}},
            "about jobs that have not settled",
        ),
        ({"kind": "cancel", "q": "type:a", "canary": {}}, "only what runs jobs again can be tried out"),
        ({"kind": "patch", "q": ""}, "/patch: missing"),
        ({"kind": "patch", "q": "", "patch": [1]}, "/patch"),
        ({"kind": "patch", "q": "", "patch": {"a": "\0"}}, "/patch/a: contains the character NUL"),
        ({"kind": "redrive", "q": "", "patch": {}}, "belongs to operations of the kind `patch` alone"),
        ({"kind": "redrive", "q": "", "rate": 0}, "/rate"),
        ({"kind": "redrive", "q": "nonsense:1"}, "nonsense"),
        ({"kind": "redrive", "ids": []}, "/ids"),
    ],
)
async def test_what_cannot_be_carried_out_is_refused(remembering: Ingest, body, says) -> None:
    """A wrong operation is refused with the field that is wrong, and nothing is stored."""
    refused = await remembering.http.post("/v1/operations", json=body)
    assert refused.status_code == 422
    assert says in refused.text
    assert (await remembering.get("/v1/operations"))["items"] == []


@pytest.mark.parametrize("name", NEW_OPERATIONS)
async def test_the_examples_of_the_document_work(remembering: Ingest, name: str) -> None:
    """Each example of an operation is accepted as it stands in the API document."""
    made = await remembering.http.post("/v1/operations", json=msgspec.to_builtins(NEW_OPERATIONS[name].value))
    assert made.status_code == 202, made.text


async def test_without_a_history_there_are_no_operations(ingest: Ingest) -> None:
    """Without a database the refusal says what is missing; an unknown operation is a 404."""
    for response in (
        await ingest.http.get("/v1/operations"),
        await ingest.http.post("/v1/operations", json={"kind": "redrive", "q": ""}),
    ):
        assert (response.status_code, response.json()["type"]) == (422, "/problems/no-history")


async def test_an_unknown_operation_is_not_found(remembering: Ingest) -> None:
    """Reading or steering what there is not is a 404."""
    assert (await remembering.http.get("/v1/operations/op_1")).status_code == 404
    assert (await remembering.http.post("/v1/operations/op_1/pause")).status_code == 404


async def test_an_export_is_not_paused_and_its_job_ends_with_it(
    remembering: Ingest, broker: Broker, history_url: str
) -> None:
    """An export is one job: it cannot be paused, and a person who cancels the operation cancels the job."""
    made = (await remembering.http.post("/v1/operations", json={"kind": "export", "q": ""})).json()
    refused = await remembering.http.post(f"/v1/operations/{made['id']}/pause")
    assert (refused.status_code, "cannot be paused" in refused.text) == (409, True)
    job = await remembering.submit()
    await execute(history_url, f"UPDATE operations SET job_id = '{job['id']}'")
    cancelled = await remembering.http.post(f"/v1/operations/{made['id']}/cancel")
    assert (cancelled.json()["state"], cancelled.json()["job_id"]) == ("cancelled", job["id"])
    assert (await remembering.get(f"/v1/jobs/{job['id']}"))["state"] == "cancelled"
