"""`queues` and its commands show, limit and pause queues."""

from collections.abc import Iterator

import msgspec
import pytest
from cli.commands import run
from sdk.client.scripted_api import Reply, ScriptedApi, problem

from millstream_cli.exit_codes import ExitCode

SETTINGS = {
    "type": "mail.send",
    "paused": True,
    "paused_at": "2026-03-27T03:04:05Z",
    "pause_reason": "down \x1b[31magain",
    "limits": {"concurrency": 2000, "rate": "100/m", "burst": 5},
    "limits_set_at": "2026-03-27T03:04:05Z",
}


@pytest.fixture
def api() -> Iterator[ScriptedApi]:
    """Serve a scripted API."""
    server = ScriptedApi()
    yield server
    server.close()


def test_limits_are_sent_as_the_options_say(api: ScriptedApi) -> None:
    """Options that are given are sent under the names of the API, and the others are left out."""
    api.script.append(Reply(200, SETTINGS))
    result = run("queues", "limit", "mail.send", "--concurrency", "20", "--rate", "100/m", "--url", api.url)
    assert result.exit_code == 0, result.output
    assert (api.received[-1].method, api.received[-1].path) == ("PUT", "/v1/queues/mail.send/limits")
    assert msgspec.msgpack.decode(api.received[-1].content) == {"concurrency": 20, "rate": "100/m"}


def test_settings_are_shown_in_words_without_control_characters(api: ScriptedApi) -> None:
    """Pause and limits stand behind their names."""
    api.script.append(Reply(200, SETTINGS))
    result = run("queues", "show", "mail.send", "--url", api.url)
    assert result.exit_code == 0, result.output
    lines = dict(line.split(maxsplit=1) for line in result.output.splitlines())
    assert lines["limits"].startswith("2,000 at once, 100/m (burst 5), set ")
    assert lines["paused"].startswith("yes ")
    assert "\x1b" not in result.output


def test_a_queue_without_settings_says_so(api: ScriptedApi) -> None:
    """What is not set is told, and not left out."""
    api.script.append(Reply(200, {"type": "mail.send"}))
    result = run("queues", "unlimit", "mail.send", "--url", api.url)
    assert (api.received[-1].method, api.received[-1].path) == ("DELETE", "/v1/queues/mail.send/limits")
    lines = dict(line.split(maxsplit=1) for line in result.output.splitlines())
    assert (lines["paused"], lines["limits"]) == ("no", "none")


def test_a_queue_is_paused_with_a_reason_and_resumed(api: ScriptedApi) -> None:
    """The reason goes with the request."""
    api.script += [Reply(200, SETTINGS), Reply(200, {"type": "mail.send"})]
    assert run("queues", "pause", "mail.send", "--reason", "down", "--url", api.url).exit_code == 0
    assert (api.received[-1].path, api.received[-1].query) == ("/v1/queues/mail.send/pause", {"reason": ["down"]})
    assert run("queues", "resume", "mail.send", "--url", api.url).exit_code == 0
    assert (api.received[-1].method, api.received[-1].path) == ("POST", "/v1/queues/mail.send/resume")


def test_a_limit_of_nothing_is_refused_before_anything_is_sent(api: ScriptedApi) -> None:
    """A command without a limit says which options there are."""
    result = run("queues", "limit", "mail.send", "--url", api.url)
    assert result.exit_code == ExitCode.USAGE
    assert "--concurrency" in result.output
    assert not api.received


@pytest.mark.parametrize(
    ("option", "body"),
    [
        ("--concurrency", {"concurrency": 0}),
        ("--cap", {"cap": 0}),
        ("--key-concurrency", {"per_key": {"concurrency": 0}}),
        ("--key-cap", {"per_key": {"cap": 0}}),
        ("--breaker-probes", {"breaker": {"probes": 0}}),
    ],
)
def test_a_limit_of_zero_is_sent_to_be_refused_by_its_name(api: ScriptedApi, option: str, body: dict) -> None:
    """A limit of 0 is sent as it was given, alone and beside others, and its refusal names the field."""
    for words, more in (((), {}), (("--rate", "5/s"), {"rate": "5/s"})):
        api.script.append(problem(422, "concurrency: expected at least 1"))
        result = run("queues", "limit", "mail.send", option, "0", *words, "--url", api.url)
        assert (result.exit_code, api.received[-1].body) == (ExitCode.REFUSED, body | more), result.output
        assert "concurrency: expected at least 1" in result.output


def test_limits_of_keys_are_sent_as_the_options_say(api: ScriptedApi) -> None:
    """Limits of keys, weights and turns have options of their own."""
    api.script.append(Reply(200, SETTINGS))
    words = (
        "--key-concurrency",
        "2",
        "--key-rate",
        "5/s",
        "--key-cap",
        "50",
        "--weight",
        "a=b=2",
        "--weight",
        "c=0.5",
        "--fair",
    )
    result = run("queues", "limit", "mail.send", *words, "--url", api.url)
    assert result.exit_code == 0, result.output
    assert msgspec.msgpack.decode(api.received[-1].content) == {
        "per_key": {"concurrency": 2, "rate": "5/s", "cap": 50},
        "weights": {"a=b": 2.0, "c": 0.5},
        "fair": True,
    }
    result = run("queues", "limit", "mail.send", "--weight", "acme", "--url", api.url)
    assert result.exit_code == ExitCode.USAGE
    assert "such as acme=2, not `acme`" in result.output


