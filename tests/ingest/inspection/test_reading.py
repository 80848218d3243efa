"""Clients read jobs and lists over HTTP."""

from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest
from ingest.serving import MSGPACK, problem, unpacked
from streams.seeds import commit, lease, seed, seed_dead, seed_running, take_one

from millstream_contracts import DEFAULT_TENANT, JobType, Progress, Queue, Succeeded

STATES = ["running", "queued", "scheduled", "dead"]


async def seed_states(broker, queue) -> dict[str, str]:
    """Store one job per state that is listed; return their ids by state."""
    dead = await seed_dead(broker, queue)
    running = (await seed_running(broker, queue)).id
    (queued,) = await seed(broker, queue)
    (scheduled,) = await seed(broker, queue, delay_ms=3_600_000)
    await broker.registry.add_queues([queue])
    return {"dead": dead, "running": running, "queued": queued, "scheduled": scheduled}


async def test_unchanged_job_is_answered_304(ingest, broker, queue):
    """An unchanged job is answered with 304."""
    job = await ingest.submit()
    path = f"/v1/jobs/{job['id']}"
    etag = (await ingest.http.get(path)).headers["etag"]
    for known in (etag, f'"x", W/{etag}', "*"):
        response = await ingest.http.get(path, headers={"if-none-match": known})
        assert (response.status_code, response.content) == (304, b"")
        assert response.headers["etag"] == etag


async def test_changed_job_has_another_etag(ingest, broker, queue):
    """Every transition and every progress changes the ETag of a job."""
    job = await ingest.submit()
    path = f"/v1/jobs/{job['id']}"
    tags = [(await ingest.http.get(path)).headers["etag"]]
    delivery = await take_one(broker, queue)
    tags.append((await ingest.http.get(path)).headers["etag"])
    progress = msgspec.msgpack.encode(Progress(50.0))
    await broker.store.renew(queue, consumer="w1", leases=[lease(delivery, progress)])
    tags.append((await ingest.http.get(path)).headers["etag"])
    await commit(broker, delivery)
    tags.append((await ingest.http.get(path)).headers["etag"])
    assert len(set(tags)) == 4
    response = await ingest.http.get(path, headers={"if-none-match": ", ".join(tags[:3])})
    assert response.status_code == 200


async def test_etag_of_a_submission_is_that_of_the_job(ingest):
    """The response to a submission has the ETag of the job."""
    response = await ingest.http.post("/v1/jobs", json={"type": "email.send"})
    again = await ingest.http.get(response.headers["location"], headers={"if-none-match": response.headers["etag"]})
    assert again.status_code == 304


@pytest.mark.parametrize(
    "result",
    [
        msgspec.msgpack.Ext(7, b"\x01"),
        {"when": msgspec.msgpack.Ext(1, b"\x02"), "raw": b"\xff"},
        {1: "a"},
        float("nan"),
        [float("inf"), 2**64 - 1],
    ],
    ids=["extension", "nested extension", "key a number", "NaN", "Infinity"],
)
async def test_result_that_json_has_no_word_for_can_be_read_all_the_same(ingest, broker, queue, result):
    """A result that JSON cannot express is shown as well as possible, and never leads to a 500."""
    delivery = await seed_running(broker, queue)
    await commit(broker, delivery, Succeeded(msgspec.Raw(msgspec.msgpack.encode(result))))
    for accept in ("application/json", MSGPACK):
        response = await ingest.http.get(f"/v1/jobs/{delivery.id}", headers={"accept": accept})
        assert response.status_code == 200, response.text


@pytest.mark.parametrize("state", STATES)
async def test_list_by_state_shows_the_jobs_in_it(ingest, broker, queue, state):
    """A list by state shows the jobs of each state that Redis can list."""
    ids = await seed_states(broker, queue)
    page = await ingest.get("/v1/jobs", state=state)
    assert [(job["id"], job["state"]) for job in page["items"]] == [(ids[state], state)]
    assert page["next_cursor"] is None


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 500])
async def test_list_of_all_states_goes_on_page_by_page(ingest, broker, queue, limit):
    """The pages of a list of all states show every job once, at any page size."""
    ids = await seed_states(broker, queue)
    assert await walk(ingest, f"/v1/jobs?limit={limit}") == [ids[state] for state in STATES]


