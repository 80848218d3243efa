"""Tenants: who shares this Millstream without seeing the others. The operator's own tenant alone manages them."""

from datetime import UTC, datetime

from millstream_contracts import (
    BulkOperation,
    NewTenant,
    OperationState,
    Scope,
    TenantChange,
    TenantInfo,
    TenantPage,
    TenantQuotas,
    TenantState,
    TenantSuspension,
)
from millstream_ingest.api.listing import listing_response
from millstream_ingest.api.operation import Content, Example, Operation, Parameter, listing
from millstream_ingest.api.request import ApiRequest
from millstream_ingest.api.route import act, change, read, remove
from millstream_ingest.http.problems import (
    HISTORY_UNAVAILABLE,
    INVALID_REQUEST,
    NO_HISTORY,
    STORE_FULL,
    TENANT_NOT_FOUND,
    WRONG_STATE,
)
from millstream_ingest.http.response import Response

_TAG = "Tenants"
_ONE = "/v1/tenants/{tenant}"
_AT = datetime(2026, 11, 28, 9, 30, tzinfo=UTC)

_QUOTAS = TenantQuotas(jobs_waiting=100_000, jobs_running=50, payload_bytes=65_536, schedules=50, webhooks=5, keys=20)
_EXAMPLE = TenantInfo(
    name="acme",
    title="Acme Ltd.",
    state=TenantState.ACTIVE,
    created_at=_AT,
    created_by="Wm3kP0sZ",
    changed_at=_AT,
    quotas=_QUOTAS,
)
_TENANT = Content(model=TenantInfo, description="The tenant", examples={"tenant": Example("A tenant", _EXAMPLE)})
_DELETION = BulkOperation(
    id="op_20261128093000000000c0ffee00",
    kind="delete-tenant",
    state=OperationState.PENDING,
    rate=50.0,
    created_at=_AT,
    updated_at=_AT,
    tenant="acme",
)
_NEW = {"name": "acme", "title": "Acme Ltd.", "quotas": {"jobs_waiting": 100_000}}

LIST = Operation(
    id="listTenants",
    tag=_TAG,
    summary="List tenants",
    description="By name; `default` is the operator's own, which is always there.",
    query=(Parameter("name", "How their names begin", example="acme"), *listing()),
    answers={
        200: Content(
            model=TenantPage,
            description="A page",
            examples={"tenants": Example("Tenants", TenantPage(items=[_EXAMPLE]))},
        )
    },
)
CREATE = Operation(
    id="createTenant",
    tag=_TAG,
    summary="Make a tenant",
    description="It has nothing yet: make a key for it next. Workers that serve every tenant take its jobs at once.",
    body=Content(model=NewTenant, examples={"acme": Example("With a quota", _NEW)}),
    answers={
        201: Content(
            model=TenantInfo,
            description="The tenant",
            examples={"tenant": Example("A new tenant", _EXAMPLE)},
            headers={"Location": "Path of the tenant"},
        )
    },
    problems=(INVALID_REQUEST, WRONG_STATE, STORE_FULL),
)
GET = Operation(id="getTenant", tag=_TAG, summary="Read a tenant", answers={200: _TENANT}, problems=(TENANT_NOT_FOUND,))
CHANGE = Operation(
    id="changeTenant",
    tag=_TAG,
    summary="Change a tenant",
    description="What is left out stays; `quotas` are replaced as a whole. What is above a new quota stays too. Once "
    "this is answered no job starts that would be above a new quota of jobs that run. With `encryption` another one, "
    "ingest, workers and dispatchers know within five seconds; it needs encryption keys.",
    body=Content(
        model=TenantChange,
        examples={
            "quotas": Example("Other quotas", {"quotas": {"jobs_waiting": 500_000}}),
            "encryption": Example("All of its jobs encrypted", {"encryption": "all"}),
        },
    ),
    answers={200: _TENANT},
    problems=(INVALID_REQUEST, TENANT_NOT_FOUND, WRONG_STATE, STORE_FULL),
)
SUSPEND = Operation(
    id="suspendTenant",
    tag=_TAG,
    summary="Suspend a tenant",
    description="Its submissions are refused (403 `tenant-suspended`) by every ingest within five seconds, none of its "
    "schedules fires, and once this is answered no job of its queues starts. What runs goes on, and all can be read.",
    body=Content(model=TenantSuspension, examples={"unpaid": Example("With a reason", {"reason": "unpaid"})}),
    answers={200: _TENANT},
    problems=(INVALID_REQUEST, TENANT_NOT_FOUND, WRONG_STATE),
)
RESUME = Operation(
    id="resumeTenant",
    tag=_TAG,
    summary="Let a suspended tenant go on",
    description="Its jobs start again, in the order in which they would have started.",
    answers={200: _TENANT},
    problems=(TENANT_NOT_FOUND, WRONG_STATE, STORE_FULL),
)


