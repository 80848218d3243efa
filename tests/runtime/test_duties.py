"""The runner of periodic duties repeats them, wakes them and logs their failures."""

from contextlib import asynccontextmanager

import anyio
import pytest
import structlog.testing
from waiting import wait_until

from millstream_contracts import Backoff, ForeseenError
from millstream_runtime import DutyResult, DutyRunner, HealthCheck, Wake
from millstream_runtime.duties import LAST_PASS_S, RETRY, DutyKeeper
from millstream_runtime.failure_log import MAX_KINDS, FailureLog
from millstream_telemetry import DutyMetrics, MetricRegistry

LONG_S = 3600.0


class Recorded:
    """A duty that plays a list of results and errors, and then returns empty results."""

    def __init__(self, *plays, name="recover", interval_s=LONG_S):
        self.name = name
        self.interval_s = interval_s
        self.passes = 0
        self._plays = list(plays)
        self._passed = anyio.Event()

    async def run_once(self):
        """Return the next result, or raise the next error."""
        self.passes += 1
        self._passed.set()
        self._passed = anyio.Event()
        play = self._plays.pop(0) if self._plays else DutyResult()
        if isinstance(play, Exception):
            raise play
        return play

    async def until(self, passes):
        """Wait until the duty has begun so many passes."""
        with anyio.fail_after(10):
            while self.passes < passes:
                await self._passed.wait()


class Wakeful(Recorded):
    """A recorded duty with a wake event."""

    def __init__(self, *plays, **more):
        super().__init__(*plays, **more)
        self.wake = Wake()


@pytest.fixture
def registry():
    """Return an empty registry."""
    return MetricRegistry()


@pytest.fixture
def metrics(registry):
    """Return the metrics of a reaper's duties."""
    return DutyMetrics(registry, "reaper")


@asynccontextmanager
async def running(runner):
    """Run a runner, stop it at the end, and wait until it has stopped."""
    stop = anyio.Event()
    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(runner.run, stop)
            yield stop
            stop.set()


async def settled():
    """Let every other task run until it waits."""
    await anyio.wait_all_tasks_blocked()


async def test_duty_runs_at_once_and_then_waits_for_its_interval(metrics):
    """A duty runs at its start, and then after its interval."""
    duty = Recorded()

    async with running(DutyRunner([duty], metrics)):
        await duty.until(passes=1)
        await settled()
        assert duty.passes == 1


async def test_duty_runs_again_after_its_interval(metrics):
    """A duty runs again after its interval."""
    duty = Recorded(interval_s=0.001)

    async with running(DutyRunner([duty], metrics)):
        await duty.until(passes=3)


async def test_duty_runs_again_at_once_while_there_is_more(metrics):
    """A duty that reports more work runs again at once."""
    duty = Recorded(*[DutyResult(more=True)] * 4)

    async with running(DutyRunner([duty], metrics)):
        await duty.until(passes=5)
        await settled()
        assert duty.passes == 5


async def test_duty_sleeps_until_what_it_says_is_next(metrics):
    """A duty sleeps until the next time that it returned."""
    duty = Recorded(DutyResult(next_in_s=0.001))

    async with running(DutyRunner([duty], metrics)):
        await duty.until(passes=2)
        await settled()
        assert duty.passes == 2


async def test_interval_caps_what_the_duty_says_is_next(metrics):
    """A duty sleeps for at most its interval, whatever next time it returned."""
    duty = Recorded(DutyResult(next_in_s=LONG_S), interval_s=0.001)

    async with running(DutyRunner([duty], metrics)):
        await duty.until(passes=2)


async def test_ring_ends_the_sleep_of_a_duty(metrics):
    """A ring ends the sleep of a duty."""
    duty = Wakeful()

    async with running(DutyRunner([duty], metrics)):
        await duty.until(passes=1)
        await settled()
        duty.wake.set()
        await duty.until(passes=2)


