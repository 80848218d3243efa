"""What scopes allow, in words."""

from collections.abc import Mapping

from millstream_contracts import Scope

SCOPE_WORDS: Mapping[Scope, str] = {
    Scope.JOBS_SUBMIT: "Submit jobs",
    Scope.JOBS_READ: "See jobs, queues, schedules, workflows, batches, templates, webhooks and workers",
    Scope.PAYLOADS_READ: "See payloads, results and log lines",
    Scope.JOBS_MANAGE: "Cancel, retry, redrive, discard and signal jobs, and run operations",
    Scope.QUEUES_MANAGE: "Pause and limit queues, drain workers, see the system and incidents",
    Scope.SCHEDULES_MANAGE: "Make, change and remove schedules",
    Scope.WORKFLOWS_MANAGE: "Run, rerun and cancel workflows",
    Scope.WEBHOOKS_MANAGE: "Make, change and remove webhooks, and see their secrets",
    Scope.TEMPLATES_MANAGE: "Make, change and remove templates",
    Scope.KEYS_MANAGE: "Make, rotate and revoke keys, and end sessions",
    Scope.TENANTS_MANAGE: "Manage tenants",
    Scope.AUDIT_READ: "Read the audit trail",
}
"""Of every scope that can be granted."""
