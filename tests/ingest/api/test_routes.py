"""Every route declares the scope that it needs, and the fast path leads to the same endpoint as the router."""

from typing import Any

import pytest
from ingest.serving import Ingest

from millstream_contracts import DEFAULT_TENANT, Scope
from millstream_ingest.access.gate import OpenGate
from millstream_ingest.api.app import API_ROUTES, create_app
from millstream_ingest.api.fast_path import fast_path
from millstream_ingest.api.route import Route, UndeclaredScopeError, require_scopes
from millstream_ingest.http.response import Response

SCOPES = {
    ("/v1/jobs", "POST"): "jobs:submit",
    ("/v1/jobs/batch", "POST"): "jobs:submit",
    ("/v1/jobs", "GET"): "jobs:read",
    ("/v1/jobs/{job_id}", "GET"): "jobs:read",
    ("/v1/jobs/{job_id}/dependencies", "GET"): "jobs:read",
    ("/v1/jobs/{job_id}/explain", "GET"): "jobs:read",
    ("/v1/jobs/{job_id}/steps", "GET"): Scope.JOBS_READ,
    ("/v1/jobs/{job_id}/signals/{signal}", "POST"): Scope.JOBS_MANAGE,
    ("/v1/jobs/{job_id}/stack", "GET"): "jobs:read",
    ("/v1/jobs/{job_id}/timeline", "GET"): "jobs:read",
    ("/v1/jobs/search/hints", "GET"): "jobs:read",
    ("/v1/jobs/search/facets", "GET"): "jobs:read",
    ("/v1/dead/groups", "GET"): "jobs:read",
    ("/v1/jobs/{job_id}/cancel", "POST"): "jobs:manage",
    ("/v1/jobs/{job_id}/retry", "POST"): "jobs:manage",
    ("/v1/queues/{job_type}/breaker/open", "POST"): "queues:manage",
    ("/v1/queues/{job_type}/breaker/close", "POST"): "queues:manage",
    ("/v1/queues/{job_type}/hold", "DELETE"): "queues:manage",
    ("/v1/jobs/{job_id}/run-now", "POST"): "jobs:manage",
    ("/v1/jobs/{job_id}/priority", "POST"): "jobs:manage",
    ("/v1/dead", "GET"): "jobs:read",
    ("/v1/dead/redrive", "POST"): "jobs:manage",
    ("/v1/dead/discard", "POST"): "jobs:manage",
    ("/v1/queues", "GET"): "jobs:read",
    ("/v1/queues/{job_type}", "GET"): "jobs:read",
    ("/v1/queues/{job_type}/settings", "GET"): "jobs:read",
    ("/v1/queues/{job_type}/keys", "GET"): "jobs:read",
    ("/v1/queues/{job_type}/limits", "PUT"): "queues:manage",
    ("/v1/queues/{job_type}/limits", "DELETE"): "queues:manage",
    ("/v1/queues/{job_type}/pause", "POST"): "queues:manage",
    ("/v1/queues/{job_type}/resume", "POST"): "queues:manage",
    ("/v1/demand", "GET"): "jobs:read",
    ("/v1/events", "GET"): "jobs:read",
    ("/v1/operations", "POST"): "jobs:manage",
    ("/v1/operations", "GET"): "jobs:read",
    ("/v1/operations/{operation_id}", "GET"): "jobs:read",
    ("/v1/operations/{operation_id}/pause", "POST"): "jobs:manage",
    ("/v1/operations/{operation_id}/resume", "POST"): "jobs:manage",
    ("/v1/operations/{operation_id}/cancel", "POST"): "jobs:manage",
    ("/v1/schedules", "GET"): "jobs:read",
    ("/v1/templates", "GET"): "jobs:read",
    ("/v1/templates/{template}", "PUT"): "templates:manage",
    ("/v1/templates/{template}", "GET"): "jobs:read",
    ("/v1/templates/{template}", "DELETE"): "templates:manage",
    ("/v1/schedules/{schedule}", "PUT"): "schedules:manage",
    ("/v1/schedules/{schedule}", "GET"): "jobs:read",
    ("/v1/schedules/{schedule}", "DELETE"): "schedules:manage",
    ("/v1/schedules/{schedule}/pause", "POST"): "schedules:manage",
    ("/v1/schedules/{schedule}/preview", "POST"): "schedules:manage",
    ("/v1/schedules/{schedule}/resume", "POST"): "schedules:manage",
    ("/v1/schedules/{schedule}/run", "POST"): "schedules:manage",
    ("/v1/schedules/{schedule}/backfill", "POST"): "schedules:manage",
    ("/v1/schedules/{schedule}/next", "GET"): "jobs:read",
    ("/v1/schedules/{schedule}/backfills", "GET"): "jobs:read",
    ("/v1/schedules/{schedule}/backfills/{backfill_id}", "GET"): "jobs:read",
    ("/v1/schedules/{schedule}/backfills/{backfill_id}/cancel", "POST"): "schedules:manage",
    ("/v1/batches", "GET"): "jobs:read",
    ("/v1/batches", "POST"): "jobs:submit",
    ("/v1/batches/{batch_id}", "GET"): "jobs:read",
    ("/v1/batches/{batch_id}/jobs", "GET"): "jobs:read",
    ("/v1/batches/{batch_id}/jobs", "POST"): "jobs:submit",
    ("/v1/batches/{batch_id}/close", "POST"): "jobs:submit",
    ("/v1/batches/{batch_id}/cancel", "POST"): "jobs:manage",
    ("/v1/workflows", "GET"): "jobs:read",
    ("/v1/workflows", "POST"): "workflows:manage",
    ("/v1/workflows/{workflow_id}", "GET"): "jobs:read",
    ("/v1/workflows/{workflow_id}/cancel", "POST"): "workflows:manage",
    ("/v1/workflows/{workflow_id}/rerun", "POST"): "workflows:manage",
    ("/v1/stats", "GET"): "jobs:read",
    ("/v1/stats/types", "GET"): "jobs:read",
    ("/v1/types", "GET"): "jobs:read",
    ("/v1/types/{job_type}", "GET"): "jobs:read",
    ("/v1/workers", "GET"): "jobs:read",
    ("/v1/workers/{worker}/drain", "POST"): "queues:manage",
    ("/v1/incidents", "GET"): "queues:manage",
    ("/v1/system", "GET"): "queues:manage",
    ("/v1/keys", "GET"): "keys:manage",
    ("/v1/keys", "POST"): "keys:manage",
    ("/v1/keys/{key_id}", "GET"): "keys:manage",
    ("/v1/keys/{key_id}", "DELETE"): "keys:manage",
    ("/v1/keys/{key_id}", "PATCH"): "keys:manage",
    ("/v1/keys/{key_id}/rotate", "POST"): "keys:manage",
    ("/v1/audit", "GET"): "audit:read",
    ("/v1/audit/chain", "GET"): "audit:read",
    ("/v1/me", "GET"): "authenticated",
    ("/v1/tenants", "GET"): "tenants:manage",
    ("/v1/tenants", "POST"): "tenants:manage",
    ("/v1/tenants/{tenant}", "GET"): "tenants:manage",
    ("/v1/tenants/{tenant}", "PATCH"): "tenants:manage",
    ("/v1/tenants/{tenant}", "DELETE"): "tenants:manage",
    ("/v1/tenants/{tenant}/suspend", "POST"): "tenants:manage",
    ("/v1/tenants/{tenant}/resume", "POST"): "tenants:manage",
    ("/v1/sessions", "GET"): "keys:manage",
    ("/v1/sessions", "POST"): "authenticated",
    ("/v1/sessions/current", "DELETE"): "authenticated",
    ("/v1/sessions/{session_id}", "GET"): "keys:manage",
    ("/v1/sessions/{session_id}", "DELETE"): "keys:manage",
    ("/v1/webhooks", "GET"): "jobs:read",
    ("/v1/webhooks", "POST"): "webhooks:manage",
    ("/v1/webhooks/{webhook_id}", "GET"): "jobs:read",
    ("/v1/webhooks/{webhook_id}", "PATCH"): "webhooks:manage",
    ("/v1/webhooks/{webhook_id}", "DELETE"): "webhooks:manage",
    ("/v1/webhooks/{webhook_id}/rotate", "POST"): "webhooks:manage",
    ("/v1/webhooks/{webhook_id}/enable", "POST"): "webhooks:manage",
    ("/v1/webhooks/{webhook_id}/disable", "POST"): "webhooks:manage",
    ("/v1/webhooks/{webhook_id}/secret", "GET"): "webhooks:manage",
    ("/v1/webhooks/{webhook_id}/test", "POST"): "webhooks:manage",
    ("/v1/webhooks/{webhook_id}/deliveries", "GET"): "jobs:read",
    ("/v1/webhooks/{webhook_id}/deliveries/{job_id}/redeliver", "POST"): "webhooks:manage",
    ("/openapi.json", "GET"): "public",
    ("/", "GET"): "public",
    ("/docs", "GET"): "public",
    ("/docs/assets/{file_path}", "GET"): "public",
    ("/problems/{slug}", "GET"): "public",
    ("/health", "GET"): "public",
    ("/livez", "GET"): "public",
    ("/readyz", "GET"): "public",
    ("/metrics", "GET"): "public",
}
"""The scopes of all routes, listed a second time on purpose: a new route needs a decision here too."""


