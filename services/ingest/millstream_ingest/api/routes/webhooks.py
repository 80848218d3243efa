"""Endpoints of webhooks: where events of jobs go."""

from millstream_contracts import (
    Job,
    JobId,
    NewWebhook,
    Page,
    Scope,
    SecretWebhook,
    Webhook,
    WebhookChange,
    WebhookSecret,
    queue_of,
)
from millstream_ingest.api.entity_tag import etag_of
from millstream_ingest.api.listing import Listing, listing_response
from millstream_ingest.api.operation import Content, Operation, listing
from millstream_ingest.api.request import ApiRequest
from millstream_ingest.api.route import Audited, act, change, read, remove
from millstream_ingest.api.routes import examples
from millstream_ingest.http.problems import (
    HISTORY_UNAVAILABLE,
    INVALID_REQUEST,
    NO_HISTORY,
    NO_WEBHOOK_KEY,
    NOT_FOUND,
    WRONG_STATE,
)
from millstream_ingest.http.response import Response

_TAG = "Webhooks"
_ALWAYS = (NO_HISTORY, HISTORY_UNAVAILABLE)
_OF_ONE = (NOT_FOUND, *_ALWAYS)
_WEBHOOK = Content(model=Webhook, description="The endpoint", examples=examples.WEBHOOK)
_WITH_SECRET = Content(
    model=SecretWebhook, description="The endpoint, and its new secret", examples=examples.SECRET_WEBHOOK
)
_DELIVERY = Content(
    model=Job, description="The delivery, a job of the type `webhook.call`", examples=examples.QUEUED_JOB
)

LIST = Operation(
    id="listWebhooks",
    tag=_TAG,
    summary="List endpoints",
    description="All of them, oldest first.",
    answers={200: Content(model=Listing[Webhook], description="The only page", examples=examples.WEBHOOKS)},
    problems=_ALWAYS,
)
CREATE = Operation(
    id="createWebhook",
    tag=_TAG,
    summary="Make an endpoint",
    description="It gets the events that happen from now on.",
    body=Content(model=NewWebhook, examples=examples.NEW_WEBHOOKS),
    answers={201: _WITH_SECRET},
    problems=(INVALID_REQUEST, NO_WEBHOOK_KEY, *_ALWAYS),
)
GET = Operation(id="getWebhook", tag=_TAG, summary="Read an endpoint", answers={200: _WEBHOOK}, problems=_OF_ONE)
CHANGE = Operation(
    id="changeWebhook",
    tag=_TAG,
    summary="Change an endpoint",
    description="What is left out stays as it is.",
    body=Content(model=WebhookChange, examples=examples.WEBHOOK_CHANGES),
    answers={200: _WEBHOOK},
    problems=(INVALID_REQUEST, *_OF_ONE),
)
REMOVE = Operation(
    id="removeWebhook",
    tag=_TAG,
    summary="Remove an endpoint",
    description="Deliveries that are stored already go on.",
    answers={200: Content(model=Webhook, description="The endpoint as it was", examples=examples.WEBHOOK)},
    problems=_OF_ONE,
)
ROTATE = Operation(
    id="rotateWebhook",
    tag=_TAG,
    summary="Replace the secret of an endpoint",
    description="For 24 hours calls have a signature of each secret.",
    answers={200: _WITH_SECRET},
    problems=(NO_WEBHOOK_KEY, *_OF_ONE),
)
ENABLE = Operation(
    id="enableWebhook",
    tag=_TAG,
    summary="Let an endpoint get events again",
    answers={200: _WEBHOOK},
    problems=_OF_ONE,
)
DISABLE = Operation(
    id="disableWebhook",
    tag=_TAG,
    summary="Let an endpoint get no more events",
    answers={200: _WEBHOOK},
    problems=_OF_ONE,
)
SECRET = Operation(
    id="getWebhookSecret",
    tag=_TAG,
    summary="Read the secret of an endpoint",
    description="With what its receiver verifies calls. Callbacks of jobs have one too, "
    "that of `callbacks`, and notices that of `notices`.",
    answers={200: Content(model=WebhookSecret, description="The secret", examples=examples.WEBHOOK_SECRET)},
    problems=(NO_WEBHOOK_KEY, NOT_FOUND, HISTORY_UNAVAILABLE),
)
TEST = Operation(
    id="testWebhook",
    tag=_TAG,
    summary="Send a test to an endpoint",
    description="An event of the type `millstream.webhook.test`, also where the endpoint is disabled.",
    answers={202: _DELIVERY},
    problems=_OF_ONE,
)
DELIVERIES = Operation(
    id="listWebhookDeliveries",
    tag=_TAG,
    summary="List the deliveries of an endpoint",
    description="Newest first, as the history knows them. Those of callbacks are under the id `callbacks`.",
    query=listing(),
    answers={200: Content(model=Page, description="A page", examples=examples.JOB_PAGE)},
    problems=_ALWAYS,
)
REDELIVER = Operation(
    id="redeliverWebhook",
    tag=_TAG,
    summary="Deliver an event once more",
    description="A new job with the same event and body, for the endpoint as it is now.",
    answers={202: _DELIVERY},
    problems=(WRONG_STATE, *_OF_ONE),
)


