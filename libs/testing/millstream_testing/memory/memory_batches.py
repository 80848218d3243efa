"""Lets handlers of a test add members to the batch of their job. Batches of clients there are none."""

from collections.abc import Sequence
from typing import Any

from millstream_contracts import BatchId, JobId, Tenant
from millstream_streams import Batches, PromiseCode, Promised

THE_BATCH = BatchId("BA_00" + "0" * 26)
"""The batch of which every job of a test is a member, should its handler add others."""

_FOR_MS = 60_000


class MemoryBatches(Batches):
    """Takes every member."""

    def __init__(self) -> None:
        """Open nothing."""

    async def promise(
        self,
        tenant: Tenant,  # noqa: ARG002 - there is one batch
        batch_id: BatchId,  # noqa: ARG002
        ids: Sequence[JobId],  # noqa: ARG002
        **options: Any,  # noqa: ARG002
    ) -> Promised:
        """Promise members."""
        return Promised(PromiseCode.DONE, _FOR_MS)

    async def confirm(self, tenant: Tenant, batch_id: BatchId, **told: Any) -> int:  # noqa: ARG002
        """Forget that they were promised."""
        return 0
