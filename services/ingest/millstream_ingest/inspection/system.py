"""Looks at the installation for operators. All who ask within KEPT_S share one look: it connects to every server."""

import asyncio
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import anyio

from millstream_contracts import (
    EncryptionStatus,
    HistoryStatus,
    ProcessStatus,
    RedisServer,
    RedisStatus,
    ServiceInfo,
    System,
    Tenant,
)
from millstream_history import History, HistoryError, current_revision
from millstream_ingest.inspection.encryption import EncryptionDesk
from millstream_ingest.inspection.history_lag import HistoryLag
from millstream_runtime.examination.duties_section import section_of_duties
from millstream_runtime.examination.history_section import look_at_history
from millstream_runtime.examination.redis_section import ExaminedRedis, examine_redis
from millstream_runtime.examination.section import Section
from millstream_runtime.examination.services_section import living, not_seen, section_of
from millstream_streams import Broker, Server, StoreError, UnsuitableRedisError
from millstream_submission.deadline import Deadline

KEPT_S = 5.0
REDIS_WITHIN_S = 4.0
"""How long all servers may take; each that is silent is given up after two seconds."""
SERVICES_WITHIN_S = 1.0
ENCRYPTION_WITHIN_S = 4.0
GAPS_OF = timedelta(days=7)
DAYS_SETTING = "MILLSTREAM_HISTORY_DAYS"


class SystemDesk:
    """Looks at one installation."""

    def __init__(self, broker: Broker, history: History | None, lag: HistoryLag) -> None:
        self._broker = broker
        self._history = history
        self._lag = lag
        self._encryption = EncryptionDesk(broker)
        self._seen: dict[Tenant, tuple[System, float]] = {}
        self._looking = anyio.Lock()

    async def look(self, tenant: Tenant) -> System:
        """Return how the installation fares, as it was KEPT_S ago at most. What does not answer is a check."""
        async with self._looking:
            found, until = self._seen.get(tenant, (None, 0.0))
            if found is None or time.monotonic() >= until:
                found = await self._look(tenant)
                self._seen = {tenant: (found, time.monotonic() + KEPT_S)}
            return found

    async def _look(self, tenant: Tenant) -> System:
        looking = asyncio.ensure_future(self._look_at_redis())
        try:
            processes, of_services = await self._look_at_services()
            encryption, of_encryption = await self._look_at_encryption()
            redis, of_redis = await looking
        finally:
            looking.cancel()
        history, of_history = await self._look_at_history(tenant, processes) if self._history else (None, [])
        return System(
            looked_at=datetime.fromtimestamp(self._broker.clock.now_s(), UTC),
            checks=[check for one in (*of_redis, *of_history, *of_services, *of_encryption) for check in one.checks()],
            redis=redis,
            history=history,
            encryption=encryption,
            processes=[_process_of(one) for one in processes],
        )

    async def _look_at_redis(self) -> tuple[RedisStatus | None, list[Section]]:
        try:
            async with Deadline(asyncio.get_running_loop(), REDIS_WITHIN_S):
                found = await examine_redis(self._broker, "ingest")
        except (StoreError, UnsuitableRedisError) as error:
            return None, [_silent("redis", str(error))]
        except TimeoutError:
            return None, [_silent("redis", f"Redis did not answer within {REDIS_WITHIN_S:g} s")]
        return _status_of(found), [found.section]

    async def _look_at_services(self) -> tuple[list[ServiceInfo], list[Section]]:
        try:
            async with Deadline(asyncio.get_running_loop(), SERVICES_WITHIN_S):
                found = living(await self._broker.registry.services(), await self._broker.now())
        except StoreError as error:
            return [], [not_seen(str(error), must_live=False)]
        except TimeoutError:
            return [], [not_seen("Redis does not answer", must_live=False)]
        return found, [section_of(found, must_live=False), section_of_duties(found)]

    async def _look_at_encryption(self) -> tuple[EncryptionStatus | None, list[Section]]:
        try:
            async with Deadline(asyncio.get_running_loop(), ENCRYPTION_WITHIN_S):
                return await self._encryption.look()
        except StoreError as error:
            return None, [_silent("encryption", str(error))]
        except TimeoutError:
            return None, [_silent("encryption", f"the keys could not be looked at within {ENCRYPTION_WITHIN_S:g} s")]

    async def _look_at_history(
        self, tenant: Tenant, processes: Sequence[ServiceInfo]
    ) -> tuple[HistoryStatus | None, list[Section]]:
        assert self._history is not None
        state, section = await look_at_history(self._history)
        if state is None:
            return None, [section]
        now = datetime.fromtimestamp(self._broker.clock.now_s(), UTC)
        try:
            gaps = await self._history.gaps.between(tenant, None, now - GAPS_OF, now)
        except HistoryError as error:
            return None, [section, _silent("history", str(error))]
        lost = [f"times of the last {GAPS_OF.days} days of which events were lost: {len(gaps)}"] if gaps else []
        none = [] if gaps else [f"no events were lost in the last {GAPS_OF.days} days"]
        status = HistoryStatus(
            revision=state.schema.revision,
            release_revision=current_revision(),
            lag_s=await self._lag.seconds(),
            oldest_day=state.days[0] if state.days else None,
            newest_day=state.days[-1] if state.days else None,
            size_bytes=state.size_bytes,
            kept_days=_kept_days(processes),
            gaps=gaps,
        )
        return status, [section, Section(name="history", headline="", advice=lost, passed=none)]


def _silent(name: str, why: str) -> Section:
    return Section(name=name, headline=f"{name}: does not answer", objections=[why])


def _process_of(found: ServiceInfo) -> ProcessStatus:
    return ProcessStatus(
        name=found.name,
        service=found.service,
        version=found.version,
        settings={variable: _written(value) for variable, value in found.settings.items()},
        started_at=found.started_at,
        seen_at=found.seen_at,
        duties=found.duties,
    )


def _written(value: float | str) -> str:
    """Return the value of a setting as its variable has it."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _kept_days(processes: Sequence[ServiceInfo]) -> int | None:
    known = [one.settings[DAYS_SETTING] for one in processes if DAYS_SETTING in one.settings]
    return int(min(known)) if known else None


def _status_of(found: ExaminedRedis) -> RedisStatus:
    topology, clock = found.topology, found.clock
    return RedisStatus(
        mode=topology.mode,
        is_suitable=not topology.objections(),
        servers=[_server_of(server) for server in topology.servers],
        round_trip_ms=round(clock.round_trip_ms, 3) if clock else None,
        clock_ahead_ms=round(clock.ahead_ms, 3) if clock else None,
    )


def _server_of(server: Server) -> RedisServer:
    found, vitals = server.found, server.found.vitals if server.found else None
    return RedisServer(
        address=server.address,
        role=server.role,
        unseen=server.unseen,
        server=found.server if found else None,
        version=found.version_text if found and found.version else None,
        uptime_s=found.uptime_s if found else None,
        used_bytes=vitals.used_bytes if vitals else None,
        max_bytes=vitals.max_bytes if vitals else None,
        maxmemory_policy=found.maxmemory_policy if found else None,
        evicted_keys=vitals.evicted_keys if vitals else None,
        appendonly=found.appendonly if found else None,
        aof_writes_ok=vitals.aof_writes_ok if vitals else None,
        snapshot_ok=vitals.snapshot_ok if vitals else None,
        online_replicas=vitals.online_replicas if vitals else None,
    )