def test_keys_are_listed_without_control_characters(api: ScriptedApi) -> None:
    """A key is data of a client; the jobs without one have a line too."""
    items = [{"key": "ac\x1b[31mme", "parked": 3, "in_flight": 2, "weight": 2.0}, {"in_flight": 1, "weight": 1.0}]
    api.script.append(Reply(200, {"items": items, "next_cursor": "abc"}))
    result = run("queues", "keys", "mail.send", "--sort", "key", "--limit", "2", "--url", api.url)
    assert result.exit_code == 0, result.output
    assert api.received[-1].path == "/v1/queues/mail.send/keys"
    assert api.received[-1].query == {"sort": ["key"], "limit": ["2"]}
    assert "(none)" in result.output
    assert "--cursor abc" in result.output
    assert "\x1b" not in result.output


def test_a_hold_is_shown_and_ended(api: ScriptedApi) -> None:
    """`show` says for how long a type is held back and by which job; `unhold` ends it, or that of a key."""
    held = {"type": "mail.send", "held_until": "2126-03-27T03:04:05Z", "held_by": "mail.send_01"}
    api.script += [Reply(200, held), Reply(200, {"type": "mail.send"}), Reply(200, {"type": "mail.send"})]
    result = run("queues", "show", "mail.send", "--url", api.url)
    lines = dict(line.split(maxsplit=1) for line in result.output.splitlines())
    assert lines["held"].startswith("for ")
    assert lines["held"].endswith(", by the handler of mail.send_01")
    result = run("queues", "unhold", "mail.send", "--key", "acme", "--url", api.url)
    assert result.exit_code == 0, result.output
    assert (api.received[-1].method, api.received[-1].path) == ("DELETE", "/v1/queues/mail.send/hold")
    assert api.received[-1].query == {"key": ["acme"]}
    assert "held" not in result.output
    assert run("queues", "unhold", "mail.send", "--url", api.url).exit_code == 0
    assert api.received[-1].query == {}


def test_lists_say_what_is_held_back(api: ScriptedApi) -> None:
    """A type and a key that are held back are told from those that wait for something else."""
    counts = {"partitions": 1, "queued": {}, "running": 0, "scheduled": 0, "blocked": 0, "dead": 0}
    far = "2126-03-27T03:04:05Z"
    api.script.append(Reply(200, {"items": [{"type": "mail.send", **counts, "held_until": far}]}))
    assert "held for " in run("queues", "--url", api.url).output
    api.script.append(Reply(200, {"items": [{"key": "acme", "held_until": far}]}))
    assert "held for " in run("queues", "keys", "mail.send", "--url", api.url).output


def test_each_field_of_a_breaker_has_an_option(api: ScriptedApi) -> None:
    """What is not said has its default, also the ratio, and each field is sent under its name."""
    words = ("--breaker", "0.25", "--breaker-window", "120", "--breaker-minimum", "5", "--breaker-cool-down", "10")
    more = ("--breaker-cap", "900", "--breaker-probes", "2")
    api.script += [Reply(200, SETTINGS), Reply(200, SETTINGS)]
    assert run("queues", "limit", "mail.send", *words, *more, "--url", api.url).exit_code == 0
    assert msgspec.msgpack.decode(api.received[-1].content) == {
        "breaker": {
            "ratio": 0.25,
            "window_s": 120.0,
            "minimum": 5,
            "cool_down_s": 10.0,
            "cap_s": 900.0,
            "probes": 2,
        }
    }
    assert run("queues", "limit", "mail.send", "--breaker-minimum", "5", "--url", api.url).exit_code == 0
    assert msgspec.msgpack.decode(api.received[-1].content) == {"breaker": {"minimum": 5}}
    assert {f"--breaker-{one}" for one in ("window", "minimum", "cool-down", "cap", "probes")} < {*words, *more}


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--breaker", "0.5", "--breaker-cap", "1"), "`cap_s` is less than `cool_down_s`"),
        (("--key-burst", "2"), "`burst` says how the starts of a `rate` are spread"),
    ],
)
def test_limits_that_contradict_each_other_are_refused_before_anything_is_sent(
    api: ScriptedApi, words: tuple[str, ...], says: str
) -> None:
    """The command says what is wrong, as the API would."""
    result = run("queues", "limit", "mail.send", *words, "--url", api.url)
    assert result.exit_code == ExitCode.USAGE
    assert says in result.output
    assert not api.received


def test_a_breaker_is_opened_and_closed_and_its_state_is_shown(api: ScriptedApi) -> None:
    """The reason goes with the request, and comes back without control characters; the list names its state."""
    tripped = {"state": "open", "since": "2026-03-27T03:04:05Z", "failed": 14, "attempts": 22}
    by_hand = {"state": "forced-open", "since": "2026-03-27T03:04:05Z", "reason": "down \x1b[31magain"}
    api.script += [Reply(200, {"type": "mail.send", "breaker": one}) for one in (by_hand, tripped)]
    result = run("queues", "breaker", "open", "mail.send", "--reason", "down", "--url", api.url)
    assert (api.received[-1].path, api.received[-1].query) == (
        "/v1/queues/mail.send/breaker/open",
        {"reason": ["down"]},
    )
    lines = dict(line.split(maxsplit=1) for line in result.output.splitlines())
    assert lines["breaker"].startswith("forced-open ")
    assert "again" in lines["breaker"]
    assert "\x1b" not in result.output
    result = run("queues", "breaker", "close", "mail.send", "--url", api.url)
    assert (api.received[-1].method, api.received[-1].path) == ("POST", "/v1/queues/mail.send/breaker/close")
    assert ", 14 of 22 attempts failed" in result.output
    counts = {"partitions": 1, "queued": {}, "running": 0, "scheduled": 0, "blocked": 0, "dead": 0}
    api.script.append(Reply(200, {"items": [{"type": "mail.send", **counts, "breaker": "half-open"}]}))
    assert "breaker half-open" in run("queues", "--url", api.url).output
