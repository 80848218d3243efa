"""`tenants` and its commands list, show, make, change, suspend, resume and delete tenants."""

from collections.abc import Iterator

import pytest
from cli.commands import run
from sdk.client.scripted_api import Reply, ScriptedApi

from millstream_cli.client import tenant_commands
from millstream_cli.exit_codes import ExitCode

TENANT = {
    "name": "acme",
    "title": "Acme \x1b[31mLtd.",
    "state": "suspended",
    "reason": "unpaid",
    "quotas": {"keys": 3, "jobs_running": 20},
    "jobs_running": 7,
    "limits": {"submissions_per_s": 5.0, "burst": 9},
    "encryption": "all",
}


@pytest.fixture
def api() -> Iterator[ScriptedApi]:
    """Serve a scripted API."""
    server = ScriptedApi()
    yield server
    server.close()


def test_tenants_are_listed_with_their_states_and_quotas(api: ScriptedApi) -> None:
    """The list has each tenant with its state and quotas, without control characters, and says how to go on."""
    api.script.append(Reply(200, {"items": [TENANT], "next_cursor": "abc"}))
    done = run("tenants", "--name", "ac", "--url", api.url)
    assert done.exit_code == 0, done.stderr
    for word in ("acme", "suspended", "keys=3"):
        assert word in done.stdout
    assert "\x1b" not in done.stdout
    assert "abc" in done.output
    assert (api.received[0].path, api.received[0].query) == ("/v1/tenants", {"name": ["ac"], "limit": ["100"]})


def test_tenant_is_made_and_changed_as_options_say(api: ScriptedApi) -> None:
    """Quotas are sent by their names, and a change sends what is given alone."""
    for words, body in (
        (("create", "--title", "Acme", "--quota", "keys=3"), {"name": "acme", "title": "Acme", "quotas": {"keys": 3}}),
        (("change", "--quota", "keys=4", "--quota", "schedules=1"), {"quotas": {"keys": 4, "schedules": 1}}),
        (("change", "--no-quotas"), {"quotas": {}}),
        (("change", "--submissions-per-s", "5"), {"limits": {"submissions_per_s": 5.0}}),
        (("change", "--no-limits"), {"limits": {}}),
        (("change", "--title", "B"), {"title": "B"}),
        (("create", "--encryption", "all"), {"name": "acme", "quotas": {}, "encryption": "all"}),
        (("change", "--encryption", "inherit"), {"encryption": "inherit"}),
        (("suspend", "--reason", "unpaid"), {"reason": "unpaid"}),
    ):
        api.script.append(Reply(200, TENANT))
        done = run("tenants", words[0], "acme", *words[1:], "--url", api.url)
        assert done.exit_code == 0, done.stderr
        assert api.received[-1].body == body
        assert "unpaid" in done.stdout
        assert "5 jobs/s, 9 at once" in done.stdout
        assert "all jobs" in done.stdout
        assert "running now    7" in done.stdout


def test_a_tenant_tells_since_when_it_is_as_it_is(api: ScriptedApi) -> None:
    """A tenant that was changed tells when that was, beside its state and the reason."""
    api.script.append(Reply(200, {**TENANT, "changed_at": "2026-03-27T03:04:05Z"}))
    shown = [line.split() for line in run("tenants", "show", "acme", "--url", api.url).stdout.splitlines()]
    assert ["since", "2026-03-27", "03:04", "UTC"] in shown
    assert ["state", "suspended"] in shown


def test_what_is_no_quota_is_a_mistake_in_the_command(api: ScriptedApi) -> None:
    """An unknown quota, one without a number, and a change of nothing are refused before a request."""
    for words in (
        ("create", "--quota", "kies=1"),
        ("create", "--quota", "keys"),
        ("change",),
        ("change", "--encryption", "on"),
    ):
        done = run("tenants", words[0], "acme", *words[1:], "--url", api.url)
        assert done.exit_code == ExitCode.USAGE
    assert api.received == []


DELETION = {
    "id": "op_1",
    "kind": "delete-tenant",
    "state": "pending",
    "rate": 50.0,
    "created_at": "2026-01-02T00:00:00Z",
    "updated_at": "2026-01-02T00:00:00Z",
    "tenant": "acme",
}


def test_deletion_is_followed_to_its_end(api: ScriptedApi, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command says what is done meanwhile, once each, and ends with what was removed and what is left."""
    monkeypatch.setattr(tenant_commands, "LOOK_EVERY_S", 0.0)
    running = {**DELETION, "state": "running", "detail": "its history is removed"}
    done = {**DELETION, "state": "done", "detail": "its audit records stay", "removed": {"jobs": 3, "history_rows": 9}}
    api.script += [Reply(202, DELETION), Reply(200, running), Reply(200, running), Reply(200, done)]
    found = run("tenants", "delete", "acme", "--confirm", "acme", "--url", api.url)
    assert found.exit_code == 0, found.stderr
    assert found.stderr.count("its history is removed") == 1
    for word in ("done: its audit records stay", "all of the tenant acme", "3 jobs, 9 history rows"):
        assert word in found.stdout
    assert [one.path for one in api.received] == ["/v1/tenants/acme", *["/v1/operations/op_1"] * 3]
    assert api.received[0].query == {"confirm": ["acme"]}


def test_deletion_that_fails_is_an_exit_status(api: ScriptedApi) -> None:
    """A script sees a deletion that failed; without waiting it sees that one has begun."""
    failed = {**DELETION, "state": "failed", "detail": "there is no tenant `acme`"}
    for answer, words, status in ((failed, (), ExitCode.FAILED), (DELETION, ("--no-wait",), ExitCode.DONE)):
        api.script.append(Reply(202, answer))
        found = run("tenants", "delete", "acme", "--confirm", "acme", *words, "--url", api.url)
        assert found.exit_code == status, found.stderr
    assert run("tenants", "delete", "acme", "--url", api.url).exit_code == ExitCode.USAGE