async def test_ring_during_a_pass_is_not_lost(metrics):
    """A ring during a pass leads to another pass."""
    duty = Wakeful()

    class RingsItself(Wakeful):
        async def run_once(self):
            if self.passes == 0:
                self.wake.set()
            return await super().run_once()

    duty = RingsItself()
    async with running(DutyRunner([duty], metrics)):
        await duty.until(passes=2)
        await settled()
        assert duty.passes == 2


async def test_ring_does_not_shorten_the_delay_after_a_failure(metrics):
    """A ring does not shorten the delay after a failure, so that new work does not hammer Redis."""
    duty = Wakeful(ConnectionError("away"))
    slow = Backoff(kind="constant", base_s=LONG_S, cap_s=LONG_S, jitter=False)

    async with running(DutyRunner([duty], metrics, retry=slow)):
        await duty.until(passes=1)
        duty.wake.set()
        await settled()
        assert duty.passes == 1


async def test_failing_duty_is_tried_again_and_the_others_run_on(metrics, registry):
    """A failing duty is tried again, and the others run on."""
    broken = Recorded(*[ConnectionError("away")] * 3, name="recover")
    healthy = Recorded(name="expire", interval_s=0.001)
    quick = Backoff(kind="constant", base_s=0.001, jitter=False)

    async with running(DutyRunner([broken, healthy], metrics, retry=quick)):
        await broken.until(passes=4)
        await healthy.until(passes=3)

    assert registry.get_sample_value("millstream_duty_seconds_count", {"duty": "recover"}) == 4
    labels = {"component": "reaper", "duty": "recover"}
    assert registry.get_sample_value("millstream_duty_last_success_timestamp_seconds", labels) > 1e9


async def test_stop_lets_the_pass_that_is_under_way_finish(metrics):
    """A stop lets the pass under way finish, so that no response of a script is lost."""
    started, released, finished = anyio.Event(), anyio.Event(), []

    class Slow(Recorded):
        async def run_once(self):
            started.set()
            await released.wait()
            finished.append(True)
            return DutyResult(more=True)

    async with running(DutyRunner([Slow()], metrics)) as stop:
        await started.wait()
        stop.set()
        await settled()
        assert not finished
        released.set()

    assert finished == [True]


async def test_stop_cuts_off_a_pass_that_does_not_end(metrics):
    """A stop cancels a pass that does not end within its last time."""
    begun = anyio.Event()

    class Stuck(Recorded):
        async def run_once(self):
            begun.set()
            await anyio.sleep_forever()

    async with running(DutyRunner([Stuck()], metrics, last_pass_s=0.01)):
        await begun.wait()


async def test_a_duty_that_hangs_does_not_cut_off_another_that_ends_in_time(metrics):
    """Each pass has its whole last time at a stop, also beside one that hangs."""
    begun, finished = anyio.Event(), []

    class Stuck(Recorded):
        async def run_once(self):
            await anyio.sleep_forever()

    class Slow(Recorded):
        async def run_once(self):
            begun.set()
            await stopped.wait()
            finished.append(True)
            return DutyResult()

    stopped = anyio.Event()
    async with running(DutyRunner([Stuck(), Slow(name="expire")], metrics, last_pass_s=0.05)) as stop:
        await begun.wait()
        stop.set()
        stopped.set()
    assert finished == [True]


def test_replicas_come_at_different_times_and_never_later_than_the_interval(metrics):
    """Sleeps are spread over the last fifth of the interval, and never longer than it."""
    keeper = DutyKeeper(Recorded(interval_s=10.0), metrics, RETRY)
    slept = [keeper.sleep_s(DutyResult()) for _ in range(100)]
    assert len(set(slept)) > 90
    assert 8.0 <= min(slept) < 8.6
    assert 9.4 < max(slept) <= 10.0


def test_a_duty_that_is_overdue_does_not_spin(metrics):
    """A duty whose next time is past sleeps for a millisecond."""
    keeper = DutyKeeper(Recorded(interval_s=10.0), metrics, RETRY)
    assert keeper.sleep_s(DutyResult(next_in_s=-5.0)) == 0.001


