"""Each script's header agrees with its code, its method and the codes that callers know."""

import re
from collections.abc import Awaitable, Callable
from enum import IntEnum
from importlib.resources import files
from typing import Any

import pytest
from streams.script_reader import PARTS, parts_used, per_job_loop, read_header, source, used_keys
from streams.seeds import TTL_MS, lease, new_job, seed, seed_dead, seed_running

from millstream_contracts import Queue, Succeeded
from millstream_streams import (
    ActionCode,
    AuditTrail,
    Batches,
    Broker,
    Commit,
    CommitCode,
    DependencyStore,
    EnqueueCode,
    JobStore,
    LeaseCode,
    Registry,
    ResolveCode,
    Schedules,
    SignalCode,
    StepStore,
    Workflows,
)
from millstream_streams.reading.api_keys import ApiKeys
from millstream_streams.reading.data_keys import DataKeys
from millstream_streams.reading.rate_tokens import RateTokens
from millstream_streams.reading.tenants import Tenants
from millstream_streams.store import script_runner
from millstream_streams.store.scripting import (
    ACCESS,
    AUDIT,
    BATCHES,
    FLEET,
    SCHEDULES,
    WORKFLOWS,
    held_parts,
    load_script,
    parts_of,
    run_script,
    script_names,
)
from millstream_streams.store.settings_store import SettingsStore

CODES: dict[str, type[IntEnum]] = {
    "enqueue": EnqueueCode,
    "renew": LeaseCode,
    "commit": CommitCode,
    "hand_back": CommitCode,
    "cancel": ActionCode,
    "redrive": ActionCode,
    "discard": ActionCode,
    "erase": ActionCode,
    "resolve": ResolveCode,
    "tell_again": ActionCode,
    "watch": ActionCode,
    "signal": SignalCode,
}
FOLDERS = ("", ACCESS, AUDIT, FLEET, SCHEDULES, WORKFLOWS, BATCHES)
ALL = [name for folder in FOLDERS for name in script_names(folder)]
every_script = pytest.mark.parametrize("name", ALL)


def test_every_script_has_a_method_of_its_name_and_the_other_way_round() -> None:
    """Every script has a method of its name, and every such method a script."""
    stores = (JobStore, DependencyStore, StepStore)
    methods = {name for store in stores for name in vars(store) if not name.startswith("_")}
    of_settings = {"tune", "pause", "steer_breaker", "hold", "end_hold", "begin_deal", "deal", "suspend"}
    of_settings |= {"end_deal", "deal_quota", "put_quota"}
    assert methods | of_settings == set(script_names())
    assert {"tune", "pause"} < set(vars(SettingsStore))
    of_access = {*vars(ApiKeys), *vars(DataKeys), *vars(RateTokens), *vars(Tenants)}
    assert {name.removeprefix(ACCESS) for name in script_names(ACCESS)} < of_access
    assert {name.removeprefix(AUDIT) for name in script_names(AUDIT)} < set(vars(AuditTrail))
    assert {name.removeprefix(FLEET) for name in script_names(FLEET)} < set(vars(Registry))
    assert {name.removeprefix(SCHEDULES) for name in script_names(SCHEDULES)} < set(vars(Schedules))
    assert {name.removeprefix(WORKFLOWS) for name in script_names(WORKFLOWS)} < set(vars(Workflows))
    assert {name.removeprefix(BATCHES) for name in script_names(BATCHES)} < set(vars(Batches))


@every_script
def test_header_says_who_calls_what_and_whether_twice_is_once(name: str) -> None:
    """Every header has the same parts in the same order; only a script without parts of others needs none."""
    header, needs = read_header(name).text, ["-- Needs"] if parts_of(source(name)) else []
    places = [header.find(word) for word in ("-- Caller", "-- Idempotent", *needs, "-- KEYS", "-- Returns")]
    assert -1 not in places
    assert places == sorted(places)
    assert all(line.startswith("--") for line in header.splitlines())


@every_script
def test_header_names_the_parts_that_the_script_uses(name: str) -> None:
    """A header names exactly the prelude parts that its script uses."""
    assert parts_of(source(name)) == [part for part in PARTS if part in parts_used(name)]


@every_script
def test_a_script_carries_its_parts_and_nothing_else(name: str) -> None:
    """The text for Redis is the parts in their order and then the script."""
    assert load_script(name).text == "\n".join([*(source(f"_{part}") for part in parts_of(source(name))), source(name)])


def test_parts_are_those_that_are_known_and_use_only_those_before_them() -> None:
    """Every part is known and uses only parts that come before it."""
    files_of_parts = {path.name for path in (files("millstream_streams") / "scripts").iterdir() if path.name[0] == "_"}
    held = [inner for part in PARTS for inner in held_parts(part)]
    assert files_of_parts == {f"_{part}.lua" for part in (*PARTS, *held)}
    for at, part in enumerate(PARTS):
        assert parts_used(f"_{part}") <= set(PARTS[:at]), part


