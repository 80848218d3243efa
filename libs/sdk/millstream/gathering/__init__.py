"""Batch handlers: one call of a function for many jobs of a type, each of which has an outcome of its own."""

from millstream.gathering.batch import Batch, BatchContext, SyncBatch
from millstream.gathering.batch_handler import BatchHandler
from millstream.gathering.batch_options import BatchOptions
from millstream.gathering.job_item import JobItem, SyncJobItem

__all__ = ["Batch", "BatchContext", "BatchHandler", "BatchOptions", "JobItem", "SyncBatch", "SyncJobItem"]
