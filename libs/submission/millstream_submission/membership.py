"""Makes jobs members of a batch, which lies in another slot than they do.

The batch is told of a job before that is stored: else it could end in between. It takes this as a promise, which is
kept until `until_s` or not at all. Afterwards it is told what became of it; when it is not, a dispatcher looks.
"""

import time
from collections.abc import Sequence
from contextlib import suppress

from msgspec import Struct

from millstream_contracts import BatchId, FieldError, JobId, Tenant, limits
from millstream_streams import Batches, PromiseCode, StoreError
from millstream_submission.errors import BatchClosedError, BatchFullError, BatchNotFoundError


class Membership(Struct, frozen=True):
    """The batch to which new jobs belong."""

    batch: BatchId
    by: JobId | None = None
    """The member that adds them, as it may until it has ended, also to a batch that is closed."""


class Members:
    """Tells batches of their members."""

    def __init__(self, batches: Batches) -> None:
        self._batches = batches

    async def promise(self, tenant: Tenant, membership: Membership, ids: Sequence[JobId]) -> float:
        """Tell a batch of jobs that are about to be stored. Returns: until when, on the monotonic clock.

        Raises: BatchNotFoundError, BatchClosedError, BatchFullError; StoreUnavailableError.
        """
        asked_s = time.monotonic()
        promised = await self._batches.promise(tenant, membership.batch, ids, by=membership.by)
        match promised.code:
            case PromiseCode.DONE:
                return asked_s + promised.not_after_ms / 1000
            case PromiseCode.NOT_FOUND:
                raise BatchNotFoundError((), f"there is no batch `{membership.batch[:64]}`")
            case PromiseCode.FULL:
                raise BatchFullError((), f"the batch would have more than {limits.MAX_BATCH_MEMBERS:,} members")
        if membership.by is None:
            raise BatchClosedError((), "the batch is closed: only a member that has not ended adds to it")
        detail = "is no member of the batch that has not ended, and the batch is closed"
        raise BatchClosedError([FieldError("?by", detail)])

    async def confirm(
        self, tenant: Tenant, membership: Membership, promised: Sequence[JobId], kept: Sequence[JobId]
    ) -> None:
        """Tell the batch which of them are stored, and which never will be.

        `kept` has the id of each, or that of the earlier job in its place. Without an answer of Redis a dispatcher
        finds it out.
        """
        pairs = list(zip(promised, kept, strict=True))
        stored = [one for one, found in pairs if one == found]
        absent = [one for one, found in pairs if one != found]
        with suppress(StoreError):
            await self._batches.confirm(tenant, membership.batch, stored=stored, absent=absent)