@every_script
def test_header_names_the_keys_that_the_script_uses(name: str) -> None:
    """A header names exactly the KEYS that its script uses, because the ACL follows from it."""
    assert read_header(name).keys == used_keys(name)


@every_script
def test_header_says_where_arguments_repeat_and_how_many_a_job_has(name: str) -> None:
    """The loop over ARGV begins and steps as the header says."""
    header, loop = read_header(name), per_job_loop(name)
    assert (header.first_per_job, header.per_job) == (loop or (None, 0))


@every_script
def test_header_names_every_fixed_argument(name: str) -> None:
    """A header names every argument that the code reads by number."""
    header = read_header(name)
    for number in range(1 if name.startswith((ACCESS, AUDIT, FLEET)) else 2, 10):
        if f"ARGV[{number}]" in source(name).split("\n\n", 1)[1]:
            ranges = [f"ARGV[{number}]", *(f"ARGV[{first}..{number}]" for first in range(2, number))]
            assert any(text in header.text for text in ranges), f"ARGV[{number}]"


@pytest.mark.parametrize("name", CODES)
def test_header_lists_codes_that_callers_know(name: str) -> None:
    """Each return code in a header is a member of the enumeration of its method."""
    codes = read_header(name).codes
    assert codes
    assert codes <= {code.value for code in CODES[name]}


@pytest.mark.parametrize("codes", sorted(set(CODES.values()), key=str), ids=lambda codes: codes.__name__)
def test_callers_know_no_code_that_no_script_returns(codes: type[IntEnum]) -> None:
    """Each member of such an enumeration is returned by a script."""
    listed = set().union(*(read_header(name).codes for name, known in CODES.items() if known is codes))
    assert {code.value for code in codes} == listed


def test_the_functions_of_a_held_part_are_made_by_those_alone_that_need_them() -> None:
    """What a part holds stands in a function of it, so that a queue without limits makes no function of the gate's."""
    (outer,) = (part for part in PARTS if held_parts(part))
    at_once = re.findall(r"^local function (\w+)", source(f"_{outer}"), re.MULTILINE)
    assert at_once == ["setting", "is_suspended", "open_gate", "read_settings", "settle"]
    for part in held_parts(outer):
        assert f"  local function open_{part}(" in load_script("claim").text


def test_scripts_have_no_shebang() -> None:
    """No script has a shebang, with which Redis refuses it at maxmemory and 6.2 cannot read it."""
    assert not [name for name in [*ALL, *(f"_{part}" for part in PARTS)] if source(name).startswith("#!")]


def test_scripts_call_no_command_that_redis_6_2_lacks() -> None:
    """No script calls a command that Redis 6.2 lacks."""
    for name in [*ALL, *(f"_{part}" for part in PARTS)]:
        for word in ("XACKDEL", "XDELEX", "KEEPREF", "WAITAOF", "XNACK", "IDMP", "HPEXPIRE", "GETEX"):
            assert word not in source(name), f"{word} in {name}"


def test_scripts_are_known_by_their_content() -> None:
    """A script is called by the hash of its content, so that two releases each run their own."""
    assert len({load_script(name).sha for name in ALL}) == len(ALL)


async def test_methods_send_what_the_headers_say(broker: Broker, queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each method sends all keys, and as many arguments per job as the header says."""
    sent: dict[str, tuple[int, int]] = {}

    async def recording(client: Any, script: Any, keys: tuple[str, ...], arguments: list[Any], **options: Any) -> Any:
        sent[script.name] = (len(keys), len(arguments))
        return await run_script(client, script, keys, arguments, **options)

    running, returned = await seed_running(broker, queue), await seed_running(broker, queue)
    dead, gone = await seed_dead(broker, queue), await seed_dead(broker, queue)
    (waiting,) = await seed(broker, queue)
    commit = Commit(running, Succeeded(), TTL_MS)
    calls: dict[str, tuple[Callable[[], Awaitable[Any]], int]] = {
        "enqueue": (lambda: broker.store.enqueue(queue, [new_job(queue), new_job(queue)]), 2),
        "renew": (lambda: broker.store.renew(queue, consumer="w1", leases=[lease(running)]), 1),
        "commit": (lambda: broker.store.commit(queue, worker="w1", commits=[commit, commit]), 2),
        "hand_back": (
            lambda: broker.store.hand_back(queue, worker="w1", deliveries=[returned]), 1,
        ),
        "mark_isolated": (
            lambda: broker.store.mark_isolated(queue, [(running.id, running.token)] * 2, waits=True), 2,
        ),
        "cancel": (lambda: broker.store.cancel(queue, [waiting]), 1),
        "redrive": (lambda: broker.store.redrive(queue, [dead]), 1),
        "discard": (lambda: broker.store.discard(queue, [gone]), 1),
    }  # fmt: skip
    monkeypatch.setattr(script_runner, "run_script", recording)
    for name, (call, jobs) in calls.items():
        await call()
        header = read_header(name)
        assert header.first_per_job is not None
        # The first argument of a job is ARGV[first]: as many stand before it, counted from 1.
        assert sent[name] == (9, header.first_per_job - 1 + jobs * header.per_job), name
