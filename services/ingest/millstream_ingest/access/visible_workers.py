"""Shows a tenant the workers that serve it, with its own jobs in their hands and no others."""

from collections.abc import Iterable

from msgspec.structs import replace

from millstream_contracts import WorkerInfo
from millstream_ingest.access.principal import Principal


def visible_workers(principal: Principal, workers: Iterable[WorkerInfo]) -> list[WorkerInfo]:
    """Return the workers as a principal may see them: the operator's all, and whole."""
    if principal.is_operator:
        return list(workers)
    tenant = principal.tenant
    return [_without_others(worker, tenant) for worker in workers if worker.serves(tenant)]


def _without_others(worker: WorkerInfo, tenant: str) -> WorkerInfo:
    own = [one for one in worker.running if one.tenant == tenant]
    return replace(worker, tenants=[tenant], running=own, busy=len(own), host="", rss_bytes=None, loop_lag_ms=None)
