"""Fixtures of all packages: the Redis of the run, and a broker on a namespace of its own."""

import gc
import logging
import os
import secrets
from collections.abc import AsyncIterator, Generator, Iterator
from pathlib import Path

import hypothesis
import pytest
import structlog
from hanging import limit_async_test, limit_teardown
from history_databases import empty_history_url, history_url, migrated_database, postgres_url
from history_databases import report as report_postgres
from leftovers import delete_namespace, find_leaks
from redis_servers import SERVERS, ServerPool, Servers, binary_for, choose_servers
from sharding import Scheduling, arrange, end_unused, note_set_up, process_count
from xdist.remote import Producer

from millstream_cli.embedded import EmbeddedRedis, start_embedded_redis
from millstream_cli.redis_finder import RedisBinary
from millstream_streams import Broker, open_broker

__all__ = ["empty_history_url", "history_url", "migrated_database", "postgres_url"]

pytest.register_assert_rewrite(
    "cli.commands",
    "console.serving",
    "fuzz.target",
    "ingest.serving",
    "streams.audit",
    "streams.machine",
    "streams.seeds",
    "system.running",
)

# How long an example takes says nothing here: the machines that run this are busy.
hypothesis.settings.register_profile("millstream", deadline=None, print_blob=True)
hypothesis.settings.load_profile("millstream")


def pytest_configure(config: pytest.Config) -> None:
    """Choose the servers of this run, without starting one."""
    config.stash[SERVERS] = choose_servers(os.environ.get("MILLSTREAM_TEST_REDIS"))


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Group and order the tests for their distribution, in each process that runs them."""
    if hasattr(config, "workerinput"):
        arrange(items)


def pytest_collection_finish() -> None:
    """Have no garbage collection look at the thousands of tests again, which all live until the end."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Escape what a test has written and is no UTF-8, because a worker of xdist could not send it."""
    report = yield
    report.sections = [(name, text.encode(errors="backslashreplace").decode()) for name, text in report.sections]
    return report


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    """Limit the time of an async test, before anyio runs it."""
    limit_async_test(pyfuncitem)
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Generator[None]:
    """Limit the time of a teardown; pytest's own limits have ended where the test failed. Then end what is not used."""
    limit_teardown(item.config)
    try:
        return (yield)
    finally:
        # One process has all tests, in an order that comes back to the same system.
        if hasattr(item.config, "workerinput"):
            end_unused(item.config, nextitem)


def pytest_fixture_setup(fixturedef: pytest.FixtureDef[object], request: pytest.FixtureRequest) -> None:
    """Note what is to be ended when no further test uses it."""
    note_set_up(fixturedef, request)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Return how many processes `-n auto` means."""
    return process_count()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Scheduling:
    """Distribute the tests by units."""
    return Scheduling(config, log)


def pytest_report_header(config: pytest.Config) -> list[str]:
    """Return which servers the tests have, and which are missing."""
    return [*config.stash[SERVERS].report(), *report_postgres()]


@pytest.fixture(autouse=True)
def fresh_logs() -> Iterator[None]:
    """Reset the log configuration after a test, because the next one would write into its stream."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(capture=False)


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Run async tests on asyncio only: redis-py knows no other."""
    return "asyncio"


@pytest.fixture(scope="session")
def servers(request: pytest.FixtureRequest) -> Servers:
    """Return the servers of this run."""
    return request.config.stash[SERVERS]


@pytest.fixture(scope="session")
def server_pool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerPool]:
    """Yield a pool that starts each server when it is first asked for."""
    with ServerPool(tmp_path_factory.mktemp("servers")) as pool:
        yield pool


@pytest.fixture(scope="session")
def redis_url(request: pytest.FixtureRequest, server_pool: ServerPool, servers: Servers) -> str:
    """Return the URL of the Redis of this test, the default one or its parameter. Keys belong below `namespace`."""
    return server_pool.url_of(getattr(request, "param", servers.default))


@pytest.fixture(scope="session")
def redis_binary(request: pytest.FixtureRequest, servers: Servers) -> RedisBinary:
    """Return the server program for tests that start servers of their own: the default one, or their parameter."""
    return getattr(request, "param", None) or binary_for(servers.default)


@pytest.fixture
def own_redis(redis_binary: RedisBinary, tmp_path: Path) -> Iterator[EmbeddedRedis]:
    """Yield a server of this test's own, to fill, stop or break."""
    with start_embedded_redis(tmp_path / "own-redis", binary=redis_binary) as server:
        yield server


@pytest.fixture
def namespace() -> str:
    """Return a prefix of keys that no other test has."""
    return f"t{secrets.token_hex(6)}"


@pytest.fixture
async def broker(redis_url: str, namespace: str) -> AsyncIterator[Broker]:
    """Yield a broker on the namespace of this test, and fail if keys are left behind that should not be."""
    async with open_broker(redis_url, namespace=namespace) as opened:
        yield opened
        leaks = await find_leaks(opened.client, namespace)
        await delete_namespace(opened.client, namespace)
    assert not leaks, "left behind in Redis:\n" + "\n".join(leaks)
