"""The page of a key tells what the key is narrowed to, and the page of a job who has submitted it."""

import pytest
from console.access.conftest import Give, sign_in
from console.serving import Browser
from ingest.serving import Ingest

from millstream import Client, Workflow
from millstream_contracts import MintedKey, RequestLimits, Role


@pytest.fixture
async def admin(give: Give) -> MintedKey:
    """Store a key that may do everything."""
    return await give(Role.ADMIN)


async def test_page_of_a_key_tells_what_narrows_it(locked: Browser, admin: MintedKey, give: Give) -> None:
    """Job types, networks, limits and tenant of a key stand on its page, and its list says that it is narrowed."""
    narrow = await give(
        Role.SUBMITTER, types=["email.*"], networks=["10.0.0.0/8"], limits=RequestLimits(submissions_per_s=17.5)
    )
    await sign_in(locked, admin)
    page = await locked.get(f"/keys/{narrow.id}")
    for text in ("email.*", "10.0.0.0/8", "17.5", "default"):
        assert text in page.text, text
    assert "narrowed" in (await locked.get("/keys")).text
    free = await locked.get(f"/keys/{admin.id}")
    assert "Job types" not in free.text
    assert "Networks" not in free.text


async def test_page_of_a_job_tells_who_has_submitted_it(
    guarded: Ingest, locked: Browser, admin: MintedKey, give: Give
) -> None:
    """The pages of a job, a batch and a workflow have the id of the key that has submitted it."""
    submitter = await give("", scopes=["jobs:submit", "workflows:manage"])
    async with Client(str(guarded.http.base_url), api_key=submitter.text) as client:
        job = await client.submit("email.send", None, delay=3600)
        batch = await client.create_batch({"name": "import", "open": True})
        assert (await client.get(job.id)).submitted_by == submitter.id
        assert (await client.cancel(job.id)).state == "cancelled"
        flow = Workflow("month-end")
        flow.add("mail", "email.send", None)
        workflow = await client.run(flow)
        assert (await workflow.status()).submitted_by == submitter.id
    await sign_in(locked, admin)
    for path in (f"/jobs/{job.id}", f"/batches/{batch.id}", f"/workflows/{workflow.id}"):
        assert submitter.id in (await locked.get(path)).text, path
