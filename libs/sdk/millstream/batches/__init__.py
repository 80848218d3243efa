"""Batches as the code that makes and follows them sees them."""

from millstream.batches.batch_handle import BatchHandle
from millstream.batches.batch_of_job import BatchOfJob, SyncBatchOfJob
from millstream.batches.sync_batch_handle import SyncBatchHandle

__all__ = ["BatchHandle", "BatchOfJob", "SyncBatchHandle", "SyncBatchOfJob"]
