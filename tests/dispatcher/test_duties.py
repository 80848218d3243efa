"""The duties of a dispatcher have intervals of their own, and share what their checks find."""

from typing import Any

import pytest
from streams.seeds import LONG_AGO_MS, make_due, seed

from millstream_contracts import Queue
from millstream_dispatcher.assembly import duties_of
from millstream_dispatcher.check_schedule import CheckSchedule
from millstream_dispatcher.settings import DispatcherSettings
from millstream_streams import Broker
from millstream_telemetry import MetricRegistry

SETTINGS = DispatcherSettings(
    redis_url="redis://127.0.0.1",
    release_every_s=600.0,
    expire_every_s=700.0,
    gauges_every_s=800.0,
    tell_every_s=900.0,
    link_every_s=1000.0,
)


@pytest.fixture
def due(broker: Broker) -> CheckSchedule:
    """Return the schedule that receives the hints."""
    return CheckSchedule(broker.registry, SETTINGS.release_every_s)


@pytest.fixture
def outbox(broker: Broker) -> CheckSchedule:
    """Return the schedule that receives the hints of jobs that have settled."""
    return CheckSchedule(broker.registry, SETTINGS.tell_every_s)


@pytest.fixture
def duties(broker: Broker, metrics: MetricRegistry, due: CheckSchedule, outbox: CheckSchedule) -> dict[str, Any]:
    """Return the duties by name."""
    return {duty.name: duty for duty in duties_of(SETTINGS, broker, metrics, due, outbox)}


async def test_each_duty_has_the_interval_of_its_own_setting(
    duties: dict[str, Any], due: CheckSchedule, outbox: CheckSchedule
) -> None:
    """Each duty has the interval of its own setting, and only promoter and messenger are woken by hints."""
    assert {name: duty.interval_s for name, duty in duties.items()} == {
        "promoter": 600.0,
        "expirer": 700.0,
        "gauger": 800.0,
        "messenger": 900.0,
        "linker": 1000.0,
        "dormancy-keeper": 800.0,
    }
    assert [name for name, duty in duties.items() if getattr(duty, "wake", None) is due.wake] == ["promoter"]
    assert [name for name, duty in duties.items() if getattr(duty, "wake", None) is outbox.wake] == ["messenger"]


async def test_each_duty_comes_back_within_its_own_interval(duties: dict[str, Any], queues: list[Queue]) -> None:
    """Without any job each duty returns after its interval, the measurement before the others would check."""
    found = {name: (await duty.run_once()).next_in_s for name, duty in duties.items()}
    assert found == {
        "promoter": pytest.approx(600, abs=5),
        "expirer": pytest.approx(700, abs=5),
        "gauger": pytest.approx(0.9 * 800),
        "messenger": pytest.approx(900, abs=5),
        "linker": pytest.approx(1000, abs=5),
        "dormancy-keeper": None,
    }


@pytest.mark.parametrize("wakes", ["promoter", "expirer"])
async def test_a_measurement_wakes_the_duty_that_has_work_and_no_other(
    broker: Broker, duties: dict[str, Any], queues: list[Queue], wakes: str
) -> None:
    """A measurement wakes the promoter for due jobs, and the expirer for late ones, without any hint."""
    for duty in duties.values():
        await duty.run_once()
    if wakes == "promoter":
        ids = await seed(broker, queues[1], delay_ms=3_600_000)
        await make_due(broker, queues[1], ids)
    else:
        await seed(broker, queues[1], expires_at_ms=LONG_AGO_MS)
    await duties["gauger"].run_once()
    rung = [name for name in ("promoter", "expirer") if await duties[name].wake.wait(0.0)]
    assert rung == [wakes]
    await duties[wakes].run_once()


async def test_what_is_stored_while_a_queue_is_measured_is_looked_for_again(
    broker: Broker, duties: dict[str, Any], due: CheckSchedule, queues: list[Queue], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A gap in the hints during a measurement makes every queue due again."""
    measure = broker.store.measure

    async def overtaken(queue: Queue, **options: Any) -> object:
        found = await measure(queue, **options)
        due.check_all_now()
        return found

    monkeypatch.setattr(broker.store, "measure", overtaken)
    await duties["gauger"].run_once()
    assert await due.due() == queues


async def test_types_that_only_redis_knows_have_names_of_their_own_in_the_metrics(
    broker: Broker, queues: list[Queue]
) -> None:
    """A dispatcher, which has no handlers, takes the types for its metrics from the queues."""
    metrics = MetricRegistry()
    due = CheckSchedule(broker.registry, SETTINGS.release_every_s)
    outbox = CheckSchedule(broker.registry, SETTINGS.tell_every_s)
    for duty in duties_of(SETTINGS, broker, metrics, due, outbox):
        await duty.run_once()
    assert metrics.knows_type("email.send")
    assert metrics.knows_type("report")


@pytest.mark.parametrize("name", ["promoter", "expirer"])
async def test_a_duty_that_meets_a_type_before_it_is_measured_counts_under_its_name(
    broker: Broker, queues: list[Queue], name: str
) -> None:
    """A job that is late is counted as expired whichever duty ends it, under its own type from the first one on."""
    metrics = MetricRegistry()
    schedules = CheckSchedule(broker.registry, 600.0), CheckSchedule(broker.registry, 600.0)
    duties = {duty.name: duty for duty in duties_of(SETTINGS, broker, metrics, *schedules)}
    ids = await seed(broker, queues[2], delay_ms=3_600_000, expires_at_ms=LONG_AGO_MS)
    await make_due(broker, queues[2], ids)
    await duties[name].run_once()
    assert metrics.get_sample_value("millstream_jobs_finished_total", {"type": "report", "state": "expired"}) == 1
