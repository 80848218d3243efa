"""`doctor` says whether jobs are safe on a Redis."""

import json
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest
from cli.commands import refused, run
from topologies.cluster import Cluster, three_primaries

from millstream_cli.embedded import EmbeddedRedis
from millstream_streams import open_broker

AWAY = "redis://127.0.0.1:9/0"


@pytest.fixture
def configure(own_redis: EmbeddedRedis):
    """Return a function that changes a setting of the test's own server."""

    async def change(url: str, name: str, value: str) -> None:
        async with open_broker(url) as broker:
            await broker.client.config_set(name, value)

    return lambda name, value: anyio.run(change, own_redis.url, name, value)


def about_redis(text: str) -> list[str]:
    """Return the printed lines about Redis, which come first."""
    lines = text.splitlines()
    ends = [at for at, line in enumerate(lines) if not line.startswith(" ")]
    return lines[: ends[1]] if len(ends) > 1 else lines


def test_doctor_finds_nothing_wrong_with_the_embedded_redis(own_redis):
    """`doctor` finds nothing wrong with the embedded Redis."""
    result = run("doctor", MILLSTREAM_REDIS_URL=own_redis.url)
    assert result.exit_code == 0
    head, *advice = about_redis(result.stdout)
    assert "(single): safe for jobs, " in head
    assert [line for line in advice if "WAITAOF" not in line] == []


def test_doctor_objects_to_a_redis_that_throws_jobs_away(own_redis, configure):
    """`doctor` objects to a Redis that evicts, with exit code 1."""
    configure("maxmemory-policy", "allkeys-lru")
    result = run("doctor", MILLSTREAM_REDIS_URL=own_redis.url)
    assert result.exit_code == 1
    assert "not safe" in result.stdout
    assert "must change: maxmemory-policy is `allkeys-lru`" in result.stdout
    found = run("doctor", "--json", MILLSTREAM_REDIS_URL=own_redis.url)
    assert (found.exit_code, len(json.loads(found.stdout)["objections"])) == (1, 1)


@pytest.fixture
def as_ann(own_redis: EmbeddedRedis):
    """Return a function that gives a user all rights except some rules, and returns the variables for that user."""

    async def allow(*rules: str) -> None:
        async with open_broker(own_redis.url) as broker:
            words = ("ACL", "SETUSER", "ann", "reset", "on", ">secret", "~*", "&*", "+@all", *rules)
            await broker.client.execute_command(*words)

    def allowed(*rules: str) -> dict[str, str]:
        anyio.run(allow, *rules)
        return {"MILLSTREAM_REDIS_URL": own_redis.url.replace("redis://", "redis://ann:secret@")}

    return allowed


@pytest.mark.parametrize(
    ("rules", "names"),
    [
        (["-evalsha"], "+evalsha"),
        (["-eval"], "+eval"),
        (["-xadd"], "+xadd"),
        (["resetkeys", "~other:*"], "~ms:{*/*/*}:*, ~ms:queues"),
        (["resetchannels"], "&ms:hints:settled"),
        (["-publish"], "+publish"),
    ],
)
def test_doctor_names_the_right_that_jobs_lack_in_one_line(as_ann, rules, names):
    """`doctor` names in one line the right that jobs lack."""
    result = run("doctor", **as_ann(*rules))
    assert result.exit_code == 1
    head, line, *_ = result.stdout.splitlines()
    assert "(single): jobs cannot be moved" in head
    assert line.startswith(f"  must change: the Redis user `ann` lacks {names}: ")
    assert "secret" not in result.output


def test_doctor_tries_all_that_one_service_does(as_ann):
    """`doctor` for one service checks the rights of that service."""
    environ = as_ann("-xclaim")
    assert run("doctor", **environ).exit_code == 0
    assert run("doctor", "--for", "reaper", **environ).exit_code == 0
    result = run("doctor", "--for", "worker", "--json", **environ)
    (objection,) = json.loads(result.stdout)["objections"]
    assert (result.exit_code, objection) == (1, "the Redis user `ann` lacks +xclaim: see deploy/redis/users.acl")
    refused(run("doctor", "--for", "workers", **environ), "worker", code=2)


