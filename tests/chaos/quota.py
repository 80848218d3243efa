"""The scenario of the quota of a tenant: no more of its jobs run at once, over all types, whatever is killed."""

from collections.abc import Iterator

from chaos.evidence import Evidence
from chaos.kills import kills
from chaos.limited import most_running
from chaos.stage import Stage
from chaos.submitter import EVERYDAY, Wish

from millstream_contracts import DEFAULT_TENANT, TenantQuotas
from millstream_streams import StoredTenant
from millstream_submission import follow_quota

AT_ONCE = 4
"""Fewer than there are queues, so that they have to take turns."""
MIX = (
    Wish(type="chaos.slow", weight=60, seconds=(0.3, 1.2)),
    *(wish for wish in EVERYDAY if wish.type != "chaos.parent"),
)
"""More than the places take. A parent that waits for its child would hold one meanwhile."""


async def quota(stage: Stage) -> None:
    """Kill every service beside a quota: no more jobs of the tenant run at once, and none waits for ever."""
    await set_quota(stage)
    await kills(stage)


async def set_quota(stage: Stage) -> None:
    """Let few jobs of the tenant run at once."""
    stored = StoredTenant(quotas=TenantQuotas(jobs_running=AT_ONCE))
    await stage.broker.tenants.put_tenant(DEFAULT_TENANT, None, stored)
    await follow_quota(stage.broker, DEFAULT_TENANT)


def no_more_run_at_once_than_the_quota_says(evidence: Evidence) -> Iterator[str]:
    """Complain when more jobs ran at once, or never two, because then nothing was shown."""
    most = most_of_all(evidence)
    if most > AT_ONCE:
        yield f"{most} jobs of the tenant ran at once, and its quota is {AT_ONCE}"
    elif most < 2:
        yield f"never more than {most} jobs of the tenant ran at once: nothing was shown"


def most_of_all(evidence: Evidence) -> int:
    """Return how many jobs ran at once at most, as their handlers saw it."""
    return most_running(evidence.effects.values())
