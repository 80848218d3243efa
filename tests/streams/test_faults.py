"""Calls outlast a short outage of Redis, and a longer one raises an error of ours that says what is wrong."""

import random
import socket
import time

import anyio
import pytest
from anyio import to_thread
from hypothesis import given
from hypothesis import strategies as st
from redis import exceptions as redis_errors
from streams.audit import audit
from streams.seeds import commit, new_job, seed, take
from waiting import wait_until

from millstream_cli.embedded import EmbeddedRedis, start_embedded_redis
from millstream_cli.redis_finder import RedisBinary
from millstream_contracts import DEFAULT_TENANT, JobType, Queue
from millstream_streams import (
    ANY_SERVICE,
    Broker,
    CommitCode,
    EnqueueCode,
    MissingRightError,
    NotDurableError,
    StoreError,
    StoreFullError,
    StoreUnavailableError,
    backoff_s,
    open_broker,
)
from millstream_streams import broker as broker_module
from millstream_streams.connection.faults import FIRST_DELAY_S, LONGEST_DELAY_S, translate, with_retries
from millstream_streams.store.scripting import load_script

QUEUE = Queue(DEFAULT_TENANT, JobType("email.send"))
SCRIPT_6_2 = "Error running script (call to f_66d6746baf9641d3977a12a0a8abe1247bea3881): @user_script:158: "


@pytest.mark.parametrize(
    "error",
    [
        redis_errors.ConnectionError("Connection refused"),
        redis_errors.TimeoutError("Timeout reading from socket"),
        redis_errors.BusyLoadingError("Redis is loading the dataset in memory"),
        redis_errors.ReadOnlyError("You can't write against a read only replica."),
        redis_errors.ClusterDownError("The cluster is down"),
        redis_errors.TryAgainError("Multiple keys request during rehashing of slot"),
        redis_errors.MasterDownError("Link with MASTER is down"),
        redis_errors.ResponseError("NOREPLICAS Not enough good replicas to write."),
        redis_errors.ResponseError("MISCONF Redis is configured to save RDB snapshots"),
        redis_errors.ResponseError("BUSY Redis is busy running a script."),
        redis_errors.ResponseError("UNBLOCKED the stream key no longer exists"),
        redis_errors.ResponseError(f"{SCRIPT_6_2}@user_script: 158: -READONLY You can't write against a replica."),
        redis_errors.ResponseError(f"{SCRIPT_6_2}@user_script: 158: -NOREPLICAS Not enough good replicas to write."),
        redis_errors.ResponseError(f"{SCRIPT_6_2}@user_script: 158: -MISCONF Redis is configured to save"),
        ConnectionResetError("reset by peer"),
    ],
    ids=lambda error: f"{type(error).__name__} {str(error)[:12]}",
)
def test_translate_knows_what_passes(error: Exception) -> None:
    """An error that passes without a change on our side is translated to unavailability, whichever server words it."""
    assert type(translate(error)) is StoreUnavailableError


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("this user has no permissions to run the 'xgroup' command or its subcommand", "+xgroup"),
        ("this user has no permissions to run the 'evalsha' command", "+evalsha"),
        ("User ann has no permissions to run the 'xgroup|create' command", "+xgroup|create"),
        (
            "ACL failure in script: User ann has no permissions to run the 'xadd' command script: 3f",
            "+xadd",
        ),
        (f"{SCRIPT_6_2}@user_script: 1: The user executing the script can't run this command or subcommand", "doctor"),
        ("The user executing the script can't run this command or subcommand script: 3f, on @user_script:1.", "doctor"),
        ("User watcher has no permissions to run the 'sentinel|masters' command", "the user of the Sentinels lacks"),
        ("this user has no permissions to access one of the keys used as arguments", "key pattern"),
        ("No permissions to access a key", "key pattern"),
        (f"{SCRIPT_6_2}The user executing the script can't access at least one of the keys mentioned", "key pattern"),
        ("ACL failure in script: No permissions to access a key script: 3f, on @user_script:1.", "key pattern"),
        ("this user has no permissions to access one of the channels used as arguments", "channel pattern"),
        ("No permissions to access a channel", "channel pattern"),
        ("The user executing the script can't publish to the channel mentioned in the command", "channel pattern"),
    ],
)
def test_translate_names_the_right_that_is_missing(text: str, names: str) -> None:
    """A missing right is translated to unavailability that names the right in the words of an ACL."""
    meaning = translate(redis_errors.ResponseError(text))
    assert type(meaning) is MissingRightError
    assert meaning.reason == "refused"
    assert names in str(meaning)