async def test_every_route_needs_the_scope_that_is_written_down_for_it(ingest: Ingest):
    """Every route needs the scope that this test lists: HEAD that of GET, and OPTIONS none."""
    scopes = require_scopes(create_app(ingest.services).routes)
    assert {place: scope for place, scope in scopes.items() if place[1] not in {"HEAD", "OPTIONS"}} == SCOPES
    for (path, method), scope in scopes.items():
        expected = "public" if method == "OPTIONS" else SCOPES[path, "GET"] if method == "HEAD" else scope
        assert scope == expected, (path, method)


async def test_head_is_answered_wherever_get_is(ingest: Ingest):
    """HEAD has the status and the headers of GET, of routes, pages and files, and no body; streams apart."""
    job = await ingest.submit()
    without_history = (
        "/v1/jobs/{job_id}/timeline",
        "/v1/jobs/search/hints",
        "/v1/jobs/search/facets",
        "/v1/dead/groups",
        "/v1/stats",
        "/v1/stats/types",
        "/v1/webhooks",
        "/v1/webhooks/{webhook_id}",
        "/v1/operations",
        "/v1/operations/{operation_id}",
        "/v1/webhooks/{webhook_id}/deliveries",
        "/v1/audit",
        "/v1/audit/chain",
    )
    # The job waits; and there is neither a history nor a key.
    refused = {
        **{path: 404 for path, _ in SCOPES if "{schedule}" in path or "{template}" in path or "{workflow_id}" in path},
        **{path: 404 for path, _ in SCOPES if "{batch_id}" in path or "{key_id}" in path or "{session_id}" in path},
        "/v1/jobs/{job_id}/stack": 409,
        "/v1/webhooks/{webhook_id}/secret": 422,
        **dict.fromkeys(without_history, 422),
    }
    values = {
        "job_id": job["id"],
        "job_type": "email.send",
        "slug": "not-found",
        "file_path": "start.js",
        "webhook_id": "callbacks",
        "operation_id": "op_1",
        "schedule": "nightly",
        "template": "nightly-report",
        "key_id": "7Kq2vXbA",
        "tenant": "default",
        "session_id": "3nW8xQbT",
        "backfill_id": "bf_1",
        "workflow_id": "WF_000001KBCSZ4000ABCDEFGHJKMNP",
        "batch_id": "BA_000001KBCSZ4000ABCDEFGHJKMNP",
    }
    apart = {"/v1/types/{job_type}", "/v1/events"}
    for route in (path for path, method in SCOPES if method == "GET" and path not in apart):
        path = route.format(**values)
        get, head = await ingest.http.get(path), await ingest.http.head(path)
        assert (head.status_code, head.content) == (get.status_code, b""), path
        assert get.status_code in {200, 307, refused.get(route)}, path
        if path not in {"/health", "/metrics", "/v1/queues", "/v1/queues/email.send", "/v1/demand"}:  # ages move on
            assert head.headers.get("content-length") == get.headers["content-length"], path
        if not path.startswith("/docs/assets"):  # the framework answers for files, and leaves it out
            assert head.headers["content-type"] == get.headers["content-type"], path


