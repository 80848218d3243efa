"""`doctor`: whether jobs are safe on a Redis."""

import json

import anyio
import pytest
from cli.commands import refused, run

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


def test_doctor_finds_nothing_wrong_with_the_embedded_redis(own_redis):
    """It is started with what it recommends."""
    result = run("doctor", MILLSTREAM_REDIS_URL=own_redis.url)
    assert result.exit_code == 0
    head, *advice = result.stdout.splitlines()
    assert head.endswith("(single): safe for jobs")
    assert [line for line in advice if "WAITAOF" not in line] == []


def test_doctor_objects_to_a_redis_that_throws_jobs_away(own_redis, configure):
    """Exit code 1, for a script that asks before a deployment."""
    configure("maxmemory-policy", "allkeys-lru")
    result = run("doctor", MILLSTREAM_REDIS_URL=own_redis.url)
    assert result.exit_code == 1
    assert "not safe" in result.stdout
    assert "must change: maxmemory-policy is `allkeys-lru`" in result.stdout
    found = run("doctor", "--json", MILLSTREAM_REDIS_URL=own_redis.url)
    assert (found.exit_code, len(json.loads(found.stdout)["objections"])) == (1, 1)


def test_doctor_gives_advice_that_is_no_objection(own_redis, configure):
    """What could be better fails nothing."""
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
        (AWAY, "Connection", 1),
        ("redis://127.0.0.1:99999/0", "no valid port", 1),
        ("http://127.0.0.1", "expected an address such as redis://", 2),
        ("redis://:secret@127.0.0.1:9/0", "127.0.0.1", 1),
        ("redis+sentinel://:secret@127.0.0.1:9/main/0", "", 1),
        ("redis+cluster://:secret@127.0.0.1:9", "", 1),
    ],
)
def test_doctor_says_in_one_line_why_it_cannot_look(url, says, code):
    """And no password with it."""
    assert "secret" not in refused(run("doctor", MILLSTREAM_REDIS_URL=url), says, code=code)


def test_doctor_takes_no_misspelt_variable():
    """Or it would look at another Redis than was meant."""
    refused(run("doctor", MILLSTREAM_REDIS_URI=AWAY), "did you mean `MILLSTREAM_REDIS_URL`", code=2)