DELETE = Operation(
    id="deleteTenant",
    tag=_TAG,
    summary="Delete a tenant",
    description="With all that it has: jobs in any state, schedules, templates, workflows, batches, webhooks, keys, "
    "sessions, and its history. It cannot be taken back. Once this is answered its keys are revoked and no job of its "
    "queues starts; what handlers that still run commit is refused. Dispatchers remove the rest, which the operation "
    "tells of, and look again for a while for what comes late; then the name is free. Audit records stay until their "
    "retention ends. A repetition returns the operation that is at it.",
    query=(Parameter("confirm", "Its name once more", example="acme"),),
    answers={
        202: Content(
            model=BulkOperation,
            description="The operation",
            examples={"deletion": Example("A deletion that begins", _DELETION)},
            headers={"Location": "Path of the operation"},
        )
    },
    problems=(INVALID_REQUEST, TENANT_NOT_FOUND, WRONG_STATE, NO_HISTORY, HISTORY_UNAVAILABLE),
)


@read("/v1/tenants", LIST, Scope.TENANTS_MANAGE)
async def list_tenants(request: ApiRequest) -> Response:
    """List tenants."""
    query = request.read_query(("name", "cursor", "limit"))
    prefix = query.values.get("name", "")
    page = await request.services.tenant_desk.page(prefix=prefix, cursor=query.cursor, limit=query.limit)
    return listing_response(request, query, page, page.next_cursor)


@act("/v1/tenants", CREATE, Scope.TENANTS_MANAGE)
async def create_tenant(request: ApiRequest) -> Response:
    """Make a tenant."""
    request.read_query()
    asked = await request.read_as(NewTenant)
    made = await request.services.tenant_desk.create(asked, made_by=request.principal.credential)
    return Response(made, 201, {"Location": f"/v1/tenants/{made.name}"})


@read(_ONE, GET, Scope.TENANTS_MANAGE)
async def get_tenant(request: ApiRequest, tenant: str) -> Response:
    """Read a tenant."""
    request.read_query()
    return Response(await request.services.tenant_desk.find(tenant))


@change(_ONE, CHANGE, Scope.TENANTS_MANAGE)
async def change_tenant(request: ApiRequest, tenant: str) -> Response:
    """Change a tenant."""
    request.read_query()
    asked = await request.read_as(TenantChange)
    return Response(await request.services.tenant_desk.change(tenant, asked))


@act(f"{_ONE}/suspend", SUSPEND, Scope.TENANTS_MANAGE)
async def suspend_tenant(request: ApiRequest, tenant: str) -> Response:
    """Suspend a tenant."""
    request.read_query()
    asked = await request.read_as(TenantSuspension)
    return Response(await request.services.tenant_desk.suspend(tenant, asked.reason))


@act(f"{_ONE}/resume", RESUME, Scope.TENANTS_MANAGE)
async def resume_tenant(request: ApiRequest, tenant: str) -> Response:
    """Let a suspended tenant go on."""
    request.read_query()
    return Response(await request.services.tenant_desk.resume(tenant))


@remove(_ONE, DELETE, Scope.TENANTS_MANAGE)
async def delete_tenant(request: ApiRequest, tenant: str) -> Response:
    """Delete a tenant."""
    query = request.read_query(("confirm",))
    confirm, made_by = query.values.get("confirm", ""), request.principal.credential
    begun = await request.services.tenant_desk.delete(request.history, tenant, confirm=confirm, made_by=made_by)
    return Response(begun, 202, {"Location": f"/v1/operations/{begun.id}"})


ROUTES = (list_tenants, create_tenant, get_tenant, change_tenant, suspend_tenant, resume_tenant, delete_tenant)
