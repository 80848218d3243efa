"""`GET /v1/jobs` searches the history, and shows the jobs as they are now."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import timedelta

import anyio
import msgspec
import pytest
from history_seeds import store_at
from ingest.inspection.test_past_jobs import NOW, NOW_MS, QUEUE
from ingest.serving import Ingest, pointers, problem, remembering_ingest, running_ingest, spans
from msgspec.structs import replace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from streams.seeds import commit, take_one

from millstream_contracts import DEFAULT_TENANT, Job, JobError, JobState, JobType, Queue, new_job_id
from millstream_ingest.http.errors import IngestError
from millstream_ingest.inspection.history_lag import HistoryLag
from millstream_ingest.inspection.search_slots import AT_ONCE, AT_ONCE_OF_A_TENANT, SearchSlots
from millstream_streams import HISTORY_GROUP, Broker
from millstream_telemetry import JobTracer

SMS = Queue(DEFAULT_TENANT, JobType("sms.send"))
ERROR = JobError(type="shop.MailError", message="mail7.example.com refused", fingerprint="f1", traceback="  File x\n")


@pytest.fixture
async def ingest(settings, history_url, broker: Broker) -> AsyncIterator[Ingest]:
    """Yield an ingest with a history."""
    async with remembering_ingest(settings, history_url) as running:
        yield running


@pytest.fixture
async def past(history_url) -> list[Job]:
    """Return ten jobs of the history, newest first, a second apart."""
    jobs = []
    for number in range(10):
        queue = SMS if number % 5 == 0 else QUEUE
        state = JobState.DEAD if number % 3 == 0 else JobState.SUCCEEDED
        job_id = new_job_id(queue, NOW_MS - 1000 * number)
        job = Job(
            id=job_id,
            type=queue.type,
            state=state,
            version=3,
            created_at=NOW - timedelta(seconds=number),
            payload={"n": number},
            error=ERROR if state is JobState.DEAD else None,
            tags={"customer": f"c{number % 2}"},
        )
        jobs.append(job)
        await store_at(history_url, queue, job)
    return jobs


async def found(ingest: Ingest, **params) -> list[str]:
    """Return the ids on the first page of a search."""
    return [job["id"] for job in (await ingest.get("/v1/jobs", **params))["items"]]


def ids(jobs: list[Job], *numbers: int) -> list[str]:
    """Return the ids of these jobs."""
    return [jobs[number].id for number in numbers]


async def test_a_search_finds_jobs_that_redis_has_forgotten(ingest, past):
    """A search answers with jobs of the history, newest first, without payloads."""
    page = await ingest.get("/v1/jobs", q="state:dead payload.n:>0")
    assert [job["id"] for job in page["items"]] == ids(past, 3, 6, 9)
    first = page["items"][0]
    assert (first["source"], first["fresh"], first["payload"]) == ("history", True, None)
    assert first["error"]["message"] == ERROR.message
    assert (page["next_cursor"], page["complete"], page["searched_until"]) == (None, True, None)


@pytest.mark.parametrize(
    ("params", "numbers"),
    [
        ({"q": ""}, range(10)),
        ({"q": "", "type": "sms.send"}, [0, 5]),
        ({"q": "", "state": "dead"}, [0, 3, 6, 9]),
        ({"state": "succeeded", "limit": 3}, [1, 2, 4]),
        ({"tag.customer": "c1"}, [1, 3, 5, 7, 9]),
        ({"q": "type:sms.*"}, [0, 5]),
        ({"created_after": (NOW - timedelta(seconds=2)).isoformat()}, [0, 1, 2]),
        ({"created_before": (NOW - timedelta(seconds=7)).isoformat()}, [8, 9]),
        ({"as_of": (NOW - timedelta(seconds=4)).isoformat(), "q": "since:2s"}, [5, 6]),
        ({"q": "mail7", "type": "sms.send"}, [0]),
    ],
)  # fmt: skip
async def test_parameters_stand_beside_the_query(ingest, broker, past, params, numbers):
    """Parameters narrow a search like terms of the query, and some of them make a list a search."""
    await broker.registry.add_queues([QUEUE, SMS])
    assert await found(ingest, **params) == ids(past, *numbers)


async def test_pages_are_linked_and_belong_to_their_search(ingest, past):
    """The next page of a search follows by its link, and a cursor is refused in another search or list."""
    seen, path = [], "/v1/jobs?q=state:dead&limit=1&tag.customer=c1"
    while path:
        response = await ingest.http.get(path)
        seen += [job["id"] for job in response.json()["items"]]
        path = response.headers.get("link", "").partition(">")[0].lstrip("<")
    assert seen == ids(past, 3, 9)
    page = await ingest.get("/v1/jobs", q="state:dead", limit=1)
    cursor = page["next_cursor"]
    assert cursor.startswith("h.")
    document = problem(await ingest.http.get("/v1/jobs", params={"q": "", "cursor": cursor}), 422, "invalid-request")
    assert pointers(document) == ["?cursor"]
    for params in ({"q": "", "cursor": "queued.x"}, {"cursor": "h.x"}, {"state": "queued", "cursor": "h."}):
        assert pointers(problem(await ingest.http.get("/v1/jobs", params=params), 400, "bad-request")) == ["?cursor"]


async def test_a_query_without_meaning_is_refused_with_its_place(ingest):
    """A query without meaning is refused with the place of the fault, and with what may be meant."""
    response = await ingest.http.get("/v1/jobs", params={"q": "state:failed"})
    [fault] = problem(response, 422, "invalid-query")["errors"]
    assert (fault["pointer"], fault["position"], fault["end"]) == ("#/query/q", 6, 12)
    assert (fault["detail"], fault["hint"]) == ("there is no state `failed`", "did you mean `dead`?")


@pytest.mark.parametrize(
    ("params", "pointer"),
    [
        ({"q": "", "created_after": "yesterday"}, "?created_after"),
        ({"created_before": "2026-13-01"}, "?created_before"),
        ({"count": "yes"}, "?count"),
        ({"q": "", "state": "lost"}, "?state"),
        ({"tag.": "x"}, "?tag."),
        ({"tag.a": "x\0"}, "?tag."),
        ({"tag.a\0": "x"}, "?tag."),
        ({"tag.a": "x" * 129}, "?tag.a"),
        ({f"tag.{n}": "x" for n in range(17)}, "?tag.0"),
        ({"tags": "x"}, "?tags"),
    ],
)
async def test_a_wrong_parameter_of_a_search_is_named(ingest, params, pointer):
    """A parameter of a search with a wrong name or value is refused by its name."""
    assert pointers(problem(await ingest.http.get("/v1/jobs", params=params), 400, "bad-request")) == [pointer]


async def test_a_list_without_such_parameters_is_that_of_redis(ingest, past):
    """Without a parameter of searches the list is that of the jobs that have not ended."""
    job = await ingest.submit()
    assert await found(ingest) == [job["id"]]
    assert await found(ingest, state="dead") == []


async def test_unsettled_jobs_are_shown_as_they_are_now(ingest, broker, queue, history_url):
    """A job that had not ended when it was stored is read from Redis, and left out where it fits no more."""
    for_retry, done = (await ingest.submit())["id"], (await ingest.submit())["id"]
    for job_id in (for_retry, done):
        live = await broker.views.job(queue, job_id)
        await store_at(history_url, queue, live)
    first = await take_one(broker, queue)
    await commit(broker, first)
    page = await ingest.get("/v1/jobs", q="since:1h")
    states = {job["id"]: (job["state"], job["source"], job["fresh"]) for job in page["items"]}
    assert states[first.id] == ("succeeded", "live", True)
    assert len(states) == 2
    [other] = {for_retry, done} - {first.id}
    assert await found(ingest, q="state:queued") == [other]


async def test_a_search_goes_on_without_redis(ingest_alone, past):
    """While Redis is away a search answers from the history, and says of unsettled jobs that they are not fresh."""
    ingest, redis = ingest_alone
    redis.close()
    page = await ingest.get("/v1/jobs", q="type:*.send")
    assert len(page["items"]) == 11
    assert [job["fresh"] for job in page["items"]].count(False) == 1
    assert page["history_lag_s"] is None


@pytest.fixture
async def ingest_alone(own_redis, settings, history_url) -> AsyncIterator[tuple[Ingest, object]]:
    """Yield an ingest on a Redis that the test may break, and an unsettled job in its history."""
    job = Job(id=new_job_id(QUEUE, NOW_MS), type=QUEUE.type, state=JobState.QUEUED, version=1, created_at=NOW)
    await store_at(history_url, QUEUE, job)
    async with running_ingest(replace(settings, redis_url=own_redis.url, history_url=history_url)) as running:
        yield running, own_redis


async def test_the_lag_is_that_of_the_events(ingest, broker, queue):
    """A search says how old the oldest event is that the history lacks; 0 without one, null before it has read any."""
    assert await HistoryLag(broker).seconds() is None
    await ingest.submit()
    async with aclosing(broker.feed(group=HISTORY_GROUP, consumer="c")) as feed:
        batches = await feed.read([queue], entries=10) or await feed.read([queue], entries=10)
        assert (await HistoryLag(broker).seconds() or 0.0) > 0.0
        await feed.acknowledge(batches)
        assert await HistoryLag(broker).seconds() == 0.0
        await ingest.submit()
        assert (await HistoryLag(broker).seconds() or 0.0) > 0.0


async def test_the_lag_is_asked_for_beside_the_search(broker):
    """Redis is asked how far the history is behind while the database searches: a page waits for the slower one."""
    asked = anyio.Event()

    class Told(HistoryLag):
        async def seconds(self) -> float | None:
            asked.set()
            return await super().seconds()

    async def search() -> str:
        await asked.wait()
        return "page"

    assert await Told(broker).beside(search()) == ("page", None)


@pytest.mark.parametrize(("q", "count"), [("state:dead", 4), ("payload.n:>6", 3), ("payload.n:77", 0)])
async def test_jobs_are_counted_when_that_is_asked_for(ingest, past, q, count):
    """With `count=1` a page says how many jobs there are on all pages."""
    page = await ingest.get("/v1/jobs", q=q, count="1", limit=1)
    assert page["count"] == {"value": count, "relation": "exact"}
    assert (await ingest.get("/v1/jobs", q=q))["count"] is None


async def test_a_search_without_jobs_says_why(ingest, broker, past):
    """A search by a type that there never was has a hint."""
    await broker.registry.add_queues([QUEUE, SMS])
    page = await ingest.get("/v1/jobs", q="type:email.sned")
    assert (page["items"], "did you mean `email.send`?" in page["hint"]) == ([], True)


async def test_too_many_searches_are_refused(ingest):
    """Further searches of a tenant are refused with 429 and `Retry-After` while two are under way."""
    slots = ingest.services.searcher.slots
    with slots.taken(DEFAULT_TENANT), slots.taken(DEFAULT_TENANT):
        problem(await ingest.http.get("/v1/dead/groups"), 429, "too-many-searches")
        response = await ingest.http.get("/v1/jobs", params={"q": ""})
        problem(response, 429, "too-many-searches")
        assert 1 <= int(response.headers["retry-after"]) <= 3
    assert await found(ingest, q="") == []
    metrics = (await ingest.http.get("/metrics")).text
    assert 'millstream_search_seconds_count{outcome="refused",way="none"} 1.0' in metrics
    assert 'millstream_search_seconds_count{outcome="complete",way="plain"} 1.0' in metrics


def test_slots_are_shared_by_tenants():
    """A process has so many slots, and a tenant some of them."""
    slots = SearchSlots()

    def is_free(tenant: str) -> bool:
        try:
            with slots.taken(tenant):
                return True
        except IngestError:
            return False

    with slots.taken("a"), slots.taken("a"), slots.taken("b"):
        assert (is_free("a"), is_free("b")) == (False, True)
        with slots.taken("c"):
            assert not is_free("d")
    assert is_free("d")
    assert (AT_ONCE, AT_ONCE_OF_A_TENANT) == (4, 2)


async def test_without_a_history_a_search_says_how_to_get_one(settings, broker):
    """Without a database a search is refused with the remedy, and lists go on."""
    async with running_ingest(settings) as ingest:
        for params in ({"q": ""}, {"state": "succeeded"}, {"tag.a": "b"}, {"count": "1"}):
            problem(await ingest.http.get("/v1/jobs", params=params), 422, "no-history")
        assert (await ingest.http.get("/v1/jobs")).status_code == 200


async def test_hints_follow_a_query(ingest, broker, past):
    """Hints complete a query with fields, known types, and what recent jobs have in them."""
    await broker.registry.add_queues([QUEUE, SMS])
    found = await ingest.get("/v1/jobs/search/hints", q="state:dead pay")
    assert found["items"][0]["text"] == "payload."
    found = await ingest.get("/v1/jobs/search/hints", q="type:sm since:1h", at="7")
    assert (found["replace"], [hint["text"] for hint in found["items"]]) == ([5, 7], ["sms.send"])
    found = await ingest.get("/v1/jobs/search/hints", q="type:email.send payload.")
    assert [hint["text"] for hint in found["items"]] == ["payload.n:"]
    for at in ("x", "-1", "1" * 9):
        refused = await ingest.http.get("/v1/jobs/search/hints", params={"q": "", "at": at})
        assert pointers(problem(refused, 400, "bad-request")) == ["?at"]


async def test_dead_jobs_are_grouped(ingest, past):
    """The dead jobs of the history are counted by type and fingerprint, the largest group first."""
    groups = (await ingest.get("/v1/dead/groups"))["items"]
    assert [(one["type"], one["fingerprint"], one["count"]) for one in groups] == [
        ("email.send", "f1", 3),
        ("sms.send", "f1", 1),
    ]
    assert [one["live"] for one in groups] == [None, None]
    assert [one["live"] for one in (await ingest.get("/v1/dead/groups", live="1"))["items"]] == [0, 0]
    problem(await ingest.http.get("/v1/dead/groups", params={"live": "yes"}), 400, "bad-request")
    assert groups[0]["sample"] == {"id": past[3].id, "error": msgspec.to_builtins(ERROR)}
    assert (await ingest.get("/v1/dead/groups", type="sms.send"))["items"] == groups[1:]
    assert (await ingest.get("/v1/dead/groups", since="60s"))["items"] == []
    since = (NOW - timedelta(seconds=4)).isoformat()
    assert [one["count"] for one in (await ingest.get("/v1/dead/groups", since=since))["items"]] == [1, 1]
    problem(await ingest.http.get("/v1/dead/groups", params={"since": "yesterday"}), 400, "bad-request")
    assert (await ingest.get("/v1/dead/groups", limit="1"))["items"] == groups[:1]
    problem(await ingest.http.get("/v1/dead/groups", params={"limit": "201"}), 400, "bad-request")


async def test_facets_are_those_of_the_search_that_its_parameters_ask_for(ingest, past):
    """Facets count the jobs that the same parameters would find, each value with the query that asks for it."""
    found = await ingest.get("/v1/jobs/search/facets", q="since:900d", **{"tag.customer": "c0"})
    facets = {one["field"]: one["values"] for one in found["items"]}
    assert (found["count"], found["complete"]) == ({"value": 5, "relation": "exact"}, True)
    assert [(one["value"], one["count"], one["q"]) for one in facets["state"]] == [
        ("succeeded", 3, "since:900d state:succeeded"),
        ("dead", 2, "since:900d state:dead"),
    ]
    assert [(one["value"], one["label"]) for one in facets["fingerprint"]] == [("f1", "shop.MailError")]
    assert [(one["value"], one["count"]) for one in facets["tag.customer"]] == [("c0", 5)]
    narrowed = await ingest.get("/v1/jobs/search/facets", q="state:dead -type:sms.send")
    assert narrowed["items"][0]["values"] == [
        {
            "value": value,
            "label": None,
            "place": None,
            "count": count,
            "relation": "exact",
            "is_selected": is_selected,
            "q": q,
        }
        for value, count, is_selected, q in (
            ("succeeded", 5, False, "-type:sms.send state:succeeded"),
            ("dead", 3, True, "-type:sms.send"),
        )
    ]


async def test_a_query_without_meaning_has_no_facets(ingest):
    """Facets of a query that cannot be read are refused as a search is."""
    document = problem(
        await ingest.http.get("/v1/jobs/search/facets", params={"q": "state:failed"}), 422, "invalid-query"
    )
    assert document["errors"][0]["position"] == 6
    problem(await ingest.http.get("/v1/jobs/search/facets", params={"cursor": "x"}), 400, "bad-request")


async def test_a_search_has_a_span_below_that_of_its_request(settings, history_url, broker):
    """A search that is traced has a span with how it was done and what it found, and none of what was searched for."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(sampler=ALWAYS_ON)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    async with remembering_ingest(settings, history_url, JobTracer(provider)) as ingest:
        await ingest.get("/v1/jobs", q="payload.secret:x")
    found = spans(exporter)
    search, request = found["search"], found["GET /v1/jobs"]
    assert search.parent is not None
    assert search.parent.span_id == request.context.span_id
    assert dict(search.attributes or {}) == {
        "millstream.search.jobs": 0,
        "millstream.search.way": "walk",
        "millstream.search.complete": True,
    }
