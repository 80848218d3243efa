"""Keeps the leases of running jobs, from a thread and a connection of its own.

A handler that blocks the event loop must not cost the jobs beside it their leases. A loop that hangs for good must not
keep its jobs for ever: the keeper stops renewing when the loop has not ticked for `stalled_loop_s`.
"""

import asyncio
import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Self

import anyio
import msgspec
import structlog

from millstream_codec import KeyLostError
from millstream_contracts import JobId, Progress, Queue
from millstream_runtime import FailureLog, HealthCheck, Pulse, codec_of
from millstream_streams import (
    Broker,
    Delivery,
    Lease,
    LeaseCode,
    StackRequest,
    StoreError,
    backoff_s,
    for_each_queue,
    in_calls,
    open_broker,
)
from millstream_workers.attempt.attempt_result import Interruption
from millstream_workers.attempt.running import Running
from millstream_workers.errors import LeaseKeeperError
from millstream_workers.keeping.stack_teller import StackTeller
from millstream_workers.settings import WorkerSettings

SAFE_SHARE_OF_LEASE = 2 / 3
"""A handler is stopped after this part of its lease without a renewal: at the end of the lease another may start."""

POLL_S = 0.25
"""Longest step of the keeper: how late it may hear of a hint, or of its end."""


class LeaseKeeper:
    """Renews leases until it is closed; a context manager. `tick` is called by the loop it watches.

    Two threads share its state without a lock, each of these in a way that the interpreter makes atomic:

    - `_held`: the loop adds and removes single keys; the keeper only copies the values with `list`, or asks for a key.
      A delivery that is removed after the copy was made is renewed once more, which Redis refuses if it has ended.
    - `_hinted`: the keeper alone touches it, on the loop of its own thread, and never across an `await`.
    - `Running`: the keeper alone writes `renewed_at` and `stored_progress`, the loop all else. Progress that is noted
      during a renewal differs by identity from what the renewal has carried, and so goes with the next one.
    - A handler is stopped on the loop: `call_soon_threadsafe` carries the order over.
    """

    def __init__(self, settings: WorkerSettings, consumer: str, loop: asyncio.AbstractEventLoop) -> None:
        self._settings = settings
        self._consumer = consumer
        self._loop = loop
        self._stacks = StackTeller(consumer, loop, threading.get_ident(), self._find)
        self._held: dict[tuple[JobId, str], Running] = {}
        self._hinted: set[JobId] = set()
        self._closing = threading.Event()
        self._step_s = min(POLL_S, settings.renew_every_s / 2)
        self.drain_asked = anyio.Event()
        """Set when an operator has asked this worker to drain."""
        self._loop_pulse = Pulse("event loop", settings.stalled_loop_s)
        self._own_pulse = Pulse("lease keeper", 3 * settings.lease_s)
        self._log = structlog.get_logger().bind(worker=consumer)
        self._death: BaseException | None = None
        self._dead = anyio.Event()
        self._thread = threading.Thread(target=self._run, name="lease-keeper", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._thread.join()

    def hold(self, running: Running) -> None:
        """Keep this delivery's lease from now on."""
        self._held[running.delivery.key] = running

    def let_go(self, delivery: Delivery) -> None:
        """Keep this delivery's lease no longer."""
        self._held.pop(delivery.key, None)

    def tick(self) -> None:
        """Record that the event loop is alive."""
        self._loop_pulse.beat()

    def checks(self) -> list[HealthCheck]:
        """Return whether the loop ticks and the keeper keeps."""
        return [self._loop_pulse.check(), self._own_pulse.check()]

    async def watch(self) -> None:
        """Wait on the event loop for the end of the keeper's thread. Raises: LeaseKeeperError."""
        await self._dead.wait()
        death = self._death
        while isinstance(death, BaseExceptionGroup):
            death = death.exceptions[0]
        raise LeaseKeeperError(f"the lease keeper has died: {type(death).__name__}: {death}") from death

    def _run(self) -> None:
        try:
            anyio.run(self._main)
        except BaseException as error:  # noqa: BLE001 - the thread's end is told to the loop
            self._death = error
            self._loop.call_soon_threadsafe(self._dead.set)

    async def _main(self) -> None:
        settings = self._settings
        async with (
            open_broker(
                settings.redis,
                namespace=settings.namespace,
                patience_s=0.0,
                max_connections=2,
                answer_within_s=min(5.0, settings.lease_s / 6),
                codec=codec_of(settings),
            ) as broker,
            anyio.create_task_group() as tasks,
        ):

            def tell_stack(request: StackRequest) -> None:
                tasks.start_soon(self._stacks.tell, broker, request)

            tasks.start_soon(
                broker.listen_cancel, self._consumer, self._note_hint, lambda: None, tell_stack, self._heed_drain
            )
            tasks.start_soon(self._watch_safety)
            await self._keep(broker)
            tasks.cancel_scope.cancel()

    def _find(self, job_id: JobId) -> Running | None:
        return next((running for running in list(self._held.values()) if running.id == job_id), None)

    def _note_hint(self, message: str) -> None:
        self._hinted.add(JobId(message))

    def _heed_drain(self) -> None:
        self._loop.call_soon_threadsafe(self.drain_asked.set)

    async def _watch_safety(self) -> None:
        """Stop handlers in time, even while renewals wait for a Redis that does not answer."""
        while True:
            self._own_pulse.beat()
            self._give_up_unsafe()
            await anyio.sleep(self._step_s)

    async def _keep(self, broker: Broker) -> None:
        failures = FailureLog("lease-keeper")
        while not self._closing.is_set():
            pause_s = self._step_s
            if self._loop_pulse.check().ok and (due := self._due()):
                try:
                    await self._renew(broker, due)
                    failures.succeeded()
                except StoreError as error:
                    failures.failed(error)
                    pause_s = min(backoff_s(failures.failures), self._settings.renew_every_s)
            # In short steps: hints arrive on this loop meanwhile, and the other thread may close the keeper.
            await self._rest(pause_s)

    async def _rest(self, pause_s: float) -> None:
        rested_at = time.monotonic() + pause_s
        while not self._closing.is_set() and time.monotonic() < rested_at:  # noqa: ASYNC110 - set by another thread
            await anyio.sleep(min(self._step_s, pause_s))

    def _due(self) -> list[Running]:
        now = time.monotonic()
        hinted, self._hinted = self._hinted, set()
        return [
            running
            for running in list(self._held.values())
            if now - running.renewed_at >= self._settings.renew_every_s or running.id in hinted
        ]

    async def _renew(self, broker: Broker, due: Iterable[Running]) -> None:
        """Renew all leases that are due.

        Raises: StoreUnavailableError at the first call, other errors after all of them.
        """
        by_queue: dict[Queue, list[Running]] = defaultdict(list)
        for running in due:
            by_queue[running.delivery.queue].append(running)

        async def renew(queue: Queue) -> None:
            all_running = by_queue[queue]
            for some in in_calls(all_running):
                await self._renew_some(broker, queue, some)

        await for_each_queue(by_queue, renew)

    async def _renew_some(self, broker: Broker, queue: Queue, some: Sequence[Running]) -> None:
        asked_at = time.monotonic()
        noted = [running.unstored_progress for running in some]
        leases = [
            _lease(running, await _stored(broker, running, progress))
            for running, progress in zip(some, noted, strict=True)
        ]
        codes = await broker.store.renew(queue, consumer=self._consumer, leases=leases)
        for running, progress in zip(some, noted, strict=True):
            if progress is not None:
                running.stored_progress = progress
        for running, code in zip(some, codes, strict=True):
            running.renewed_at = asked_at
            if code is LeaseCode.LOST:
                self._interrupt(running, Interruption.LEASE_LOST)
            elif code is LeaseCode.CANCEL_REQUESTED:
                self._interrupt(running, Interruption.CANCELLED)

    def _give_up_unsafe(self) -> None:
        now, lease_s = time.monotonic(), self._settings.lease_s
        for running in list(self._held.values()):
            if running.renewed_at < now - SAFE_SHARE_OF_LEASE * lease_s:
                # The handler has the rest of the lease for its clean-up: then another may start.
                self._interrupt(running, Interruption.LEASE_UNSAFE, max(0.0, running.renewed_at + lease_s - now))

    def _interrupt(self, running: Running, why: Interruption, cleanup_s: float | None = None) -> None:
        if running.interruption is None and running.delivery.key in self._held:
            self._loop.call_soon_threadsafe(running.interrupt, why, cleanup_s)


async def _stored(broker: Broker, running: Running, progress: Progress | None) -> Progress | None:
    """Return progress as it is stored; without its note where the key for that is not there."""
    if progress is None:
        return None
    tenant, codec = running.delivery.queue.tenant, broker.codec
    try:
        await codec.prepare(tenant, [running.coding])
    except (KeyLostError, StoreError):
        return Progress(progress.percent)
    return codec.write_progress(progress, running.coding, tenant, running.id)


def _lease(running: Running, progress: Progress | None) -> Lease:
    delivery = running.delivery
    blob = b"" if progress is None else msgspec.msgpack.encode(progress)
    return Lease(delivery.id, delivery.priority_index, delivery.entry, delivery.token, blob)