def test_translate_names_a_right_that_the_client_of_a_cluster_puts_behind_its_own_error() -> None:
    """A missing right is also found in the cause of an error of the cluster client."""
    error = redis_errors.RedisClusterException("Redis Cluster cannot be connected")
    error.__cause__ = redis_errors.NoPermissionError("User ann has no permissions to run the 'cluster|slots' command")
    meaning = translate(error)
    assert type(meaning) is MissingRightError
    assert "+cluster|slots" in str(meaning)


@pytest.mark.parametrize("command", ["wait", "waitaof"])
def test_a_confirmation_that_is_not_permitted_is_none(command: str) -> None:
    """A missing right to WAIT is translated to a missing confirmation, because the job itself is stored."""
    error = redis_errors.NoPermissionError(f"User ann has no permissions to run the '{command}' command")
    assert type(translate(error)) is NotDurableError


@pytest.mark.parametrize(
    "error",
    [
        redis_errors.OutOfMemoryError("command not allowed when used memory > 'maxmemory'."),
        redis_errors.ResponseError(
            "OOM command not allowed when used memory > 'maxmemory'. script: 1, on @user_script"
        ),
        redis_errors.ResponseError(f"{SCRIPT_6_2}@user_script: 158: -OOM command not allowed when used memory"),
    ],
    ids=lambda error: str(error)[:12],
)
def test_translate_knows_a_full_redis(error: Exception) -> None:
    """An error of a full Redis is translated to an error of its own."""
    assert type(translate(error)) is StoreFullError


@pytest.mark.parametrize(
    "error",
    [
        redis_errors.ResponseError("WRONGTYPE Operation against a key holding the wrong kind of value"),
        redis_errors.ResponseError("user_script:3: attempt to index a nil value"),
        redis_errors.ResponseError("ERR syntax error near a ROOMY LOADING dock"),
        redis_errors.DataError("Invalid input of type: 'NoneType'"),
    ],
    ids=lambda error: str(error)[:12],
)
def test_translate_leaves_our_own_mistakes_alone(error: Exception) -> None:
    """An error that a defect of ours causes is neither translated nor retried."""
    assert translate(error) is None


def test_translate_does_not_repeat_what_the_error_carries() -> None:
    """The translated error omits the arguments of the command, because a payload must not end in a log."""
    payload = "x" * 500 + "secret"
    assert "secret" not in str(translate(redis_errors.ConnectionError(payload)))


@given(st.integers(min_value=1, max_value=10**9))
def test_backoff_stays_within_its_bounds(failures: int) -> None:
    """A backoff is positive and at most the longest delay, after any number of failures."""
    assert 0 < backoff_s(failures) <= LONGEST_DELAY_S