def test_the_delay_after_failures_grows_from_a_quarter_of_a_second_to_five_and_is_spread(metrics):
    """The delay after failures grows from 0.25 s to 5 s with jitter."""
    first, later = [RETRY.delay_s(1) for _ in range(100)], [RETRY.delay_s(30) for _ in range(100)]
    assert max(first) <= 0.25
    assert 2.0 < max(later) <= 5.0
    assert len(set(first)) > 90
    assert len(set(later)) > 90


@pytest.mark.parametrize("play", [DutyResult(), ConnectionError("away")])
async def test_stop_ends_every_kind_of_sleep(metrics, play):
    """A stop ends the sleep of an interval, and that of a backoff."""
    duty = Recorded(play)
    slow = Backoff(kind="constant", base_s=LONG_S, cap_s=LONG_S, jitter=False)

    async with running(DutyRunner([duty], metrics, retry=slow, last_pass_s=LONG_S)):
        await duty.until(passes=1)
        await settled()


@pytest.mark.parametrize(("interval_s", "live_s"), [(1.0, 60.0), (100.0, 300.0)])
async def test_a_duty_is_live_for_three_intervals_after_a_pass_and_for_a_minute_at_least(metrics, interval_s, live_s):
    """A duty is live for three intervals after a pass, and for a minute at least, whether the pass failed or not."""
    now = [0.0]
    duty = Recorded(ConnectionError("away"), interval_s=interval_s)
    slow = Backoff(kind="constant", base_s=LONG_S, cap_s=LONG_S, jitter=False)
    runner = DutyRunner([duty], metrics, retry=slow, clock=lambda: now[0])
    now[0] = 1000.0
    assert not runner.live().ok
    async with running(runner):
        await duty.until(passes=1)
        await settled()
        now[0] += live_s
        assert runner.live().ok
        now[0] += 0.1
        assert not runner.live().ok


async def test_a_duty_that_works_again_is_ready_again(metrics):
    """One good pass makes a duty ready, and the next failure begins with the shortest delay."""
    asked = []

    class Delays:
        def delay_s(self, failures):
            asked.append(failures)
            return 0.0

    duty = Recorded(*[ConnectionError("away")] * 3, DutyResult(more=True), ConnectionError("away"))
    runner = DutyRunner([duty], metrics, retry=Delays(), needs={"redis": ConnectionError})
    async with running(runner):
        await duty.until(passes=6)
        await settled()
        assert runner.ready().ok
    assert asked == [1, 2, 3, 1]


async def test_a_need_is_missing_when_a_duty_says_so_and_not_when_one_fails_otherwise(metrics):
    """A need fails its readiness check on its own error, and not on another error of a duty."""
    slow = Backoff(kind="constant", base_s=LONG_S, cap_s=LONG_S, jitter=False)
    broken, away = Recorded(ValueError("x"), name="recover"), Recorded(ConnectionError("away"), name="expire")
    needs = {"redis": ConnectionError, "disk": MemoryError}
    runner = DutyRunner([broken, away], metrics, retry=slow, needs=needs)
    async with running(runner):
        await broken.until(passes=1)
        await away.until(passes=1)
        await settled()
        checks = {check.name: (check.ok, check.detail) for check in runner.ready().checks}
    assert checks["redis"] == (False, "ConnectionError: away")
    assert checks["disk"] == (True, "")


async def test_the_length_of_a_pass_is_measured_in_seconds_and_a_failure_is_no_success(metrics, registry):
    """The metrics have the length of each pass in seconds, and the time of the last success."""

    class Slow(Recorded):
        async def run_once(self):
            await anyio.sleep(0.05)
            return await super().run_once()

    duty = Slow(ConnectionError("away"))
    slow = Backoff(kind="constant", base_s=LONG_S, cap_s=LONG_S, jitter=False)
    async with running(DutyRunner([duty], metrics, retry=slow)):
        await duty.until(passes=1)
        await settled()
    assert 0.05 <= registry.get_sample_value("millstream_duty_seconds_sum", {"duty": "recover"}) < 10.0
    labels = {"component": "reaper", "duty": "recover"}
    assert registry.get_sample_value("millstream_duty_last_success_timestamp_seconds", labels) == 0.0