async def test_list_of_all_states_begins_each_state_with_the_first_queue(ingest, broker, queue):
    """A list of all states begins each state with the first queue, wherever the one before ended."""
    later = Queue(DEFAULT_TENANT, JobType("sms.send"))
    queued = await seed(broker, later, 2)
    scheduled = await seed(broker, queue, 2, delay_ms=3_600_000)
    await broker.registry.add_queues([queue, later])
    assert sorted(await walk(ingest, "/v1/jobs?limit=1")) == sorted(queued + scheduled)


async def walk(ingest, url: str) -> list[str]:
    """Follow the links of a list; return the ids."""
    found, next_url = [], url
    while next_url:
        response = await ingest.http.get(next_url)
        assert response.status_code == 200, response.text
        found += [item["id"] for item in response.json()["items"]]
        link = response.headers.get("link")
        assert (link is None) == (response.json()["next_cursor"] is None)
        next_url = link[1 : link.index(">")] if link else None
    return found


async def test_link_keeps_what_the_client_filtered_by(ingest, broker, queue):
    """The link to the next page keeps the filters."""
    other = Queue(DEFAULT_TENANT, JobType("sms.send"))
    wanted = await seed(broker, queue, 5)
    await seed(broker, other, 5)
    await broker.registry.add_queues([queue, other])
    response = await ingest.http.get("/v1/jobs?type=email.send&state=queued&limit=2")
    link = response.headers["link"]
    assert link.endswith('; rel="next"')
    query = parse_qs(urlsplit(link[1 : link.index(">")]).query)
    assert (query["type"], query["state"], query["limit"]) == (["email.send"], ["queued"], ["2"])
    assert await walk(ingest, "/v1/jobs?type=email.send&state=queued&limit=2") == wanted


async def test_cursor_of_another_list_is_refused(ingest, broker, queue):
    """A cursor of another list is refused."""
    await seed(broker, queue, 3)
    await broker.registry.add_queues([queue])
    cursor = (await ingest.get("/v1/jobs", state="queued", limit=1))["next_cursor"]
    for path, params in (("/v1/dead", {}), ("/v1/jobs", {"state": "dead"})):
        problem(await ingest.http.get(path, params={**params, "cursor": cursor}), 400, "bad-request")


async def test_list_of_a_type_that_was_never_submitted_is_empty(ingest):
    """A list of a type that was never submitted is empty, and is no error."""
    page = await ingest.get("/v1/jobs", type="never.seen")
    assert (page["items"], page["next_cursor"]) == ([], None)


async def test_dead_letters_are_listed_newest_first(ingest, broker, queue):
    """Dead letters are listed newest first, with reason and error and without payloads."""
    ids = [await seed_dead(broker, queue, payload="secret") for _ in range(5)]
    await broker.registry.add_queues([queue])
    assert await walk(ingest, "/v1/dead?limit=2&type=email.send") == ids[::-1]
    (letter,) = (await ingest.get("/v1/dead", limit=1))["items"]
    assert (letter["reason"], letter["error"]["type"]) == ("attempts", "ValueError")
    assert "secret" not in str(letter)


@pytest.mark.parametrize("path", ["/v1/jobs", "/v1/dead", "/v1/queues", "/v1/types", "/v1/workers", "/health"])
async def test_every_list_is_answered_in_messagepack_too(ingest, path):
    """Every list is answered in MessagePack too."""
    response = await ingest.http.get(path, headers={"accept": MSGPACK})
    assert response.status_code == 200
    assert unpacked(response).keys() == (await ingest.get(path)).keys()


@pytest.mark.parametrize("path", ["/v1/jobs", "/v1/queues", "/health", "/metrics", "/openapi.json"])
async def test_head_is_get_without_the_body(ingest, path):
    """HEAD has the type and length of GET without the body."""
    response = await ingest.http.head(path)
    assert (response.status_code, response.content) == (200, b"")
    assert response.headers["content-type"] == (await ingest.http.get(path)).headers["content-type"]
    assert int(response.headers["content-length"]) > 0
