"""Every page shows and offers to each role what the role may do, and nothing else; a direct request is refused."""

import re
from collections.abc import AsyncIterator, Iterator, Mapping
from urllib.parse import urlsplit

import pytest
from console.access.conftest import Give, sign_in
from console.seeding import MAIL, dead_jobs
from console.serving import Browser, Page, running_console
from ingest.serving import Ingest

from millstream import Client, NewJob
from millstream_console.pages import HANDLERS
from millstream_console.settings import ConsoleSettings
from millstream_contracts import ROLE_SCOPES, Role, Scope
from millstream_streams import Broker

SECRET = "canary4711"

ANYONE = None
SCOPES: Mapping[str, Scope | None] = {
    "/sign-in": ANYONE,
    "/sign-out": ANYONE,
    "/jobs/columns": ANYONE,
    "/queues/columns": ANYONE,
    "/first-job": Scope.JOBS_SUBMIT,
    "/jobs/new": Scope.JOBS_SUBMIT,
    "/jobs/{job_id:str}/cancel": Scope.JOBS_MANAGE,
    "/jobs/{job_id:str}/run-now": Scope.JOBS_MANAGE,
    "/jobs/{job_id:str}/priority": Scope.JOBS_MANAGE,
    "/jobs/{job_id:str}/redrive": Scope.JOBS_MANAGE,
    "/jobs/{job_id:str}/discard": Scope.JOBS_MANAGE,
    "/jobs/{job_id:str}/signal": Scope.JOBS_MANAGE,
    "/decide": Scope.JOBS_MANAGE,
    "/operations/{operation_id:str}/pause": Scope.JOBS_MANAGE,
    "/operations/{operation_id:str}/resume": Scope.JOBS_MANAGE,
    "/operations/{operation_id:str}/cancel": Scope.JOBS_MANAGE,
    "/batches/{batch_id:str}/close": Scope.JOBS_SUBMIT,
    "/batches/{batch_id:str}/cancel": Scope.JOBS_MANAGE,
    "/queues/{job_type:str}/pause": Scope.QUEUES_MANAGE,
    "/queues/{job_type:str}/resume": Scope.QUEUES_MANAGE,
    "/queues/{job_type:str}/hold/end": Scope.QUEUES_MANAGE,
    "/queues/{job_type:str}/breaker/open": Scope.QUEUES_MANAGE,
    "/queues/{job_type:str}/breaker/close": Scope.QUEUES_MANAGE,
    "/queues/{job_type:str}/limits": Scope.QUEUES_MANAGE,
    "/workers/{name:str}/drain": Scope.QUEUES_MANAGE,
    "/new-schedule": Scope.SCHEDULES_MANAGE,
    "/schedules/{name:str}/edit": Scope.SCHEDULES_MANAGE,
    "/schedules/{name:str}/pause": Scope.SCHEDULES_MANAGE,
    "/schedules/{name:str}/resume": Scope.SCHEDULES_MANAGE,
    "/schedules/{name:str}/run": Scope.SCHEDULES_MANAGE,
    "/schedules/{name:str}/remove": Scope.SCHEDULES_MANAGE,
    "/schedules/{name:str}/backfill": Scope.SCHEDULES_MANAGE,
    "/schedules/{name:str}/backfills/{backfill_id:str}/cancel": Scope.SCHEDULES_MANAGE,
    "/workflows/{workflow_id:str}/cancel": Scope.WORKFLOWS_MANAGE,
    "/workflows/{workflow_id:str}/rerun": Scope.WORKFLOWS_MANAGE,
    "/new-template": Scope.TEMPLATES_MANAGE,
    "/templates/{name:str}/edit": Scope.TEMPLATES_MANAGE,
    "/templates/{name:str}/remove": Scope.TEMPLATES_MANAGE,
    "/webhooks/new": Scope.WEBHOOKS_MANAGE,
    "/webhooks/{webhook_id:str}/edit": Scope.WEBHOOKS_MANAGE,
    "/webhooks/{webhook_id:str}/secret": Scope.WEBHOOKS_MANAGE,
    "/webhooks/{webhook_id:str}/rotate": Scope.WEBHOOKS_MANAGE,
    "/webhooks/{webhook_id:str}/enable": Scope.WEBHOOKS_MANAGE,
    "/webhooks/{webhook_id:str}/disable": Scope.WEBHOOKS_MANAGE,
    "/webhooks/{webhook_id:str}/test": Scope.WEBHOOKS_MANAGE,
    "/webhooks/{webhook_id:str}/remove": Scope.WEBHOOKS_MANAGE,
    "/webhooks/{webhook_id:str}/deliveries/{job_id:str}/redeliver": Scope.WEBHOOKS_MANAGE,
    "/new-tenant": Scope.TENANTS_MANAGE,
    "/tenants/{name:str}/edit": Scope.TENANTS_MANAGE,
    "/tenants/{name:str}/delete": Scope.TENANTS_MANAGE,
    "/tenants/{name:str}/suspend": Scope.TENANTS_MANAGE,
    "/tenants/{name:str}/resume": Scope.TENANTS_MANAGE,
    "/keys/new": Scope.KEYS_MANAGE,
    "/keys/{key_id:str}/rotate": Scope.KEYS_MANAGE,
    "/keys/{key_id:str}/revoke": Scope.KEYS_MANAGE,
    "/sessions/{session_id:str}/end": Scope.KEYS_MANAGE,
}
"""What each form needs, listed a second time on purpose: a new form needs a decision here too."""

