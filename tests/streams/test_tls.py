"""All connections to a Redis that wants TLS and a client certificate on every port use both."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, suppress
from pathlib import Path

import anyio
import pytest
from leftovers import delete_namespace
from msgspec.structs import replace
from streams.seeds import FAR_MS, commit, make_due, new_job, seed, seed_running, take
from topologies.certificates import Authority, Pair
from topologies.locked import LOCKED, SENTINEL_PASSWORD, Keys, make_keys, require_tls
from waiting import wait_until

from millstream_cli.redis_finder import RedisBinary
from millstream_contracts import DEFAULT_TENANT, JobType, Queue
from millstream_streams import (
    Broker,
    CommitCode,
    NotDurableError,
    RedisAddress,
    RedisTlsError,
    StoreUnavailableError,
    TlsFiles,
    open_broker,
    tls_context,
)
from millstream_streams.store import job_store
from millstream_streams.store.deliveries import Durability

OTHERS = [Queue(DEFAULT_TENANT, JobType("report.generate"), partition) for partition in range(4)]
"""Enough queues that every node of a cluster has one."""


@pytest.fixture(scope="module")
def keys(redis_binary: RedisBinary, tmp_path_factory: pytest.TempPathFactory) -> Keys:
    """Return certificates for a server program that speaks TLS."""
    require_tls(redis_binary)
    return make_keys(tmp_path_factory.mktemp("keys"))


@pytest.fixture(scope="module", params=LOCKED)
def address(
    request: pytest.FixtureRequest, redis_binary: RedisBinary, keys: Keys, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RedisAddress]:
    """Yield the address of a locked Redis of each kind, with the credentials for it."""
    with LOCKED[request.param](tmp_path_factory.mktemp(request.param), redis_binary, keys) as opened:
        yield opened


@pytest.fixture
async def broker(address: RedisAddress, namespace: str) -> AsyncIterator[Broker]:
    """Yield a broker on a locked Redis."""
    async with open_broker(address, namespace=namespace) as opened:
        yield opened
        await delete_namespace(opened.client, namespace)


async def why_not(address: RedisAddress) -> StoreUnavailableError:
    """Return why Redis cannot be reached."""
    with pytest.raises(StoreUnavailableError) as caught:
        async with open_broker(address, patience_s=0.0) as broker:
            await broker.require_suitable()
    said = str(caught.value)
    assert "\n" not in said
    assert len(said) < 400
    assert "s3cr3t" not in said
    return caught.value


async def use(broker: Broker, queue: Queue) -> None:
    """Use every kind of connection that services have."""
    assert (await broker.require_suitable()).mode == broker.address.mode
    await broker.registry.add_queues([queue, *OTHERS])
    assert queue in await broker.registry.queues()
    for one in (queue, *OTHERS):
        await take(broker, one)
        assert await commit(broker, await seed_running(broker, one)) is CommitCode.COMMITTED
    reader, feed = broker.reader(), broker.feed(group="history", consumer="c1")
    async with aclosing(feed):
        (job_id,) = await seed(broker, queue)
        (entry,) = await reader.wait([queue, *OTHERS], consumer="w1", block_ms=1000)
        await reader.close()
        assert entry.id == job_id
        await wait_until(lambda: feed.read([queue], entries=10), "the feed has events")
    (due,) = await seed(broker, queue, delay_ms=FAR_MS)
    await make_due(broker, queue, [due])
    assert (await broker.store.release_due(queue)).released == 1


async def hear(broker: Broker, queue: Queue) -> None:
    """Wait for the hint of a job that is due soon."""
    heard: list[Queue] = []
    listens = anyio.Event()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(broker.listen_due, heard.append, listens.set)
        with anyio.fail_after(30):
            await listens.wait()
        await seed(broker, queue, delay_ms=FAR_MS)
        await wait_until(lambda: queue in heard, "the hint")
        tasks.cancel_scope.cancel()


async def test_every_kind_of_connection_reaches_a_redis_that_speaks_tls_alone(
    broker: Broker, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Scripts, blocking reads, events, subscriptions and lists use TLS, to Sentinels and found nodes as well."""
    await use(broker, queue)
    await hear(broker, queue)
    # Confirmed where there is a replica; where there is none, to hear that takes the same connection.
    monkeypatch.setitem(job_store._CONFIRMATIONS, Durability.REPLICATED, ("WAIT", 1, 50))
    with suppress(NotDurableError):
        await broker.store.enqueue(queue, [new_job(queue)], Durability.REPLICATED)


STRANGER = "stranger"
WRONG: dict[str, tuple[Callable[[RedisAddress, "Forged"], RedisAddress], str]] = {
    "authority": (
        lambda address, forged: replace(
            address, tls_files=replace(address.tls_files, ca_file=forged.authority.certificate)
        ),
        "has a certificate that is not trusted: ",
    ),
    "system authorities": (
        lambda address, forged: replace(address, tls_files=replace(address.tls_files, ca_file=None)),
        "has a certificate that is not trusted: ",
    ),
    "no client certificate": (
        lambda address, forged: replace(address, tls_files=TlsFiles(address.tls_files.ca_file)),
        "client certificate",
    ),
    "client certificate of a stranger": (
        lambda address, forged: replace(
            address, tls_files=TlsFiles(address.tls_files.ca_file, forged.client.certificate, forged.client.key)
        ),
        "does not trust our client certificate",
    ),
    "no TLS": (lambda address, forged: replace(address, tls=False), "speaks TLS only"),
}


ALERT_TRIES = 10
NOT_TRUSTED_OR_UNTOLD = r"does not trust our client certificate|closed the connection"