async def test_address_without_a_path_leads_to_the_page_of_the_api(ingest: Ingest):
    """The address without a path redirects to the page of the API."""
    response = await ingest.http.get("/", follow_redirects=True)
    assert (response.status_code, response.url.path) == (200, "/docs")
    assert response.headers["content-type"].startswith("text/html")


async def test_route_without_a_scope_keeps_ingest_from_starting(ingest: Ingest, monkeypatch: pytest.MonkeyPatch):
    """A route without a scope stops the start of ingest, with an error that names it."""

    async def handler(_: Any) -> Response:
        return Response()

    forgotten = Route(path="/v1/forgotten", methods=("GET",), handler=handler)
    monkeypatch.setattr("millstream_ingest.api.app.API_ROUTES", (*API_ROUTES, forgotten))
    with pytest.raises(UndeclaredScopeError, match="GET /v1/forgotten declares no scope"):
        create_app(ingest.services)


def test_every_request_may_do_everything_where_no_credentials_are_asked_for():
    """With authentication off, each principal is the tenant `default` with every scope, whatever the headers say."""
    principal = OpenGate().known({b"authorization": b"Bearer x", b"x-tenant": b"other"}, {})
    assert principal is not None
    assert principal.tenant == DEFAULT_TENANT
    assert all(principal.may(scope) for scope in Scope)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "submit"),
        ({"method": "GET"}, "app"),
        ({"method": "OPTIONS"}, "app"),
        ({"path": "/v1/jobs/"}, "app"),
        ({"path": "/v1/jobs/batch"}, "app"),
        ({"type": "lifespan"}, "app"),
    ],
)
async def test_only_single_submissions_pass_by_the_router(changes: dict[str, str], expected: str):
    """The fast path takes only single submissions, and everything else goes to the application."""
    called: list[str] = []

    def noting(name: str) -> Any:
        async def app(*_: Any) -> None:
            called.append(name)

        return app

    scope = {"type": "http", "method": "POST", "path": "/v1/jobs"} | changes
    await fast_path(noting("submit"), noting("app"))(scope, None, None)
    assert called == [expected]