def test_doctor_says_what_is_hidden_and_fails_nothing_for_it(as_ann):
    """`doctor` says which settings are hidden, and does not fail for that."""
    result = run("doctor", **as_ann("-config", "-info"))
    assert result.exit_code == 0
    assert "hides its configuration" in result.stdout


def test_doctor_tells_machines_of_every_node(own_redis):
    """`doctor --json` lists every node with its address, role and findings."""
    found = json.loads(run("doctor", "--json", MILLSTREAM_REDIS_URL=own_redis.url).stdout)
    (node,) = found["nodes"]
    assert (node["address"], node["role"]) == (f"127.0.0.1:{own_redis.port}", "primary")
    assert {**node["found"], "mode": "single"} == found["redis"]


def test_doctor_gives_advice_that_is_no_objection(own_redis, configure):
    """Advice does not change the exit code."""
    configure("appendonly", "no")
    configure("hash-max-listpack-value", "64")
    result = run("doctor", "--json", MILLSTREAM_REDIS_URL=own_redis.url)
    found = json.loads(result.stdout)
    assert (result.exit_code, found["objections"]) == (0, [])
    assert found["redis"]["appendonly"] is False
    assert {"appendonly", "hash-max-listpack-value"} <= {line.split()[0] for line in found["advice"]}


@pytest.mark.parametrize(
    ("url", "says", "code"),
    [
        (AWAY, "Connection", 3),
        ("redis://127.0.0.1:99999/0", "no valid port", 1),
        ("http://127.0.0.1", "expected an address such as redis://", 2),
        ("redis://:secret@127.0.0.1:9/0", "127.0.0.1", 3),
        ("redis+sentinel://:secret@127.0.0.1:9/main/0", "", 3),
        ("redis+cluster://:secret@127.0.0.1:9", "", 3),
    ],
)
def test_doctor_says_in_one_line_why_it_cannot_look(url, says, code):
    """`doctor` says in one line why it cannot connect, without a password."""
    assert "secret" not in refused(run("doctor", MILLSTREAM_REDIS_URL=url), says, code=code)


def test_doctor_takes_no_misspelt_variable():
    """A misspelt variable stops `doctor`."""
    refused(run("doctor", MILLSTREAM_REDIS_URI=AWAY), "did you mean `MILLSTREAM_REDIS_URL`", code=2)


@pytest.fixture
def cluster(redis_binary, tmp_path: Path) -> Iterator[Cluster]:
    """Yield three primaries of this test's own."""
    with three_primaries(tmp_path, redis_binary, {"cluster-node-timeout": 60_000}) as running:
        yield running


def test_doctor_asks_every_node_of_a_cluster_and_names_the_one_that_is_not_safe(cluster):
    """`doctor` checks every node of a cluster and names the unsafe one, in text and in JSON."""
    bad = cluster.nodes[1]
    bad.ask("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    result = run("doctor", MILLSTREAM_REDIS_URL=cluster.url)
    assert (result.exit_code, "(cluster): not safe" in result.stdout) == (1, True)
    assert f"must change: 127.0.0.1:{bad.port}: maxmemory-policy is `allkeys-lru`" in result.stdout
    found = json.loads(run("doctor", "--json", MILLSTREAM_REDIS_URL=cluster.url).stdout)
    assert found["redis"]["maxmemory_policy"] == "allkeys-lru"
    policies = {node["address"]: node["found"]["maxmemory_policy"] for node in found["nodes"]}
    others = {f"127.0.0.1:{node.port}": "noeviction" for node in cluster.others(bad)}
    assert policies == others | {f"127.0.0.1:{bad.port}": "allkeys-lru"}


@pytest.mark.parametrize("number", range(3))
def test_doctor_names_a_node_that_does_not_answer(cluster, number):
    """`doctor` names any node of a cluster that does not respond, also the first one."""
    silent = cluster.nodes[number]
    silent.freeze()
    try:
        result = run("doctor", MILLSTREAM_REDIS_URL=cluster.url)
    finally:
        silent.thaw()
    assert f"could be better: the primary 127.0.0.1:{silent.port} could not be asked: " in result.stdout
    assert result.stderr == ""
