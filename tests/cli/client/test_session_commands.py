"""`sessions` and its commands open, list and end sessions."""

from collections.abc import Iterator

import pytest
from cli.commands import run
from sdk.client.scripted_api import Reply, ScriptedApi

SESSION = {
    "id": "3nW8xQbT",
    "key_id": "7Kq2vXbA",
    "name": "ann \x1b[31m",
    "role": "viewer",
    "scopes": ["jobs:read"],
    "created_at": "2026-03-27T03:04:05Z",
    "expires_at": "2026-03-27T15:04:05Z",
}
SECRET = {**SESSION, "token": "ms_3nW8xQbT_secret"}


@pytest.fixture
def api() -> Iterator[ScriptedApi]:
    """Serve a scripted API."""
    server = ScriptedApi()
    yield server
    server.close()


def test_session_is_opened_with_the_key_of_the_environment_and_shown_once(api: ScriptedApi) -> None:
    """The length of time is sent as the API has it, and the token of the answer is shown."""
    api.script.append(Reply(201, SECRET))
    done = run("sessions", "open", "--expires", "1h", "--url", api.url, MILLSTREAM_API_KEY="ms_key")
    assert done.exit_code == 0, done.stderr
    assert api.received[0].body == {"expires_in_s": 3600.0}
    assert api.received[0].headers["authorization"] == "Bearer ms_key"
    assert SECRET["token"] in done.stdout
    assert "\x1b" not in done.stdout


def test_sessions_are_listed_without_control_characters(api: ScriptedApi) -> None:
    """The list tells the key behind each session."""
    api.script.append(Reply(200, {"items": [SESSION], "next_cursor": None}))
    done = run("sessions", "--url", api.url)
    assert done.exit_code == 0, done.stderr
    assert all(word in done.stdout for word in ("3nW8xQbT", "7Kq2vXbA", "viewer", "2026-03-27 15:04 UTC"))
    assert "\x1b" not in done.stdout


@pytest.mark.parametrize(("words", "path"), [((), "current"), (("3nW8xQbT",), "3nW8xQbT")])
def test_session_is_ended_by_id_or_as_ones_own(api: ScriptedApi, words: tuple[str, ...], path: str) -> None:
    """`end` without an id ends the session that the command is run with."""
    api.script.append(Reply(200, SESSION))
    done = run("sessions", "end", *words, "--url", api.url)
    assert done.exit_code == 0, done.stderr
    assert (api.received[0].method, api.received[0].path) == ("DELETE", f"/v1/sessions/{path}")
