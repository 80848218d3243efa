"""The page of a queue pauses it and limits its jobs."""

import pytest
from console.serving import Browser
from streams.seeds import FAR_MS, commit, seed, seed_running, take

from millstream_contracts import DEFAULT_TENANT, Breaker, JobType, KeyLimits, Queue, QueueLimits, Snoozed
from millstream_streams import Broker


@pytest.fixture
async def queue(broker: Broker) -> Queue:
    """Return a queue that is known."""
    queue = Queue(DEFAULT_TENANT, JobType("email.send"))
    await broker.registry.add_queues([queue])
    return queue


async def test_a_queue_is_paused_and_resumed(console: Browser, broker: Broker, queue: Queue) -> None:
    """The page says since when and why a queue is paused, and offers to resume it."""
    page = await console.post("/queues/email.send/pause", reason="the <b>provider</b> is down")
    assert "Paused now : the <b>provider</b> is down ." in page.main
    assert (await broker.settings.read(queue)).paused
    page = await console.post("/queues/email.send/resume")
    assert "Resumed." in page.text
    assert "Paused" not in page.main
    assert not (await broker.settings.read(queue)).paused


async def test_limits_are_set_shown_and_removed(console: Browser, broker: Broker, queue: Queue) -> None:
    """The form sets what its fields say, shows it again, and removes the limits when all are empty."""
    page = await console.post("/queues/email.send/limits", concurrency="1", rate=" 100 / m ", burst="")
    assert "Limited to 1 at once, 100/m." in page.text
    assert (await broker.settings.read(queue)).limits == QueueLimits(concurrency=1, rate="100/m")
    await seed(broker, queue, 3)
    await take(broker, queue)
    page = await console.get("/queues/email.send")
    assert "2 held back by limits" in page.main
    assert page.the("input[name=rate]")["value"] == "100/m"
    page = await console.post("/queues/email.send/limits", concurrency="", rate="", burst="")
    assert "It has no limits any more." in page.text
    assert (await broker.settings.read(queue)).limits is None


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"concurrency": "many"}, "At once has to be a whole number"),
        ({"rate": "often"}, "/rate"),
        ({"burst": "2"}, "`burst` says how the starts of a `rate` are spread"),
        ({"key_concurrency": "few"}, "At once of each key has to be a whole number"),
        ({"breaker": "120"}, "Failures has to be between 1 and 100 %"),
        ({"breaker_probes": "few"}, "Probes has to be a whole number"),
        ({"breaker_window_s": "nan"}, "Counted for has to be a number"),
        ({"breaker_cap_s": "1"}, "`cap_s` is less than `cool_down_s`"),
        ({"weights": "acme"}, "Weights are lines such as `acme: 2`"),
    ],
)
async def test_limits_that_mean_nothing_are_refused(
    console: Browser, broker: Broker, queue: Queue, fields: dict[str, str], says: str
) -> None:
    """The page says what is wrong, and nothing is set."""
    page = await console.post("/queues/email.send/limits", **fields)
    assert says in page.text
    assert (await broker.settings.read(queue)).limits is None


async def test_limits_of_keys_are_set_and_keys_are_listed(console: Browser, broker: Broker, queue: Queue) -> None:
    """The form has limits of each key and weights, and a table says what waits of which key."""
    page = await console.post(
        "/queues/email.send/limits", key_concurrency="1", key_rate="5/s", key_cap="1000", weights="a:b: 2\nother: 0.5"
    )
    assert "Limited to 1 at once, 5/s, at most 1,000 jobs per key, 2 weights." in page.text
    expected = QueueLimits(per_key=KeyLimits(concurrency=1, rate="5/s", cap=1000), weights={"a:b": 2.0, "other": 0.5})
    assert (await broker.settings.read(queue)).limits == expected
    await seed(broker, queue, 3, key="a:b")
    await take(broker, queue)
    page = await console.get("/queues/email.send")
    assert page.the("textarea[name=weights]").get_text().strip() == "a:b: 2\nother: 0.5"
    (row,) = page.all("#live_keys tbody tr")
    assert [cell.get_text() for cell in row.find_all("td")][:4] == ["a:b", "2", "1", "2"]
    await console.post("/queues/email.send/limits", fair="1")
    assert (await broker.settings.read(queue)).limits == QueueLimits(fair=True)


async def test_what_a_handler_holds_back_is_shown_and_ended(console: Browser, broker: Broker, queue: Queue) -> None:
    """The page says until when a type or a key is held back, and for which job, and has a button to end that."""
    await commit(broker, await seed_running(broker, queue, key="<acme>"), Snoozed(FAR_MS, "key"))
    holder = await seed_running(broker, queue)
    await commit(broker, holder, Snoozed(FAR_MS, "type"))
    page = await console.get("/queues/email.send")
    assert "Held back until" in page.main
    assert holder.id in page.main
    assert page.the("#live_state").get_text().strip() == "parked"
    (row,) = page.all("#live_keys tbody tr")
    assert "held back until" in row.get_text()
    page = await console.post("/queues/email.send/hold/end", key=row.find("input")["value"])
    assert "Its jobs start again." in page.text
    assert not page.all("#live_keys tbody tr")
    page = await console.post("/queues/email.send/hold/end")
    assert "Held back until" not in page.main


async def test_each_field_of_a_breaker_is_set_and_shown_again(console: Browser, broker: Broker, queue: Queue) -> None:
    """The form sets all fields of a breaker, those that are empty have their defaults, and it shows what is set."""
    typed = {"breaker": "12.5 %", "breaker_window_s": "90", "breaker_minimum": "5", "breaker_cool_down_s": "1.5"}
    await console.post("/queues/email.send/limits", **typed, breaker_cap_s="900", breaker_probes="2")
    wanted = Breaker(ratio=0.125, window_s=90.0, minimum=5, cool_down_s=1.5, cap_s=900.0, probes=2)
    assert (await broker.settings.read(queue)).limits == QueueLimits(breaker=wanted)
    page = await console.get("/queues/email.send")
    fields = {one["name"]: one["value"] for one in page.all("input[name^=breaker]")}
    await console.post("/queues/email.send/limits", **fields)
    assert (await broker.settings.read(queue)).limits == QueueLimits(breaker=wanted)
    await console.post("/queues/email.send/limits", breaker_minimum="7")
    assert (await broker.settings.read(queue)).limits == QueueLimits(breaker=Breaker(minimum=7))


async def test_a_breaker_is_opened_and_closed_by_hand(console: Browser, broker: Broker, queue: Queue) -> None:
    """The page of a queue with a breaker opens it with a reason, says so, and closes it; without one it offers none."""
    assert "Open breaker" not in (await console.get("/queues/email.send")).main
    await broker.settings.limit(queue, QueueLimits(breaker=Breaker()))
    assert "Open breaker" in (await console.get("/queues/email.send")).main
    page = await console.post("/queues/email.send/breaker/open", reason="the <b>provider</b> is down")
    assert "The circuit breaker is open by hand : the <b>provider</b> is down ." in page.main
    assert page.the("#live_state").get_text().strip() == "open"
    page = await console.post("/queues/email.send/breaker/close")
    assert "The circuit breaker is" not in page.main