FORMS = {
    "/jobs/new": {"type": "email.send"},
    "/decide": {"decision": "redrive", "scope": "match", "frozen": "state:dead"},
    "/jobs/{job_id:str}/priority": {"priority": "high"},
    "/jobs/{job_id:str}/signal": {"name": "go"},
}
"""Fields without which a form has no meaning."""


def posts() -> Iterator[str]:
    """Yield the path of every route that a form is sent to."""
    for handler in HANDLERS:
        if "POST" in handler.http_methods:
            yield from handler.paths


@pytest.fixture
async def places(guarded_archive: Ingest, broker: Broker, history_url: str, give: Give) -> dict[str, str]:
    """Store one of each, with a secret in every payload, and return the paths of the pages by name."""
    key = await give(Role.ADMIN)
    payload = {"text": SECRET}
    (dead,) = await dead_jobs(broker, history_url, 1)
    async with Client(str(guarded_archive.http.base_url), api_key=key.text) as client:
        job = await client.submit("email.send", payload, delay=3600)
        await client.put_template("nightly", NewJob("email.send", payload))
        await client.put_schedule("nightly", "30 2 * * *", NewJob("email.send", payload))
        await client.create_tenant("acme", quotas={"keys": 5})
        webhook = await client.add_webhook("https://example.com/hooks")
        batch = await client.create_batch({"name": "import", "open": True})
    lists = ["jobs", "queues", "errors", "schedules", "workflows", "batches", "templates"]
    lists += ["operations", "workers", "webhooks"]
    return {
        **{name: f"/{name}" for name in lists},
        "overview": "/",
        "me": "/me",
        "searched": "/jobs?q=state:scheduled",
        "job": f"/jobs/{job.id}",
        "dead": f"/jobs/{dead}",
        "queue": f"/queues/{MAIL.type}",
        "schedule": "/schedules/nightly",
        "template": "/templates/nightly",
        "webhook": f"/webhooks/{webhook.id}",
        "callbacks": "/webhooks/callbacks",
        "batch": f"/batches/{batch.id}",
        "key": f"/keys/{key.id}",
        "system": "/system",
        "keys": "/keys",
        "tenants": "/tenants",
        "tenant": "/tenants/acme",
        "sessions": "/sessions",
    }


NEEDS = {"system": Scope.QUEUES_MANAGE, "keys": Scope.KEYS_MANAGE, "key": Scope.KEYS_MANAGE}
NEEDS |= {"sessions": Scope.KEYS_MANAGE, "tenants": Scope.TENANTS_MANAGE, "tenant": Scope.TENANTS_MANAGE}


