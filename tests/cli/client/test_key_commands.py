"""`keys` and its commands make, show, rotate and revoke keys of the API."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import msgspec
import pytest
from anyio import to_thread
from cli.commands import run
from sdk.client.scripted_api import Reply, ScriptedApi, problem

from millstream_cli.exit_codes import ExitCode
from millstream_contracts import DEFAULT_TENANT, Role, digest_of_key, id_of_key
from millstream_streams import Broker

KEY = {
    "id": "7Kq2vXbA",
    "name": "web \x1b[31mshop",
    "role": "submitter",
    "scopes": ["jobs:submit"],
    "created_at": "2026-03-27T03:04:05Z",
    "created_by": "bootstrap",
}
SECRET = {**KEY, "key": "ms_7Kq2vXbA_secret"}


@pytest.fixture
def api() -> Iterator[ScriptedApi]:
    """Serve a scripted API."""
    server = ScriptedApi()
    yield server
    server.close()


def test_key_is_made_as_its_options_say_and_shown_once(api: ScriptedApi) -> None:
    """A role and a length of time are sent as the API has them, and the secret of the answer is shown."""
    api.script.append(Reply(201, SECRET))
    done = run("keys", "create", "web shop", "--role", "submitter", "--expires", "90d", "--url", api.url)
    assert done.exit_code == 0, done.stderr
    assert api.received[0].body == {
        "name": "web shop",
        "role": "submitter",
        "expires_in_s": 90 * 86_400.0,
    }
    assert SECRET["key"] in done.stdout
    assert "\x1b" not in done.stdout
    api.script.append(Reply(201, {**SECRET, "types": ["email.*", "sms.send"], "networks": ["10.0.0.0/8"]}))
    narrow = ("--types", "email.*", "--types", "sms.send", "--networks", "10.0.0.0/8")
    done = run("keys", "create", "a", "--role", "admin", *narrow, "--url", api.url)
    assert api.received[1].body == {
        "name": "a",
        "role": "admin",
        "types": ["email.*", "sms.send"],
        "networks": ["10.0.0.0/8"],
    }
    assert "email.*, sms.send" in done.stdout
    assert "10.0.0.0/8" in done.stdout
    assert "shown this once" in done.stderr


def test_limits_are_sent_and_shown(api: ScriptedApi) -> None:
    """The limits of the options are sent, with a new key and to an old one, and those of the answer are shown."""
    limits = {"submissions_per_s": 100.0, "burst": 200, "requests_per_s": 0.5}
    words = ("--submissions-per-s", "100", "--burst", "200", "--requests-per-s", "0.5", "--url", api.url)
    for command, line in (
        (("create", "web shop", "--role", "submitter"), ("POST", "/v1/keys")),
        (("limit", "7Kq2vXbA"), ("PATCH", "/v1/keys/7Kq2vXbA")),
    ):
        api.script.append(Reply(200, {**SECRET, "limits": limits}))
        done = run("keys", *command, *words)
        assert done.exit_code == 0, done.stderr
        assert (api.received[-1].method, api.received[-1].path) == line
        assert api.received[-1].body["limits"] == limits
        assert "100 jobs/s, 200 at once; 0.5 other requests/s" in done.stdout
    refused = run("keys", "limit", "7Kq2vXbA", "--submissions-per-s", "0", "--url", api.url)
    assert refused.exit_code == ExitCode.USAGE
    api.script.append(Reply(200, KEY))
    assert run("keys", "limit", "7Kq2vXbA", "--url", api.url).exit_code == 0
    assert api.received[-1].body == {"limits": {}}


def test_commands_ask_for_one_key(api: ScriptedApi) -> None:
    """`show`, `rotate` and `revoke` ask for one key by its id."""
    for words, line, answer in (
        (("show",), ("GET", "/v1/keys/7Kq2vXbA"), KEY),
        (("rotate", "--overlap", "1h"), ("POST", "/v1/keys/7Kq2vXbA/rotate"), SECRET),
        (("revoke",), ("DELETE", "/v1/keys/7Kq2vXbA"), KEY),
    ):
        api.script.append(Reply(200, answer))
        done = run("keys", words[0], "7Kq2vXbA", *words[1:], "--url", api.url)
        assert done.exit_code == 0, done.stderr
        assert (api.received[-1].method, api.received[-1].path) == line
    assert api.received[1].body == {"overlap_s": 3600.0}


def test_key_of_the_environment_is_sent_and_never_shown(api: ScriptedApi) -> None:
    """Commands send the key of MILLSTREAM_API_KEY, and a refusal of it does not quote it."""
    api.script.append(Reply(401, {"type": "/problems/unauthenticated", "title": "No", "status": 401, "detail": "no"}))
    done = run("keys", "--url", api.url, MILLSTREAM_API_KEY=SECRET["key"])
    assert done.exit_code == ExitCode.REFUSED
    assert api.received[0].headers["authorization"] == f"Bearer {SECRET['key']}"
    assert SECRET["key"] not in done.stdout + done.stderr


def test_key_that_is_none_is_refused_before_it_is_sent(api: ScriptedApi) -> None:
    """A key with a space in it is refused without being quoted."""
    done = run("keys", "--url", api.url, MILLSTREAM_API_KEY="two words")
    assert done.exit_code == ExitCode.USAGE
    assert "two words" not in done.stdout + done.stderr
    assert api.received == []


async def test_first_key_is_made_in_redis(broker: Broker, redis_url: str, namespace: str) -> None:
    """`keys bootstrap` stores the hash of a key of the role admin, and shows the key."""
    environ = {"MILLSTREAM_REDIS_URL": redis_url, "MILLSTREAM_NAMESPACE": namespace}
    done = await to_thread.run_sync(lambda: run("keys", "bootstrap", "--json", **environ))
    assert done.exit_code == 0, done.stderr
    made = msgspec.json.decode(done.stdout)
    stored = (await broker.api_keys.all())[1][made["id"]]
    assert id_of_key(made["key"]) == made["id"]
    assert (stored.digest, stored.role, stored.tenant) == (
        digest_of_key(made["key"].encode()),
        Role.ADMIN,
        DEFAULT_TENANT,
    )


async def test_first_key_ends_when_it_was_said(broker: Broker, redis_url: str, namespace: str) -> None:
    """`keys bootstrap --expires` stores and shows the end of the key, and its name."""
    environ = {"MILLSTREAM_REDIS_URL": redis_url, "MILLSTREAM_NAMESPACE": namespace}
    words = ("keys", "bootstrap", "--name", "ops", "--expires", "90d", "--json")
    made = msgspec.json.decode((await to_thread.run_sync(lambda: run(*words, **environ))).stdout)
    stored = (await broker.api_keys.all())[1][made["id"]]
    assert stored.expires_at_ms == stored.created_at_ms + 90 * 86_400_000
    assert datetime.fromisoformat(made["expires_at"]).timestamp() * 1000 == stored.expires_at_ms
    assert (stored.name, made["name"], made["role"]) == ("ops", "ops", "admin")


def test_commands_send_a_token_and_read_its_file_again(api: ScriptedApi, tmp_path: Path) -> None:
    """`MILLSTREAM_TOKEN_FILE` is sent in place of a key; after a refusal the file is read again, as it was replaced."""
    file = tmp_path / "token"
    file.write_text("first\n")

    def refuse(_: object) -> Reply:
        file.write_text("second\n")
        return problem(401, "The request needs a valid credential")

    api.script += [refuse, Reply(200, KEY)]
    done = run("keys", "show", "7Kq2vXbA", "--url", api.url, MILLSTREAM_TOKEN_FILE=str(file))
    assert done.exit_code == 0, done.stderr
    assert [one.headers["authorization"] for one in api.received] == ["Bearer first", "Bearer second"]