@read("/v1/webhooks", LIST, Scope.JOBS_READ)
async def list_webhooks(request: ApiRequest) -> Response:
    """List endpoints."""
    request.read_query()
    found = await request.history.webhooks.of(request.tenant)
    return Response(Listing([one.webhook for one in found]))


@act("/v1/webhooks", CREATE, Scope.WEBHOOKS_MANAGE)
async def create_webhook(request: ApiRequest) -> Response:
    """Make an endpoint."""
    request.read_query()
    asked = await request.read_as(NewWebhook)
    made = await request.services.endpoints.add(request.history, request.tenant, asked)
    return Response(made, 201, {"Location": f"/v1/webhooks/{made.id}"})


@read("/v1/webhooks/{webhook_id}", GET, Scope.JOBS_READ)
async def get_webhook(request: ApiRequest, webhook_id: str) -> Response:
    """Read an endpoint."""
    request.read_query()
    return Response((await request.services.endpoints.find(request.history, request.tenant, webhook_id)).webhook)


@change("/v1/webhooks/{webhook_id}", CHANGE, Scope.WEBHOOKS_MANAGE)
async def change_webhook(request: ApiRequest, webhook_id: str) -> Response:
    """Change an endpoint."""
    request.read_query()
    asked = await request.read_as(WebhookChange)
    return Response(await request.services.endpoints.change(request.history, request.tenant, webhook_id, asked))


@remove("/v1/webhooks/{webhook_id}", REMOVE, Scope.WEBHOOKS_MANAGE)
async def remove_webhook(request: ApiRequest, webhook_id: str) -> Response:
    """Remove an endpoint."""
    request.read_query()
    return Response(await request.services.endpoints.remove(request.history, request.tenant, webhook_id))


@act("/v1/webhooks/{webhook_id}/rotate", ROTATE, Scope.WEBHOOKS_MANAGE)
async def rotate_webhook(request: ApiRequest, webhook_id: str) -> Response:
    """Replace the secret of an endpoint."""
    request.read_query()
    return Response(await request.services.endpoints.rotate(request.history, request.tenant, webhook_id))


@act("/v1/webhooks/{webhook_id}/enable", ENABLE, Scope.WEBHOOKS_MANAGE)
async def enable_webhook(request: ApiRequest, webhook_id: str) -> Response:
    """Let an endpoint get events again."""
    request.read_query()
    return Response(await request.services.endpoints.enable(request.history, request.tenant, webhook_id))


@act("/v1/webhooks/{webhook_id}/disable", DISABLE, Scope.WEBHOOKS_MANAGE)
async def disable_webhook(request: ApiRequest, webhook_id: str) -> Response:
    """Let an endpoint get no more events."""
    request.read_query()
    return Response(await request.services.endpoints.disable(request.history, request.tenant, webhook_id))


@read("/v1/webhooks/{webhook_id}/secret", SECRET, Scope.WEBHOOKS_MANAGE, audited=Audited.WHOLE)
async def get_webhook_secret(request: ApiRequest, webhook_id: str) -> Response:
    """Read the secret of an endpoint."""
    request.read_query()
    services = request.services
    secret = await services.endpoints.secret(services.history, request.tenant, webhook_id)
    return Response(WebhookSecret(id=webhook_id, secret=secret))


@act("/v1/webhooks/{webhook_id}/test", TEST, Scope.WEBHOOKS_MANAGE)
async def test_webhook(request: ApiRequest, webhook_id: str) -> Response:
    """Send a test to an endpoint."""
    request.read_query()
    caller = request.span.context
    return _delivery(await request.services.endpoints.test(request.history, request.tenant, webhook_id, caller))


@read("/v1/webhooks/{webhook_id}/deliveries", DELIVERIES, Scope.JOBS_READ)
async def list_webhook_deliveries(request: ApiRequest, webhook_id: str) -> Response:
    """List the deliveries of an endpoint."""
    query = request.read_query(("cursor", "limit"))
    page = await request.services.endpoints.deliveries(
        request.history, request.tenant, webhook_id, cursor=query.cursor, limit=query.limit
    )
    return listing_response(request, query, page, page.next_cursor)


@act("/v1/webhooks/{webhook_id}/deliveries/{job_id}/redeliver", REDELIVER, Scope.WEBHOOKS_MANAGE)
async def redeliver_webhook(request: ApiRequest, webhook_id: str, job_id: str) -> Response:
    """Deliver an event once more."""
    request.read_query()
    services, queue = request.services, queue_of(request.tenant, job_id)
    earlier: Job | None = None
    if queue is not None:
        live = await services.broker.views.job(queue, JobId(job_id))
        earlier = live or await services.past_jobs.job(queue, JobId(job_id))
    caller = request.span.context
    return _delivery(await services.endpoints.redeliver(request.history, request.tenant, webhook_id, earlier, caller))


def _delivery(job: Job) -> Response:
    return Response(job, 202, {"Location": f"/v1/jobs/{job.id}", "ETag": etag_of(job)})


ROUTES = (
    list_webhooks,
    create_webhook,
    get_webhook,
    change_webhook,
    remove_webhook,
    rotate_webhook,
    enable_webhook,
    disable_webhook,
    get_webhook_secret,
    test_webhook,
    list_webhook_deliveries,
    redeliver_webhook,
)