def test_a_service_without_redis_leaves_within_seconds():
    """The time of the last pass is far below the 30 s after which Kubernetes kills a process."""
    assert 0.5 <= LAST_PASS_S <= 5.0


async def test_runner_is_not_ready_while_a_duty_fails_but_alive(metrics):
    """A runner with a failing duty is live and not ready."""
    duty = Recorded(ConnectionError("away"))
    slow = Backoff(kind="constant", base_s=LONG_S, cap_s=LONG_S, jitter=False)
    runner = DutyRunner([duty, Recorded(name="expire")], metrics, retry=slow)

    async with running(runner):
        await duty.until(passes=1)
        await settled()

        assert runner.live().ok
        assert [(check.name, check.ok, check.detail) for check in runner.ready().checks] == [
            ("recover", False, "ConnectionError: away"),
            ("expire", True, ""),
        ]


async def test_a_duty_is_not_ready_before_its_first_pass_has_ended(metrics):
    """A duty is not ready before its first pass has ended."""
    begun, go_on = anyio.Event(), anyio.Event()

    class Slow(Recorded):
        async def run_once(self):
            begun.set()
            await go_on.wait()
            return await super().run_once()

    duty = Slow()
    runner = DutyRunner([duty], metrics)
    assert not runner.ready().ok
    async with running(runner):
        await begun.wait()
        assert [(check.name, check.ok) for check in runner.ready().checks] == [("recover", False)]
        go_on.set()
        await duty.until(passes=1)
        await settled()
        assert runner.ready().ok


async def test_what_else_the_duties_need_is_asked_each_time(metrics):
    """Readiness calls the further checks of a service each time."""
    health, other = HealthCheck("history", ok=False, detail="not asked yet"), HealthCheck("other", ok=True)
    runner = DutyRunner([], metrics, checks=[lambda: health, lambda: other])
    assert runner.ready().checks == [health, other]
    health = HealthCheck("history", ok=True)
    assert runner.ready().ok


async def test_cancelling_the_runner_cuts_a_pass_off(metrics):
    """Cancelling the runner cancels a pass."""

    class Stuck(Recorded):
        async def run_once(self):
            await anyio.sleep_forever()

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(DutyRunner([Stuck()], metrics).run, anyio.Event())
            await settled()
            tasks.cancel_scope.cancel()


async def test_wake_remembers_a_ring_that_came_first():
    """A wake event remembers one ring that came before the wait."""
    wake = Wake()
    wake.set()
    wake.set()

    with anyio.fail_after(10):
        assert await wake.wait(LONG_S)
        assert not await wake.wait(0.0)


def test_same_failure_is_logged_when_it_starts_once_a_minute_and_when_it_ends():
    """A repeated failure is logged when it starts, once a minute, and when it ends."""
    now = [0.0]
    with structlog.testing.capture_logs() as lines:
        log = FailureLog("recover", clock=lambda: now[0])
        log.succeeded()
        for second in range(130):
            now[0] = float(second)
            log.failed(ConnectionError(f"away at {second}"))
        log.failed(ValueError("otherwise"))
        log.succeeded()
        log.succeeded()

    assert [(line["event"], line["duty"]) for line in lines] == [
        ("duty failed", "recover"),
        ("duty still fails", "recover"),
        ("duty still fails", "recover"),
        ("duty failed", "recover"),
        ("duty works again", "recover"),
    ]
    assert [line.get("failures") for line in lines] == [None, 61, 121, None, 131]


class AwayError(ForeseenError):
    """An error as a store raises it."""

    def __init__(self, text: str, reason: str = "away") -> None:
        super().__init__(text)
        self.reason = reason


def logged(*errors):
    """Return the log lines of these failures, one a second."""
    now = [0.0]
    with structlog.testing.capture_logs() as lines:
        log = FailureLog("recover", clock=lambda: now[0])
        for error in errors:
            now[0] += 1.0
            log.failed(error)
    return lines


