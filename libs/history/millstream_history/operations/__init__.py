"""The operations on many jobs: what was asked for, how far each is, and which dispatcher works on it."""

from millstream_history.operations.operations import DELETE_TENANT, Operations
from millstream_history.operations.stored_operation import Advance, StoredOperation

__all__ = ["DELETE_TENANT", "Advance", "Operations", "StoredOperation"]