@pytest.mark.parametrize("failures", [1, 2, 3, 8, 100])
def test_backoff_has_full_jitter(failures: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A backoff is drawn from a tenth of its bound to all of it, so that clients come back apart."""
    bound = min(0.05 * 2 ** (failures - 1), 5.0)
    drawn = {backoff_s(failures) for _ in range(50)}
    assert len(drawn) > 40
    assert all(bound / 10 <= delay_s <= bound for delay_s in drawn)
    monkeypatch.setattr(random, "uniform", lambda low, high: (low, high))
    assert backoff_s(failures) == (pytest.approx(bound / 10), pytest.approx(bound))


async def test_with_retries_raises_what_was_wrong_once_patience_has_run_out() -> None:
    """Without patience the first failure is raised, and each call gets the number of failures before it."""
    seen: list[int] = []

    async def call(failures: int) -> None:
        seen.append(failures)
        raise redis_errors.ConnectionError("gone")

    with pytest.raises(StoreUnavailableError, match="gone"):
        await with_retries(call, 0.0, lambda: None)
    assert seen == [0]


async def test_with_retries_makes_no_call_for_which_it_would_have_to_wait_beyond_its_patience() -> None:
    """With less patience than the shortest pause there is no second call."""
    calls: list[int] = []

    async def call(failures: int) -> None:
        calls.append(failures)
        raise redis_errors.ConnectionError("gone")

    for _ in range(20):
        with pytest.raises(StoreUnavailableError):
            await with_retries(call, FIRST_DELAY_S / 11, lambda: None)
    assert calls == [0] * 20


@pytest.mark.parametrize(
    ("said", "meaning"),
    [
        (redis_errors.OutOfMemoryError("full"), StoreFullError),
        (redis_errors.ResponseError("WAITAOF cannot be used"), NotDurableError),
    ],
    ids=["full", "not durable"],
)
async def test_with_retries_does_not_wait_for_a_full_redis(said: Exception, meaning: type[StoreError]) -> None:
    """The errors of a full Redis and of a missing confirmation are raised at once, for the caller to handle."""
    calls: list[int] = []

    async def call(failures: int) -> None:
        calls.append(failures)
        raise said

    with pytest.raises(meaning):
        await with_retries(call, 3600.0, lambda: None)
    assert calls == [0]


async def test_with_retries_tries_again_until_it_succeeds() -> None:
    """Each failure is counted, and the result is that of the last call."""
    faults: list[int] = []

    async def call(failures: int) -> str:
        if failures < 3:
            raise redis_errors.ConnectionError("gone")
        return f"after {failures}"

    assert await with_retries(call, 3600.0, lambda: faults.append(1)) == "after 3"
    assert len(faults) == 3


async def test_scripts_are_sent_again_when_the_server_forgot_them(broker: Broker, queue: Queue) -> None:
    """A script that the server forgot, as after SCRIPT FLUSH, is sent again without an error."""
    await seed(broker, queue)
    await broker.client.script_flush()
    (job_id,) = await seed(broker, queue)
    assert job_id in [delivery.id for delivery in await take(broker, queue)]
    assert await broker.client.script_exists(load_script("enqueue").sha) == [True]


async def test_enqueue_says_unavailable_when_nobody_listens() -> None:
    """A port without a server raises our unavailability, and no error of redis-py."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    async with open_broker(f"redis://127.0.0.1:{port}/0", patience_s=0.0) as away:
        for call in (
            lambda: away.store.enqueue(QUEUE, [new_job(QUEUE, "canary")]),
            lambda: away.views.job(QUEUE, new_job(QUEUE).id),
            away.ping,
            away.probe,
        ):
            with pytest.raises(StoreUnavailableError) as caught:
                await call()
            assert "canary" not in str(caught.value)


@pytest.mark.parametrize(("scheme", "others_may_answer"), [("redis", False), ("redis+cluster", True)])
async def test_only_of_a_cluster_may_other_nodes_answer(
    free_tcp_port: int, scheme: str, others_may_answer: bool
) -> None:
    """The unavailability of a cluster's node says that other nodes may respond; that of a single server does not."""
    async with open_broker(f"{scheme}://127.0.0.1:{free_tcp_port}", patience_s=0.0) as away:
        with pytest.raises(StoreUnavailableError) as caught:
            await away.store.measure(QUEUE)
    assert caught.value.others_may_answer is others_may_answer


async def test_a_start_waits_longer_after_each_failure(free_tcp_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A service that starts before Redis waits longer after each failure, and logs each failure once."""
    asked: list[int] = []
    told: list[StoreUnavailableError] = []

    def backoff(failures: int) -> float:
        asked.append(failures)
        return 0.0

    monkeypatch.setattr(broker_module, "backoff_s", backoff)
    async with (
        open_broker(f"redis://127.0.0.1:{free_tcp_port}", patience_s=0.0) as away,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(away.wait_suitable, told.append, ANY_SERVICE)
        await wait_until(lambda: len(asked) >= 3, "it has failed three times")
        tasks.cancel_scope.cancel()
    assert asked[:3] == [1, 2, 3]
    assert len(told) - len(asked) in (0, 1)


class Reconnects:
    """An observer that counts the failed calls of a broker."""

    def __init__(self) -> None:
        self.count = 0

    def observe_call(self, script: str, seconds: float) -> None:
        """Do nothing."""

    def count_reconnect(self) -> None:
        """Count a failure."""
        self.count += 1


async def test_calls_are_observed_in_seconds(redis_url: str, namespace: str) -> None:
    """Calls are observed in seconds, so that none took longer than all of them together."""
    seen: dict[str, float] = {}

    class Observer(Reconnects):
        def observe_call(self, script: str, seconds: float) -> None:
            seen[script] = seconds

    begun = time.perf_counter()
    async with open_broker(redis_url, namespace=namespace, observer=Observer()) as opened:
        await opened.store.measure(QUEUE)
    assert 0 < seen["measure"] <= time.perf_counter() - begun


async def test_enqueue_outlasts_a_restart_of_redis(own_redis: EmbeddedRedis) -> None:
    """A call during a restart of Redis succeeds after it, with nothing lost and nothing stored twice."""
    faults = Reconnects()
    binary = RedisBinary(own_redis.binary, own_redis.version)
    job = new_job(QUEUE)
    async with open_broker(own_redis.url, patience_s=120.0, observer=faults) as broker:
        (earlier,) = await seed(broker, QUEUE)
        own_redis.close()
        answers: list[EnqueueCode] = []

        async def enqueue() -> None:
            answers.extend(one.code for one in await broker.store.enqueue(QUEUE, [job]))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(enqueue)
            await wait_until(lambda: faults.count, "the call has failed once")
            again = await to_thread.run_sync(
                lambda: start_embedded_redis(own_redis.folder, own_redis.port, binary=binary)
            )
        with again:
            assert answers == [EnqueueCode.STORED]
            assert [delivery.id for delivery in await take(broker, QUEUE)] == [earlier, job.id]


@pytest.mark.parametrize("trouble", ["read-only", "no replicas"])
async def test_every_transition_says_unavailable_while_redis_takes_no_writes(
    own_redis: EmbeddedRedis, trouble: str
) -> None:
    """Every transition raises unavailability while Redis refuses writes, as a demoted primary does."""
    async with open_broker(own_redis.url, patience_s=0.0) as broker:
        await seed(broker, QUEUE, 2)
        await take(broker, QUEUE, limit=1)
        if trouble == "read-only":
            await broker.client.execute_command("REPLICAOF", "127.0.0.1", "1")
        else:
            await broker.client.config_set("min-replicas-to-write", 1)
        reader = broker.reader()
        for call in (
            lambda: seed(broker, QUEUE),
            lambda: take(broker, QUEUE),
            lambda: broker.store.recover(QUEUE, lease_ms=0, max_crashes=3),
            lambda: reader.wait([QUEUE], consumer="w1", block_ms=0),
        ):
            with pytest.raises(StoreError) as caught:
                await call()
            assert type(caught.value) is StoreUnavailableError
        await reader.close()


async def test_transitions_are_whole_without_the_right_to_publish(own_redis: EmbeddedRedis) -> None:
    """Without the right to publish, every transition is made whole, and only its hint is lost."""
    async with open_broker(own_redis.url) as broker:
        rights = {"categories": ["+@all"], "keys": ["*"], "reset_channels": True}
        await broker.client.acl_setuser("ann", enabled=True, nopass=True, **rights)
        async with open_broker(own_redis.url.replace("redis://", "redis://ann:x@")) as silent:
            await seed(silent, QUEUE, delay_ms=60_000)
            (waited,) = await seed(silent, QUEUE, waited=True)
            (delivery,) = await take(silent, QUEUE)
            await silent.store.cancel(QUEUE, [waited])
            assert await commit(silent, delivery) is CommitCode.COMMITTED
        await audit(broker, QUEUE)
        assert (await broker.store.measure(QUEUE)).scheduled == 1
