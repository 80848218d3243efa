"""`audit` and its commands list, verify and export audit records."""

from collections.abc import Iterator

import msgspec
import pytest
from anyio import to_thread
from cli.commands import run
from sdk.client.scripted_api import Reply, ScriptedApi
from sdk.client.test_audit import chain, ends

from millstream_cli.exit_codes import ExitCode
from millstream_contracts import MAX_AUDIT_FAULTS, AuditOutcome
from millstream_streams import Broker


@pytest.fixture
def api() -> Iterator[ScriptedApi]:
    """Serve a scripted API."""
    server = ScriptedApi()
    yield server
    server.close()


def test_records_are_listed_as_text(api: ScriptedApi) -> None:
    """A row has the record without control characters, and the filters are sent."""
    [record] = chain(1)
    record |= {"key_name": "a\x1b[31mnn", "target": "/v1/x", "problem": "key-not-found", "outcome": "refused"}
    api.script.append(Reply(200, {"items": [record], "next_cursor": "MQ"}))
    done = run("audit", "--action", "revokeKey", "--since", "7d", "--outcome", "refused", "--url", api.url)
    assert done.exit_code == 0, done.stderr
    assert "refused: key-not-found" in done.stdout
    assert "\x1b" not in done.stdout
    assert "--cursor MQ" in done.stdout
    query = api.received[0].query
    assert (query["action"], query["outcome"]) == (["revokeKey"], ["refused"])
    assert query["after"]


def test_whole_chain_says_its_last_record(api: ScriptedApi) -> None:
    """The last record is shown so that it can be kept, and taken again as what is known."""
    records = chain(2)
    for _ in range(2):
        api.script += [Reply(200, ends(records)), Reply(200, {"items": records})]
    done = run("audit", "verify", "--url", api.url)
    assert done.exit_code == 0, done.stderr
    assert "2 records: the chain is whole" in done.stdout
    known = done.stdout.split("last: ")[1].strip()
    assert known == f"2:{records[1]['hash']}"
    assert run("audit", "verify", "--known", known, "--url", api.url).exit_code == 0


def test_broken_chain_ends_the_command_with_a_failure(api: ScriptedApi) -> None:
    """Each fault is one line, and scripts see it by the exit status."""
    records = chain(3)
    del records[1]
    for _ in range(2):
        api.script += [Reply(200, ends(chain(3))), Reply(200, {"items": records})]
    done = run("audit", "verify", "--url", api.url)
    assert done.exit_code == ExitCode.FAILED
    assert "record 3: the record 2 is missing" in done.stdout
    told = run("audit", "verify", "--json", "--url", api.url)
    assert told.exit_code == ExitCode.FAILED
    assert msgspec.json.decode(told.stdout)["faults"][0]["seq"] == 3


@pytest.mark.parametrize("altered", [MAX_AUDIT_FAULTS - 1, MAX_AUDIT_FAULTS])
def test_a_verification_that_has_told_all_that_it_may_says_that_there_may_be_more(
    api: ScriptedApi, altered: int
) -> None:
    """From `MAX_AUDIT_FAULTS` faults on a verification says that there may be more of them."""
    records = chain(MAX_AUDIT_FAULTS)
    for record in records[:altered]:
        record["target"] = "/v1/another"
    api.script += [Reply(200, ends(chain(MAX_AUDIT_FAULTS))), Reply(200, {"items": records})]
    said = run("audit", "verify", "--url", api.url).stdout
    assert said.count("record ") == altered, said
    assert ("there may be more" in said) is (altered == MAX_AUDIT_FAULTS)


def test_what_is_no_record_is_a_usage_error(api: ScriptedApi) -> None:
    """A `--known` that cannot be read is refused before anything is asked."""
    done = run("audit", "verify", "--known", "5:abc", "--url", api.url)
    assert done.exit_code == ExitCode.USAGE
    assert "--known" in done.stderr
    assert api.received == []


def test_export_is_a_line_for_each_record(api: ScriptedApi) -> None:
    """Each line is one record as JSON, the oldest first."""
    records = chain(2)
    api.script.append(Reply(200, {"items": records}))
    done = run("audit", "export", "--url", api.url)
    assert [msgspec.json.decode(line) for line in done.stdout.splitlines()] == records


async def test_first_key_leaves_a_record(broker: Broker, redis_url: str, namespace: str) -> None:
    """A key that is made at the host is on the record, with the user and the host in place of a principal."""
    environ = {"MILLSTREAM_REDIS_URL": redis_url, "MILLSTREAM_NAMESPACE": namespace}
    done = await to_thread.run_sync(lambda: run("keys", "bootstrap", "--json", **environ))
    assert done.exit_code == 0, done.stderr
    [record] = (await broker.audit_trail.waiting(9)).entries
    made = msgspec.json.decode(done.stdout)
    assert (record.action, record.outcome, record.made) == (
        "bootstrapKey",
        AuditOutcome.DONE,
        f"/v1/keys/{made['id']}",
    )
    assert record.key_id == "bootstrap"
    assert record.address
    assert made["key"] not in str(record)
