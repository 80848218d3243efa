"""Opens and closes everything that a service needs of Redis."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from typing import NoReturn

import anyio
import structlog
from msgspec import Struct

from millstream_codec import AskedTenants, Codec
from millstream_contracts import Queue, moment
from millstream_streams.batches.batches import Batches
from millstream_streams.connection.address import RedisAddress, parse_redis_url
from millstream_streams.connection.connections import (
    COMMAND_TIMEOUT_S,
    Client,
    close,
    connect,
    pipelined,
    pipelined_commands,
)
from millstream_streams.connection.faults import RedisObserver, backoff_s, not_connected, of_failure, translating
from millstream_streams.connection.refusals import Refusal, RightKind
from millstream_streams.errors import (
    MissingRightError,
    StoreUnavailableError,
    UnsuitableRedisError,
    WrongServerError,
)
from millstream_streams.reading.api_keys import ApiKeys
from millstream_streams.reading.audit_trail import AuditTrail
from millstream_streams.reading.callbacks import Callbacks
from millstream_streams.reading.data_keys import DataKeys
from millstream_streams.reading.event_feed import EventFeed
from millstream_streams.reading.event_lag import EventLag
from millstream_streams.reading.hints import listen
from millstream_streams.reading.lanes import LaneReader
from millstream_streams.reading.listing import Listing
from millstream_streams.reading.live_feed import LiveFeed
from millstream_streams.reading.rate_tokens import RateTokens
from millstream_streams.reading.ready_reader import ReadyReader
from millstream_streams.reading.registry import Registry
from millstream_streams.reading.schedules import Schedules
from millstream_streams.reading.stack_answers import StackAnswers
from millstream_streams.reading.stored_jobs import StoredJobs
from millstream_streams.reading.templates import Templates
from millstream_streams.reading.tenant_remains import TenantRemains
from millstream_streams.reading.tenants import Tenants
from millstream_streams.reading.views import JobViews
from millstream_streams.store.budget_dealer import BudgetDealer
from millstream_streams.store.clock import RedisClock
from millstream_streams.store.deliveries import StackRequest
from millstream_streams.store.dependency_store import DependencyStore
from millstream_streams.store.job_store import CONFIRM_WITHIN_S, JobStore
from millstream_streams.store.keys import DEFAULT_NAMESPACE, Keys
from millstream_streams.store.queue_scripts import QueueScripts
from millstream_streams.store.settings_store import SettingsStore
from millstream_streams.store.step_store import StepStore
from millstream_streams.store.tenant_quotas import TenantQuotas
from millstream_streams.suitability.clock_check import ClockReading, read_clock
from millstream_streams.suitability.needs import Needs
from millstream_streams.suitability.probing import look_closer
from millstream_streams.suitability.rights import Rights, tried_queue, try_rights
from millstream_streams.suitability.topology import Topology, survey
from millstream_streams.workflows.workflows import Workflows

CLOCK_WITHIN_S = 1.0
DRAIN = "drain"
"""The order to drain, as ask_drain.lua sends it."""

MAX_CONFIRMING = 64
"""The number of calls that may wait for a confirmation at once, each with a connection of its own."""


class Broker(Struct, frozen=True):
    """An open connection to Redis, with one part for each use."""

    address: RedisAddress
    keys: Keys
    store: JobStore
    dependencies: DependencyStore
    steps: StepStore
    views: JobViews
    lanes: LaneReader
    listing: Listing
    registry: Registry
    schedules: Schedules
    workflows: Workflows
    batches: Batches
    templates: Templates
    api_keys: ApiKeys
    tenants: Tenants
    tenant_remains: TenantRemains
    audit_trail: AuditTrail
    rate_tokens: RateTokens
    data_keys: DataKeys
    sessions: ApiKeys
    """Sessions, which are keys of another kind."""
    settings: SettingsStore
    budgets: BudgetDealer
    quotas: TenantQuotas
    event_lag: EventLag
    stack_answers: StackAnswers
    callbacks: Callbacks
    stored_jobs: StoredJobs
    clock: RedisClock
    codec: Codec
    """Writes and reads what jobs carry."""
    client: Client
    """The client, for this package's own tests and `doctor`; services use the parts above."""

    def reader(self) -> ReadyReader:
        """Return a new blocking reader, which the caller closes."""
        return ReadyReader(self.address, self.keys, self.client)

    def feed(self, *, group: str, consumer: str) -> EventFeed:
        """Return a consumer of the events of all queues, which the caller closes. See :class:`EventFeed`."""
        return EventFeed(self.address, self.keys, self.client, group=group, consumer=consumer)

    def live_feed(self) -> LiveFeed:
        """Return a reader of events without a group, which the caller closes. See :class:`LiveFeed`."""
        return LiveFeed(self.address, self.keys, self.client)

    async def listen_due(self, on_hint: Callable[[Queue], None], on_gap: Callable[[], None]) -> NoReturn:
        """Listen for queues whose next due time moved closer. See :func:`hints.listen`."""
        await listen(self.address, [self.keys.hint_due], _reader_of_tags(on_hint), on_gap)

    async def listen_outbox(self, on_hint: Callable[[Queue], None], on_gap: Callable[[], None]) -> NoReturn:
        """Listen for queues in which a job has settled for which others wait. See :func:`hints.listen`."""
        await listen(self.address, [self.keys.hint_outbox], _reader_of_tags(on_hint), on_gap)

    async def listen_settled(self, on_hint: Callable[[str], None], on_gap: Callable[[], None]) -> NoReturn:
        """Listen for ids of watched jobs that have settled. See :func:`hints.listen`."""
        await listen(self.address, [self.keys.hint_settled], on_hint, on_gap)

    async def listen_queues(self, on_hint: Callable[[Queue], None], on_gap: Callable[[], None]) -> NoReturn:
        """Listen for queues that are new or were dormant, of all tenants and types. See :func:`hints.listen`."""
        read = _reader_of_tags(on_hint)

        def read_each(tags: str) -> None:
            for tag in tags.split():
                read(tag)

        await listen(self.address, [self.keys.hint_queues], read_each, on_gap)

    async def listen_keys(self, on_hint: Callable[[], None]) -> NoReturn:
        """Listen for changes of the keys of the API, and for gaps in which one may have been lost."""
        await listen(self.address, [self.keys.hint_keys], lambda _: on_hint(), on_hint)

    async def listen_cancel(
        self,
        worker: str,
        on_hint: Callable[[str], None],
        on_gap: Callable[[], None],
        on_stack: Callable[[StackRequest], None] = lambda _: None,
        on_drain: Callable[[], None] = lambda: None,
    ) -> NoReturn:
        """Listen for ids of jobs that this worker should stop, for requests for stacks, and for the order to drain.

        See :func:`hints.listen`.
        """

        def read(message: str) -> None:
            request = StackRequest.read(message)
            if request is not None:
                on_stack(request)
            elif message == DRAIN:
                on_drain()
            else:
                on_hint(message)

        await listen(self.address, [self.keys.hint_cancel(worker)], read, on_gap)

    async def look_at_clock(self) -> None:
        """Update the estimate of the clock of Redis. Without a response the earlier estimate stays."""
        asked_at = self.clock.asking()
        # On a cluster any node answers, and one that is away is no reason for its caller to fail.
        with suppress(StoreUnavailableError), anyio.move_on_after(CLOCK_WITHIN_S):
            seconds, microseconds = await translating(self.client.time)
            self.clock.heard(seconds + microseconds / 1e6, asked_at, step_s=0.0)

    async def read_clock(self) -> ClockReading:
        """Return the distance of Redis and the difference of its clock; on a cluster of any node.

        Raises: StoreError.
        """
        return await read_clock(lambda: translating(self.client.time))

    async def now(self) -> datetime:
        """Return the time of Redis. Raises: StoreError."""
        seconds, microseconds = await translating(self.client.time)
        return moment(seconds * 1000 + microseconds // 1000)

    async def ping(self) -> None:
        """Return once Redis has run a script of ours that writes, because a replica answers reads too.

        Raises: StoreUnavailableError.
        """
        for command in await self.store.try_rights(tried_queue()):
            raise MissingRightError(f"the user of Redis lacks {Refusal(RightKind.COMMAND, command)}")

    async def probe(self, *, thorough: bool = True) -> Topology:
        """Probe every server behind the address. See :func:`survey`.

        Raises: UnsuitableRedisError, when a server can never be the intended Redis; StoreUnavailableError.
        """
        try:
            return await survey(self.client, self.address, thorough=thorough)
        except WrongServerError as error:
            # To wait for what cannot come would be to wait for ever.
            raise UnsuitableRedisError(str(error)) from None
        except MissingRightError:
            raise
        except StoreUnavailableError as error:
            failure = not_connected(error)
            raise (error if failure is None else of_failure(await look_closer(failure))) from None

    async def try_rights(self, needs: Needs, found: Topology, *, thorough: bool = False) -> Rights:
        """Try the rights of a service on the servers that were found. Raises: StoreUnavailableError, StoreError."""
        away = {server.address for server in found.servers if server.unseen}
        return await try_rights(self.store, self.client, self.address, needs, away=away, thorough=thorough)

    async def wait_suitable(self, on_failure: Callable[[StoreUnavailableError], None], needs: Needs) -> Topology:
        """Wait without limit for Redis and for the rights to use it; then refuse one on which jobs would get lost.

        `on_failure` gets each failure, refusals included, because a password may be changed on either side. A server
        that can never be the intended Redis is not waited for. Raises: UnsuitableRedisError.
        """
        failures = 0
        while True:
            try:
                return await self.require_suitable(needs)
            except StoreUnavailableError as error:
                failures += 1
                on_failure(error)
            await anyio.sleep(backoff_s(failures))

    async def require_suitable(self, needs: Needs | None = None) -> Topology:
        """Probe every server, refuse one that loses jobs or is no Redis, and then try the rights in `needs`.

        A server that cannot be probed is logged and prevents no start, because it may come back while services run.
        Raises: UnsuitableRedisError; MissingRightError; StoreUnavailableError, when no primary responds.
        """
        found = await self.probe(thorough=False)
        if objections := found.objections():
            raise UnsuitableRedisError("; ".join(objections))
        log = structlog.get_logger()
        for server in found.servers:
            if server.unseen:
                log.warning("redis server not seen", address=server.address, role=server.role, reason=server.unseen)
        if needs is not None:
            rights = await self.try_rights(needs, found)
            if rights.objection:
                raise MissingRightError(rights.objection)
            if rights.warning:
                log.warning("redis rights missing", reason=rights.warning)
        return found


def _reader_of_tags(on_hint: Callable[[Queue], None]) -> Callable[[str], None]:
    def read(tag: str) -> None:
        try:
            queue = Queue.from_tag(tag)
        except ValueError:
            return  # any client may publish; what is no tag is no hint
        on_hint(queue)

    return read


@asynccontextmanager
async def open_broker(
    address: RedisAddress | str,
    *,
    namespace: str = DEFAULT_NAMESPACE,
    patience_s: float = 5.0,
    retention_s: float = 3600.0,
    max_connections: int = 8,
    answer_within_s: float = COMMAND_TIMEOUT_S,
    observer: RedisObserver | None = None,
    codec: Codec | None = None,
) -> AsyncIterator[Broker]:
    """Open Redis by its address, or by a URL that says all. Nothing is sent before the first call.

    `patience_s` is for how long a call is repeated while Redis is away, `answer_within_s` for how long each try waits
    for a response. `codec` is for this broker alone. Raises: RedisUrlError.
    """
    where = parse_redis_url(address) if isinstance(address, str) else address
    keys, clock = Keys(namespace), RedisClock()
    clients = _open_clients(where, max_connections=max_connections, answer_within_s=answer_within_s)
    scripts = QueueScripts(
        clients.scripting, keys, patience_s=patience_s, observer=observer, confirming=clients.confirming
    )
    codec = codec or Codec()
    data_keys = DataKeys(clients.reading, keys, patience_s=patience_s)
    tenants = Tenants(clients.reading, keys, patience_s=patience_s)
    codec.tenants = AskedTenants(tenants.encrypts_all)
    if codec.keyring is not None:
        codec.keyring.store = data_keys
    store = JobStore(scripts, retention_s=retention_s, clock=clock, codec=codec)
    budgets = BudgetDealer(scripts)
    quotas = TenantQuotas(scripts, clients.reading, budgets, patience_s=patience_s)
    try:
        yield Broker(
            address=where,
            keys=keys,
            store=store,
            dependencies=DependencyStore(scripts, retention_s=retention_s),
            steps=StepStore(scripts),
            views=JobViews(clients.reading, keys, patience_s=patience_s, codec=codec),
            lanes=LaneReader(clients.reading, keys, clock.now_ms, patience_s=patience_s),
            listing=Listing(
                clients.paging,
                keys,
                JobViews(clients.paging, keys, patience_s=patience_s, codec=codec),
                patience_s=patience_s,
            ),
            registry=Registry(clients.reading, keys, quotas, patience_s=patience_s),
            schedules=Schedules(clients.reading, keys, patience_s=patience_s),
            workflows=Workflows(clients.reading, keys, store, patience_s=patience_s),
            batches=Batches(clients.reading, keys, patience_s=patience_s),
            templates=Templates(clients.reading, keys, patience_s=patience_s),
            api_keys=ApiKeys(clients.reading, keys, patience_s=patience_s),
            tenants=tenants,
            tenant_remains=TenantRemains(clients.reading, clients.ordinary, keys, patience_s=patience_s),
            audit_trail=AuditTrail(clients.reading, keys, patience_s=patience_s),
            rate_tokens=RateTokens(clients.reading, keys),
            data_keys=data_keys,
            sessions=ApiKeys(clients.reading, keys, are_sessions=True, patience_s=patience_s),
            settings=SettingsStore(scripts, clients.reading, clock, patience_s=patience_s),
            budgets=budgets,
            quotas=quotas,
            event_lag=EventLag(clients.reading, keys, patience_s=patience_s),
            stack_answers=StackAnswers(clients.reading, keys, patience_s=patience_s),
            callbacks=Callbacks(clients.reading, keys, patience_s=patience_s),
            stored_jobs=StoredJobs(clients.reading, clients.ordinary, keys, patience_s=patience_s),
            clock=clock,
            codec=codec,
            client=clients.ordinary,
        )
    finally:
        await close(clients.scripting, clients.reading, clients.paging, clients.ordinary, clients.confirming)


class _Clients(Struct, frozen=True, kw_only=True):
    """The clients of one broker, each for calls of one kind."""

    ordinary: Client
    confirming: Client
    """For calls that wait for a confirmation."""
    scripting: Client
    reading: Client
    paging: Client
    """For pages: one may be large, and what comes behind it on its connection waits."""


def _open_clients(where: RedisAddress, *, max_connections: int, answer_within_s: float) -> _Clients:
    ordinary = connect(where, max_connections=max_connections, answer_within_s=answer_within_s)
    return _Clients(
        ordinary=ordinary,
        confirming=connect(where, max_connections=MAX_CONFIRMING, blocks_for_s=CONFIRM_WITHIN_S),
        scripting=pipelined(ordinary, answer_within_s=answer_within_s),
        reading=pipelined_commands(ordinary, answer_within_s=answer_within_s),
        paging=pipelined_commands(ordinary, answer_within_s=answer_within_s),
    )