async def told_why_not(address: RedisAddress) -> StoreUnavailableError:
    """Return why Redis cannot be reached, in the words of the server.

    A server that refuses a client certificate sends an alert and closes. Where data of the client arrives after that,
    the connection is reset and the kernel drops the alert unread, as if the server had ended.
    """
    for _ in range(ALERT_TRIES):
        error = await why_not(address)
        if "closed the connection" not in str(error):
            break
    return error


class Forged:
    """Certificates of an authority that no server knows."""

    def __init__(self, folder: Path) -> None:
        self.authority = Authority(folder, "other")
        self.client = self.authority.issue(STRANGER)


@pytest.fixture(scope="module")
def forged(keys: Keys, tmp_path_factory: pytest.TempPathFactory) -> Forged:
    """Return certificates of a forger."""
    return Forged(tmp_path_factory.mktemp("forged"))


@pytest.mark.parametrize("wrong", WRONG)
async def test_wrong_certificates_are_refused_and_the_error_says_which(
    address: RedisAddress, forged: Forged, wrong: str
) -> None:
    """Each mistake with certificates has an error of its own, different from that of an absent Redis."""
    change, says = WRONG[wrong]
    error = await told_why_not(change(address, forged))
    assert says in str(error)
    assert error.reason == "refused"


async def test_a_server_with_the_certificate_of_another_name_is_refused(address: RedisAddress) -> None:
    """A server whose certificate is for another name is refused, also with the right authority."""
    elsewhere = replace(address, hosts=tuple(("127.0.0.2", port) for _, port in address.hosts))
    error = await why_not(elsewhere)
    if error.reason == "away":
        pytest.skip("this machine has no second address of its loopback")
    assert "has the certificate of another name" in str(error)
    assert error.reason == "refused"


async def test_the_password_of_redis_is_no_password_of_its_sentinels(address: RedisAddress) -> None:
    """Sentinels have credentials of their own, and their refusal is reported when these are missing or wrong."""
    if address.mode != "sentinel":
        pytest.skip("there are no Sentinels")
    for password, says in ((None, "wants a password"), ("other", "refuses the user name or the password")):
        error = await why_not(replace(address, sentinel_username=None, sentinel_password=password))
        assert says in str(error)
        assert error.reason == "refused"
    assert SENTINEL_PASSWORD not in repr(address)


async def test_a_new_certificate_is_taken_up_without_a_restart(
    redis_binary: RedisBinary, keys: Keys, forged: Forged, tmp_path: Path
) -> None:
    """The next connection uses a replaced certificate without a restart, and never one half of a pair."""
    shown = TlsFiles(keys.authority.certificate, tmp_path / "cert.pem", tmp_path / "key.pem")
    put(forged.client, shown)
    with LOCKED["single"](tmp_path, redis_binary, keys) as address:
        async with open_broker(replace(address, tls_files=shown), patience_s=0.0) as broker:
            # The alert may be lost: see told_why_not.
            with pytest.raises(StoreUnavailableError, match=NOT_TRUSTED_OR_UNTOLD):
                await broker.ping()
            put(Pair(keys.client.key, keys.client.key), shown)
            with pytest.raises(StoreUnavailableError, match=NOT_TRUSTED_OR_UNTOLD):
                await broker.ping()
            put(keys.client, shown)
            await broker.ping()


def put(pair: Pair, files: TlsFiles) -> None:
    """Replace a certificate and its key by a rename, as a mounted secret changes."""
    for source, place in ((pair.certificate, files.cert_file), (pair.key, files.key_file)):
        new = place.with_suffix(".new")
        new.write_bytes(source.read_bytes())
        new.replace(place)


@pytest.mark.parametrize(
    ("files", "field", "why"),
    [
        (lambda keys, folder: TlsFiles(folder / "none"), "ca_file", "cannot be read: No such file"),
        (lambda keys, folder: TlsFiles(folder), "ca_file", "cannot be read: Is a directory"),
        (lambda keys, folder: TlsFiles(keys.client.key), "ca_file", "has no certificate"),
        (lambda keys, folder: TlsFiles(None, folder / "none"), "cert_file", "cannot be read: No such file"),
        (lambda keys, folder: TlsFiles(None, keys.client.certificate), "cert_file", "has no key that fits"),
        (lambda keys, folder: TlsFiles(None, keys.client.certificate, folder / "none"), "key_file", "cannot be read"),
        (
            lambda keys, folder: TlsFiles(None, keys.client.certificate, keys.server.key),
            "key_file",
            "has no key that fits",
        ),
        (lambda keys, folder: TlsFiles(None, None, keys.client.key), "key_file", "without a certificate"),
    ],
    ids=lambda value: "" if callable(value) else value,
)
def test_files_that_cannot_be_used_are_refused_by_name(
    keys: Keys, tmp_path: Path, files: Callable[[Keys, Path], TlsFiles], field: str, why: str
) -> None:
    """A certificate file that cannot be used is refused before any connection, by the name of its setting."""
    with pytest.raises(RedisTlsError) as caught:
        tls_context(files(keys, tmp_path))
    assert caught.value.field == field
    assert why in str(caught.value)


def test_a_key_with_a_pass_phrase_is_refused_without_asking_for_it(keys: Keys) -> None:
    """A key with a pass phrase is refused, without a prompt on the terminal."""
    locked = keys.authority.issue("locked", password="hunter2")
    with pytest.raises(RedisTlsError, match="pass phrase"):
        tls_context(TlsFiles(None, locked.certificate, locked.key))
