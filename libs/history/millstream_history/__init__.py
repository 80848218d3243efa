"""The history database: tables, migrations, and the only code that speaks SQL."""

from millstream_history.audit.audit_records import AuditQuery, AuditRecords
from millstream_history.by_hand import BY_HAND
from millstream_history.erasure.blanks import REASON as ERASED_REASON
from millstream_history.erasure.tenant_rows import TABLES_OF_TENANTS
from millstream_history.errors import (
    HistoryError,
    HistoryFileError,
    HistorySchemaError,
    HistoryUnavailableError,
    HistoryUrlError,
    QueryError,
    SearchCursorError,
)
from millstream_history.history import History, open_history
from millstream_history.migrating import Schema, current_revision, migrate
from millstream_history.operations import DELETE_TENANT, Advance, Operations, StoredOperation
from millstream_history.partitions.days import DAYS_AHEAD, SWEPT_AT_ONCE, Days
from millstream_history.projection.columns import StoredJob, Transition
from millstream_history.projection.keeping import as_kept, kept_jobs
from millstream_history.projection.rows import Rows, rows_of
from millstream_history.projection.worker_spans import with_releases
from millstream_history.queries.state import HistoryState
from millstream_history.repair.repairer import UNSETTLED_AT_ONCE
from millstream_history.search.hints.hinter import hints_at, type_in
from millstream_history.search.hints.recent_jobs import RecentJobs
from millstream_history.search.language.query_parser import MAX_QUERY_CHARS
from millstream_history.search.paging.cursors import PREFIX as SEARCH_CURSOR_PREFIX
from millstream_history.search.plan import JobQuery
from millstream_history.search.searcher import Search, SearchedIds, SearchedJobs
from millstream_history.statistics.statistics import Statistics
from millstream_history.statistics.windows import HOURS_KEPT, MINUTES_KEPT
from millstream_history.webhooks import TooManyEndpointsError
from millstream_history.workflows import EndedWorkflow, PastWorkflows, WorkflowQuery

__all__ = [
    "BY_HAND",
    "DAYS_AHEAD",
    "DELETE_TENANT",
    "ERASED_REASON",
    "HOURS_KEPT",
    "MAX_QUERY_CHARS",
    "MINUTES_KEPT",
    "SEARCH_CURSOR_PREFIX",
    "SWEPT_AT_ONCE",
    "TABLES_OF_TENANTS",
    "UNSETTLED_AT_ONCE",
    "Advance",
    "AuditQuery",
    "AuditRecords",
    "Days",
    "EndedWorkflow",
    "History",
    "HistoryError",
    "HistoryFileError",
    "HistorySchemaError",
    "HistoryState",
    "HistoryUnavailableError",
    "HistoryUrlError",
    "JobQuery",
    "Operations",
    "PastWorkflows",
    "QueryError",
    "RecentJobs",
    "Rows",
    "Schema",
    "Search",
    "SearchCursorError",
    "SearchedIds",
    "SearchedJobs",
    "Statistics",
    "StoredJob",
    "StoredOperation",
    "TooManyEndpointsError",
    "Transition",
    "WorkflowQuery",
    "as_kept",
    "current_revision",
    "hints_at",
    "kept_jobs",
    "migrate",
    "open_history",
    "rows_of",
    "type_in",
    "with_releases",
]