@pytest.fixture
async def console(guarded_archive: Ingest) -> AsyncIterator[Browser]:
    """Yield a console over the ingest that has a history and asks for keys."""
    async with running_console(ConsoleSettings(url=str(guarded_archive.http.base_url))) as running:
        yield running


def scope_of(path: str) -> Scope | None:
    """Return what a form needs that is sent to a path."""
    for pattern, scope in SCOPES.items():
        if re.fullmatch(re.sub(r"\{[^}]*\}", "[^/]+", pattern), path):
            return scope
    raise AssertionError(path)


def offered(page: Page) -> Iterator[tuple[str, Scope | None]]:
    """Yield the forms of a page, each with what it needs."""
    for form in page.all("form[method=post]"):
        path = urlsplit(str(form["action"])).path
        yield path, scope_of(path)


@pytest.mark.parametrize("role", [Role.VIEWER, Role.OPERATOR, Role.ADMIN])
async def test_pages_offer_what_the_role_may_do_and_no_more(
    console: Browser, places: dict[str, str], give: Give, role: Role
) -> None:
    """Of each page: it is shown to who may see it; each form is allowed; each link leads where the role may go."""
    await sign_in(console, await give(role))
    granted = ROLE_SCOPES[role]
    links: set[str] = set()
    for name, path in places.items():
        is_allowed = NEEDS.get(name, Scope.JOBS_READ) in granted or name == "me"
        page = await console.get(path, 200 if is_allowed else 403)
        for action, scope in offered(page):
            assert scope is None or scope in granted, (name, action)
        if Scope.JOBS_MANAGE not in granted:
            assert not page.all("[name=decision], [data-act=retry], [data-act=cancel], input[name=id]"), name
        if Scope.PAYLOADS_READ not in granted:
            assert SECRET not in page.html, name
        links |= {urlsplit(str(link["href"])).path for link in page.all("main a[href], nav a[href]")}
    for link in sorted(link for link in links if link.startswith("/")):
        response = await console.http.get(link)
        assert response.status_code != 403, link
    found = (await console.http.get("/places.json")).json()
    assert ("/keys" in {one["to"] for one in found}) == (Scope.KEYS_MANAGE in granted)


@pytest.mark.parametrize("name", ["job", "schedule", "template"])
async def test_payload_that_is_withheld_is_shown_as_withheld(
    console: Browser, places: dict[str, str], give: Give, name: str
) -> None:
    """A viewer is told that there is a payload and why it is not shown; an operator reads it."""
    await sign_in(console, await give(Role.VIEWER))
    page = await console.get(places[name])
    assert "payloads:read" in page.the("[data-withheld]").get_text()
    await sign_in(console, await give(Role.OPERATOR))
    page = await console.get(places[name])
    assert SECRET in page.html
    assert not page.all("[data-withheld]")


async def test_who_may_read_no_jobs_is_led_to_what_may_be_done(console: Browser, give: Give) -> None:
    """A submitter comes to the page about itself, and may submit a job."""
    page = await sign_in(console, await give(Role.SUBMITTER))
    assert "What you may do" in page.main
    await console.get("/jobs/new")
    assert "jobs:read" in (await console.get("/queues", 403)).main


def test_every_form_has_its_scope_written_down() -> None:
    """No form is forgotten."""
    assert set(posts()) == SCOPES.keys()


@pytest.mark.parametrize("path", [path for path, scope in SCOPES.items() if scope])
async def test_direct_request_is_refused_with_the_scope_that_is_missing(
    console: Browser, broker: Broker, give: Give, path: str
) -> None:
    """A form that was not offered is refused with a page that names the scope, whatever stands in it."""
    scope = SCOPES[path]
    others = [one.value for one in ROLE_SCOPES[Role.ADMIN] if one is not scope]
    await sign_in(console, await give(scopes=others))
    address = re.sub(r"\{[^}]*\}", "a", path)
    response = await console.http.post(address, data=FORMS.get(path, {}), headers={"sec-fetch-site": "same-origin"})
    assert response.status_code == 403, response.text
    page = Page(response)
    assert page.the("h1").get_text() == "Your session may not do this"
    assert f"`{scope}`" in page.main