def test_foreseen_failure_is_one_line_with_its_reason_and_no_traceback():
    """A foreseen failure is one line with its reason and without a traceback."""
    (line,) = logged(AwayError("no\n  answer\x1b[2J", "refused"))
    assert "exc_info" not in line
    assert (line["error"], line["reason"]) == ("no answer\ufffd[2J", "refused")


def test_defect_has_its_traceback_and_a_bounded_line():
    """A defect is logged with its traceback and a bounded line, and without a foreign attribute `reason`."""
    error = UnicodeDecodeError("utf-8", b"x" * 9000, 0, 1, "y" * 9000)
    (line,) = logged(error)
    assert line["exc_info"] is error
    assert len(line["error"]) <= 300
    assert "reason" not in line


def test_foreseen_failure_that_changes_is_told_at_once_and_one_that_comes_back_is_not():
    """A new failure is logged at once, and failures that alternate are not logged each time."""
    away, refused = AwayError("silent"), AwayError("wrong password", "refused")
    lines = logged(away, refused, away, refused, AwayError("wrong certificate", "refused"))
    assert [line["error"] for line in lines] == ["silent", "wrong password", "wrong certificate"]


def test_foreseen_failures_that_are_never_the_same_do_not_fill_the_log():
    """Failures whose text differs each time are logged a bounded number of times."""
    assert len(logged(*(AwayError(f"port {port}") for port in range(50)))) == MAX_KINDS


def test_after_a_minute_every_kind_of_failure_is_told_again():
    """After a minute every kind of failure is logged again."""
    now = [0.0]
    away, refused = AwayError("silent"), AwayError("wrong password", "refused")
    with structlog.testing.capture_logs() as lines:
        log = FailureLog("recover", clock=lambda: now[0])
        for now[0], error in ((0.0, away), (1.0, refused), (62.0, away), (63.0, refused)):
            log.failed(error)
    assert [(line["event"], line["reason"]) for line in lines] == [
        ("duty failed", "away"),
        ("duty failed", "refused"),
        ("duty still fails", "away"),
        ("duty failed", "refused"),
    ]


def test_repeated_failure_says_why():
    """The minutely line of a repeated failure has its error and reason."""
    lines = logged(*[AwayError("wrong password", "refused")] * 62)
    assert [line["event"] for line in lines] == ["duty failed", "duty still fails"]
    assert (lines[1]["error"], lines[1]["reason"]) == ("wrong password", "refused")


def test_failure_that_ended_is_told_again_when_it_comes_back():
    """A failure that ended and comes back is logged at once."""
    with structlog.testing.capture_logs() as lines:
        log = FailureLog("recover")
        for _ in range(2):
            log.failed(AwayError("silent"))
            log.succeeded()
    assert [line["event"] for line in lines] == ["duty failed", "duty works again"] * 2


async def test_a_duty_tells_its_last_success_and_its_last_failure(metrics):
    """A duty tells how often it has failed in a row, and keeps the text of its last failure after a success."""
    quick = Backoff(kind="constant", base_s=0.0, cap_s=0.0, jitter=False)
    duty = Recorded(ConnectionError("away"), ConnectionError("still away"))
    runner = DutyRunner([duty], metrics, retry=quick)
    [before] = runner.duties()
    async with running(runner):
        await duty.until(passes=3)
        await settled()
        [after] = runner.duties()
    assert (before.last_success_at, before.failures, before.last_error) == (None, 0, "")
    assert (after.failures, after.last_error) == (0, "ConnectionError: still away")
    assert after.last_error_at <= after.last_success_at


async def test_a_duty_that_fails_tells_how_often_in_a_row(metrics):
    """A duty whose last pass has failed tells so, with the number of failures since it last went well."""
    quick = Backoff(kind="constant", base_s=0.0, cap_s=0.0, jitter=False)
    runner = DutyRunner([Recorded(*[ConnectionError("away")] * 10_000)], metrics, retry=quick)
    async with running(runner):
        await wait_until(lambda: runner.duties()[0].failures > 1, "it has failed twice")
