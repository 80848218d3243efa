"""`/v1/audit` shows the records of the tenant of the key, by filters and pages, and the ends of their chain."""

from ingest.access.conftest import Give, bearer
from ingest.serving import Ingest, problem

from millstream_contracts import AuditChain, ChainChecker, MintedKey, Role
from millstream_dispatcher.audit_historian import AuditHistorian
from millstream_history import open_history
from millstream_streams import Broker
from millstream_telemetry import AuditMetrics, MetricRegistry


async def project(broker: Broker, history_url: str) -> None:
    """Do what a dispatcher does."""
    async with open_history(history_url) as history:
        await AuditHistorian(broker, history, AuditMetrics(MetricRegistry()), kept_days=400).run_once()


async def test_records_are_shown_by_filters_and_pages(
    remembering: Ingest, admin: MintedKey, broker: Broker, history_url: str
) -> None:
    """Records come newest first or oldest first, page by page, by all filters together; a wrong filter is refused."""
    http, headers = remembering.http, bearer(admin)
    for name in ("one", "two", "three"):
        await http.put(f"/v1/templates/{name}", json={"type": "email.send"}, headers=headers)
    await http.delete("/v1/templates/one", headers=headers)
    await project(broker, history_url)
    page = await http.get("/v1/audit?limit=3", headers=headers)
    assert [one["seq"] for one in page.json()["items"]] == [4, 3, 2]
    assert page.json()["items"][0]["action"] == "removeTemplate"
    rest = await http.get(page.links["next"]["url"], headers=headers)
    assert [one["seq"] for one in rest.json()["items"]] == [1]
    for query in (
        "action=removeTemplate",
        "target=/v1/templates/one&order=oldest&action=removeTemplate",
        f"key={admin.id}&outcome=done&action=removeTemplate&after=2026-01-01T00:00:00Z",
    ):
        found = await http.get(f"/v1/audit?{query}", headers=headers)
        assert [one["seq"] for one in found.json()["items"]] == [4], query
    assert (await http.get("/v1/audit?before=2026-01-01T00:00:00Z", headers=headers)).json()["items"] == []
    for query in ("outcome=fine", "order=best", "after=yesterday", "cursor=!", "who=ann"):
        assert (await http.get(f"/v1/audit?{query}", headers=headers)).status_code == 400, query


async def test_chain_is_verified_from_the_answers_alone(
    remembering: Ingest, admin: MintedKey, broker: Broker, history_url: str
) -> None:
    """The hashes of the answers are those of their fields, in both encodings, and the ends fit."""
    http, headers = remembering.http, bearer(admin)
    await http.put("/v1/templates/ü", json={"type": "email.send"}, headers=headers)
    await http.post("/v1/keys", json={"name": "ü\u2028 \U0001f600", "role": "viewer"}, headers=headers)
    await project(broker, history_url)
    chain = (await http.get("/v1/audit/chain", headers=headers)).json()
    assert chain["head"] == chain["last"]
    checker = ChainChecker(AuditChain(tenant="default"))
    for record in (await http.get("/v1/audit?order=oldest", headers=headers)).json()["items"]:
        checker.check(record)
    found = checker.result()
    assert found.faults == []
    assert found.last.hash == chain["last"]["hash"]


async def test_other_tenant_sees_nothing_of_it(
    remembering: Ingest, give: Give, admin: MintedKey, broker: Broker, history_url: str
) -> None:
    """A key shows the records and the chain of its own tenant, also by a cursor of another one."""
    other = await give(Role.ADMIN, tenant="acme")
    await remembering.services.key_cache.refresh()
    http = remembering.http
    for key, name in ((admin, "ours"), (admin, "ours-too"), (other, "theirs")):
        await http.put(f"/v1/templates/{name}", json={"type": "email.send"}, headers=bearer(key))
    await project(broker, history_url)
    ours = await http.get("/v1/audit?limit=1", headers=bearer(admin))
    theirs = (await http.get("/v1/audit", headers=bearer(other))).json()["items"]
    assert [(one["target"], one["seq"], one["tenant"]) for one in theirs] == [("/v1/templates/theirs", 1, "acme")]
    by_cursor = await http.get(ours.links["next"]["url"], headers=bearer(other))
    assert all(one["tenant"] == "acme" for one in by_cursor.json()["items"])
    chain = (await http.get("/v1/audit/chain", headers=bearer(other))).json()
    assert (chain["tenant"], chain["head"]["seq"]) == ("acme", 1)


async def test_trail_is_for_those_who_may_read_it(remembering: Ingest, give: Give) -> None:
    """An operator may change things and may not read who has."""
    operator = await give(Role.OPERATOR)
    for path in ("/v1/audit", "/v1/audit/chain"):
        problem(await remembering.http.get(path, headers=bearer(operator)), 403, "forbidden")


async def test_without_a_history_that_is_said(ingest: Ingest, admin: MintedKey) -> None:
    """Without a history records are written, and to read them is refused with the reason."""
    for path in ("/v1/audit", "/v1/audit/chain"):
        problem(await ingest.http.get(path, headers=bearer(admin)), 422, "no-history")
