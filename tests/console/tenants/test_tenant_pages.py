"""The pages of tenants over a real ingest, read without script."""

from console.serving import Browser
from history_databases import execute

from millstream import RequestLimits

HOSTILE = "<img src=x onerror=alert(1)>\u202e"


async def test_a_tenant_is_made_with_what_was_typed(console: Browser) -> None:
    """Quotas and limits are those of the form; an empty field is no bound, and the next step is a key."""
    page = await console.post(
        "/new-tenant", name="acme", title=HOSTILE, keys="5", payload_bytes="", submissions_per_s="2.5", burst="9"
    )
    assert "The tenant is made." in page.toast
    for text in (HOSTILE.rstrip("\u202e"), "Keys 5", "Jobs a second 2.5", "Jobs at once 9", "--tenant acme"):
        assert text in page.text
    tenant = await console.desk.client.tenant("acme")
    assert (tenant.quotas.keys, tenant.quotas.payload_bytes) == (5, None)
    assert tenant.limits == RequestLimits(submissions_per_s=2.5, burst=9)
    listed = await console.get("/tenants")
    assert [row.split()[0] for row in listed.rows()] == ["acme", "default"]


async def test_what_cannot_be_is_told_beside_its_field(console: Browser) -> None:
    """What was typed stays, nothing is made, and each fault stands at the field that it is about."""
    for field, value, told in (
        ("name", "No Name", "name-why"),
        ("keys", "many", "keys-why"),
        ("keys", "-1", "keys-why"),
        ("burst", "3", "burst-why"),
        ("submissions_per_s", "0", "submissions_per_s-why"),
    ):
        page = await console.post("/new-tenant", **{"name": "globex", "title": "Kept", field: value})
        assert page.status == 422, field
        assert page.the(f"#{told}").text
        assert page.the("[name=title]")["value"] == "Kept"
    names = [one.name for one in (await console.desk.client.tenants()).items]
    assert "globex" not in names
    await console.desk.client.create_tenant("globex")
    page = await console.post("/new-tenant", name="globex")
    assert "there is a tenant `globex` already" in page.text


async def test_a_tenant_is_changed_to_what_the_form_says(console: Browser) -> None:
    """The form begins with what holds, and a field that was emptied takes its bound away."""
    limits = RequestLimits(requests_per_s=1.5)
    await console.desk.client.create_tenant(
        "umbrella", title="Umbrella", quotas={"keys": 3, "webhooks": 1}, limits=limits
    )
    form = await console.get("/tenants/umbrella/edit")
    typed = {one["name"]: one["value"] for one in form.all("main form input")}
    assert (typed["title"], typed["keys"], typed["requests_per_s"], typed["burst"]) == ("Umbrella", "3", "1.5", "")
    page = await console.post("/tenants/umbrella/edit", **{**typed, "keys": "", "schedules": "7", "requests_per_s": ""})
    assert "It is changed." in page.toast
    tenant = await console.desk.client.tenant("umbrella")
    assert (tenant.title, tenant.quotas.keys, tenant.quotas.webhooks, tenant.quotas.schedules) == (
        "Umbrella",
        None,
        1,
        7,
    )
    assert tenant.limits is None


async def test_a_tenant_has_its_jobs_encrypted_as_the_form_says(console: Browser) -> None:
    """The form offers both choices and has the present one; where there are no keys the fault stands at the field."""
    await console.desk.client.create_tenant("tyrell")
    form = await console.get("/tenants/tyrell/edit")
    choices = [one["value"] for one in form.all("[name=encryption] option")]
    assert choices == ["inherit", "all"]
    assert form.the("[name=encryption] option[selected]")["value"] == "inherit"
    page = await console.post("/tenants/tyrell/edit", title="Tyrell", encryption="all")
    assert page.status == 422
    assert "MILLSTREAM_ENCRYPTION_KEYS" in page.the("#encryption-why").text
    assert page.the("[name=encryption] option[selected]")["value"] == "all"
    page = await console.post("/tenants/tyrell/edit", title="Tyrell", encryption="inherit")
    assert "Stored encrypted As types and the installation say" in page.main


async def test_a_tenant_with_a_quota_of_running_jobs_shows_how_many_run(console: Browser) -> None:
    """The page has the quota of the form and beside it how many jobs run now; another tenant's has neither."""
    page = await console.post("/new-tenant", name="stark", jobs_running="20")
    assert "Jobs that run at once 20 Jobs that run now 0" in page.main
    assert (await console.desk.client.tenant("stark")).quotas.jobs_running == 20
    assert "Jobs that run" not in (await console.get("/tenants/default")).main


async def test_a_tenant_is_suspended_and_goes_on(console: Browser) -> None:
    """The page says why it is suspended, and offers what is possible then; the operator's own is not offered to be."""
    await console.desk.client.create_tenant("initech")
    page = await console.post("/tenants/initech/suspend", reason="unpaid")
    assert "It is suspended" in page.toast
    assert "suspended , because: unpaid" in page.main
    page = await console.post("/tenants/initech/resume")
    assert "State active" in page.main
    own = await console.get("/tenants/default")
    assert "Suspend" not in own.main
    assert (await console.get("/tenants/hooli", status=404)).text


async def test_a_tenant_is_deleted_once_its_name_was_typed(archive: Browser, history_url: str) -> None:
    """Another name deletes nothing; the right one leads to a page that says how far it is, as the tenant's does."""
    await archive.desk.client.create_tenant("soylent", title=HOSTILE)
    page = await archive.post("/tenants/soylent/delete", confirm="soylent.green")
    assert "Nothing is deleted" in page.toast
    assert (await archive.desk.client.tenant("soylent")).deletion is None
    page = await archive.post("/tenants/soylent/delete", confirm=" soylent ")
    assert "Its keys are revoked" in page.toast
    removed = """'{"jobs": 4217, "history_rows": 9}'"""
    await execute(history_url, f"UPDATE operations SET state = 'running', removed = {removed}, detail = 'it goes on'")
    tenant = await archive.get("/tenants/soylent")
    assert "deleting" in tenant.main
    assert "Suspend" not in tenant.the("#live_tenant").text
    deletion = (await archive.desk.client.tenant("soylent")).deletion
    links = [link["href"] for link in tenant.all("main a")]
    assert f"/operations/{deletion}" in links
    page = await archive.get(f"/operations/{deletion}")
    for word in ("Delete a tenant", "Dispatchers remove what it has.", "It goes on.", "Jobs 4,217", "History rows 9"):
        assert word in page.main
    # It goes on to its end.
    assert page.the("#live_actions").text.strip() == ""
    assert "all of soylent" in (await archive.get("/operations")).main


async def test_a_deletion_needs_a_history(console: Browser) -> None:
    """Without one the page of the tenant says so, and the tenant stays."""
    await console.desk.client.create_tenant("hoolicon")
    page = await console.post("/tenants/hoolicon/delete", confirm="hoolicon")
    assert "history" in page.toast
    assert (await console.desk.client.tenant("hoolicon")).deletion is None
