"""Secrets do not leak: a canary is planted in every setting, and every output is searched for it.

Settings and commands are enumerated, so that a new one is covered, or fails here until its use is added.
"""

import re
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import cast

import httpx2
import msgspec
import pytest
import redis
from cli.commands import address_in, run, run_program, started_program
from msgspec import inspect

from millstream_cli.embedded import EmbeddedRedis
from millstream_cli.main import main
from millstream_cli.settings import ALL_SETTINGS, MigrateSettings, load
from millstream_dispatcher.settings import DispatcherSettings
from millstream_ingest.settings import IngestSettings
from millstream_reaper.settings import ReaperSettings
from millstream_runtime import ServiceSettings
from millstream_runtime.errors import SettingsError
from millstream_runtime.settings.reader import variables_of
from millstream_workers.settings import WorkerSettings

CANARY = "canary4711"
EVERY_KIND = (ServiceSettings, MigrateSettings, *ALL_SETTINGS)
FIELDS = sorted({(kind, field.name) for kind in EVERY_KIND for field in msgspec.structs.fields(kind)}, key=str)

ADDRESSES = {
    "redis_url": "redis://ann:{secret}@127.0.0.1:9/0",
    "history_url": "postgresql://ann:{secret}@127.0.0.1:9/x",
    "notices_webhook": "http://ann:{secret}@127.0.0.1:9",
    "url": "http://ann:{secret}@127.0.0.1:9",
}
"""A valid value with a secret in it, for every setting that is an address."""

WORDS = {
    "check": ["millstream_cli.demo.jobs:app"],
    "dead": [],
    "job": ["x_0001"],
    "jobs": [],
    "stack": ["x_0001"],
    "tail": [],
    "top": ["--once"],
    "operations": [],
    "schedules": [],
    "templates": [],
    "workflows": [],
    "batches": [],
    "keys": [],
    "sessions": [],
    "tenants": [],
    "audit": [],
    "encryption": ["status"],
    "queues": [],
    "demand": [],
    "stats": [],
    "types": [],
    "stubs": [],
    "incidents": [],
    "webhooks": [],
    "workers": [],
    "submit": ["x"],
    "doctor": [],
    "migrate": [],
    "history": ["verify"],
    "ingest": [],
    "dispatcher": [],
    "worker": [],
    "reaper": [],
    "console": [],
    "up": [],
}
"""The arguments of every command that reads settings, which neither `demo` nor `new` does."""

SERVICES = {"ingest", "dispatcher", "worker", "reaper"}
"""The commands that wait for Redis and do not end."""


def test_every_command_and_every_address_is_covered() -> None:
    """Every command and every address of the settings is covered here."""
    assert WORDS.keys() | {"demo", "new"} == main.commands.keys()
    assert {name for kind, name in FIELDS if is_address(kind, name)} == ADDRESSES.keys()


def is_address(kind: type[msgspec.Struct], name: str) -> bool:
    """Return whether a setting is a URL."""
    struct = cast("inspect.StructType", inspect.type_info(kind))
    (field,) = (one for one in struct.fields if one.name == name)
    members = field.type.types if isinstance(field.type, inspect.UnionType) else (field.type,)
    return any(isinstance(one, inspect.Metadata) and (one.extra or {}).get("is_address") for one in members)


def holds_secret(kind: type[msgspec.Struct], name: str) -> bool:
    """Return whether a setting has the type that is never shown."""
    return "Secret" in str(kind.__annotations__.get(name, ServiceSettings.__annotations__.get(name)))


SECRET_FIELDS = [one for one in FIELDS if one[1] in ADDRESSES or holds_secret(*one)]

WRONG_ADDRESSES = [
    f"redis://ann:{CANARY}@h/0?x=1",
    f"redis://h/0?password={CANARY}",
    f"redis://h/0?{CANARY}",
    f"redis://h/0#{CANARY}",
    f"redis://ann:{CANARY}@h:port",
    f"redis://:{CANARY}/x@h/0",
    f"redis://:x/{CANARY}@h/0",
    f"redis://:{CANARY}?x@h",
    f"redis://ann:12?{CANARY}@h",
    f"redis://:{CANARY}#x@h",
    f"redis://ann:12#{CANARY}@h",
    f"redis://:{CANARY}\u2100@h",
    f"redis://:{CANARY}@[::1",
    f"redis+sentinel://:{CANARY}@h",
    f"rediss+cluster://:{CANARY}@h/1",
    f"http://:{CANARY}@h",
    f"ann:{CANARY}@h",
    f"postgresql://h/x?sslpassword={CANARY}",
    f"postgresql://:{CANARY}\u2100@h/x",
    f"postgresql://ann:{CANARY}@h:port/x",
    f"http://ann:{CANARY}@h:port",
    f"http://h?token={CANARY}",
    f"://{CANARY}",
    CANARY,
]
"""Texts that people write in place of an address. Only a host in them may be shown."""


def told_by(kind: type[msgspec.Struct], **environ: str) -> str:
    """Return all that reading these settings, and the addresses made of them, prints."""
    said = []
    try:
        settings = load(kind, environ)
        said += [repr(settings), str(settings)]
        if isinstance(settings, ServiceSettings):
            address = settings.redis
            said += [repr(address), str(address), address.text]
    except Exception as error:  # noqa: BLE001 - whatever it is, its text is looked at
        said += [str(error), *(str(one) for one in (error.__cause__, error.__context__) if one)]
    return "\n".join(said)


@pytest.mark.parametrize(("kind", "name"), FIELDS, ids=lambda value: getattr(value, "__name__", value))
def test_a_wrong_value_shows_no_secret(kind: type[msgspec.Struct], name: str, tmp_path: Path) -> None:
    """A wrong value from a file is never shown, and one from a variable only if it can be no secret."""
    variable, *file_variable = variables_of(name)
    for value in WRONG_ADDRESSES:
        if "://" in value or is_address(kind, name):
            assert CANARY not in told_by(kind, **{variable: value}), value
        for with_file in file_variable:
            (tmp_path / "value").write_text(value)
            with_content = told_by(kind, **{with_file: str(tmp_path / "value")})
            if not is_plain(kind, name, value):
                assert CANARY not in with_content, value
            # The secret in place of the path.
            assert CANARY not in told_by(kind, **{with_file: value}), value


def is_plain(kind: type[msgspec.Struct], name: str, value: str) -> bool:
    """Return whether a text is a valid value of a setting that is no secret."""
    if name in ADDRESSES or holds_secret(kind, name) or "://" in value:
        return False
    try:
        load(kind, {f"MILLSTREAM_{name.upper()}": value})
    except SettingsError:
        return False
    return True


@pytest.mark.parametrize(("kind", "name"), SECRET_FIELDS, ids=lambda value: getattr(value, "__name__", value))
def test_a_good_value_shows_no_secret(kind: type[msgspec.Struct], name: str, tmp_path: Path) -> None:
    """Neither the text of settings nor that of their addresses shows a secret."""
    value = ADDRESSES.get(name, "{secret}").format(secret=CANARY)
    (tmp_path / "value").write_text(f"{value}\n")
    variable, with_file = variables_of(name)
    for environ in ({variable: value}, {with_file: str(tmp_path / "value")}):
        assert CANARY not in told_by(kind, **environ)
        assert CANARY in str(msgspec.to_builtins(loaded(kind, name, environ), enc_hook=lambda value: value.reveal()))


def loaded(kind: type[msgspec.Struct], name: str, environ: dict[str, str]) -> object:
    """Return one setting; a password is loaded together with its user name."""
    try:
        return getattr(load(kind, environ), name)
    except SettingsError as error:
        (other,) = re.findall(r"(MILLSTREAM_\w+USERNAME) and", str(error))
        return getattr(load(kind, {**environ, other: "ann"}), name)


@pytest.mark.parametrize("command", WORDS)
@pytest.mark.parametrize("way", ["variable", "file", "option"])
def test_no_command_shows_a_wrong_address(command: str, way: str, tmp_path: Path) -> None:
    """The output of a command with a wrong address, tracebacks included, shows no secret."""
    for name in ADDRESSES:
        variable, with_file = variables_of(name)
        for value in WRONG_ADDRESSES:
            (tmp_path / "value").write_text(value)
            words, environ = WORDS[command], {variable: value}
            if way == "file":
                environ = {with_file: str(tmp_path / "value")}
            elif way == "option":
                if not any("--url" in one.opts for one in main.commands[command].params):
                    return
                words, environ = [*words, "--url", value], {}
            if not is_read(command, name):
                continue
            result = run(command, *words, **environ)
            assert result.exit_code in {1, 2, 3}, (value, result.output)
            shown = f"{result.output}{result.exception!r}"
            assert CANARY not in shown.replace(f"//{CANARY}", ""), value


READ = {
    "redis_url": {"doctor", "history", "ingest", "dispatcher", "worker", "reaper", "up"},
    "history_url": {"migrate", "history", "dispatcher"},
    "notices_webhook": {"dispatcher"},
    "url": {
        "dead",
        "demand",
        "incidents",
        "job",
        "jobs",
        "operations",
        "schedules",
        "templates",
        "workflows",
        "batches",
        "queues",
        "stack",
        "stats",
        "stubs",
        "submit",
        "tail",
        "top",
        "types",
        "webhooks",
        "workers",
    },
}
"""The commands that use an address; others ignore it or, as the console, serve without what it leads to."""


def is_read(command: str, name: str) -> bool:
    """Return whether a command uses this address, and ends without what it leads to."""
    return command in READ[name] and not (command in SERVICES and name in {"history_url", "notices_webhook"})


SCENES = {
    "in the URL, as a file": (
        {"REDIS_URL": "redis://ann:{secret}@{redis}/0", "HISTORY_URL": ADDRESSES["history_url"]},
        True,
    ),
    "beside the URL": (
        {"REDIS_URL": "redis://{redis}/0", "REDIS_PASSWORD": "{secret}", "URL": ADDRESSES["url"]},
        False,
    ),
    "for Sentinels, as a file": (
        {"REDIS_URL": "redis+sentinel://{redis}/main", "SENTINEL_PASSWORD": "{secret}", "REDIS_PASSWORD": "{secret}"},
        True,
    ),
}


def planted(scene: str, server: str, folder: Path) -> dict[str, str]:
    """Return variables that contain the secret, or name files that do."""
    values, as_files = SCENES[scene]
    mail = {"SMTP_HOST": "127.0.0.1", "SMTP_USERNAME": "ann", "SMTP_PASSWORD": "{secret}"}
    environ = {}
    for name, value in {**values, **mail}.items():
        text = value.format(secret=CANARY, redis=server)
        environ[f"MILLSTREAM_{name}"] = text
        if as_files and CANARY in text:
            (folder / name).write_text(f"{text}\n")
            del environ[f"MILLSTREAM_{name}"]
            environ[f"MILLSTREAM_{name}_FILE"] = str(folder / name)
    return environ


@pytest.fixture
def locked_redis(own_redis: EmbeddedRedis) -> str:
    """Return host and port of a server with another password, so that every login fails."""
    with redis.Redis(port=own_redis.port, protocol=2) as client:
        client.config_set("requirepass", "right")
    return f"127.0.0.1:{own_redis.port}"


@pytest.mark.parametrize("scene", SCENES)
def test_services_that_are_refused_show_no_secret(scene: str, locked_redis: str, tmp_path: Path, wait_until) -> None:
    """Services whose login fails show no secret in logs, health and metrics, and command lines."""
    environ = planted(scene, locked_redis, tmp_path)
    with ExitStack() as processes:
        logs = {service: tmp_path / f"{service}.log" for service in sorted(SERVICES)}
        for service, log in logs.items():
            variable = "MILLSTREAM_PORT" if service == "ingest" else "MILLSTREAM_ADMIN_PORT"
            processes.enter_context(started_program(service, log=log, **environ, **{variable: "0"}))
        for service, log in logs.items():
            wait_until(lambda log=log: '"reason":"refused"' in log.read_text(), f"{service} is refused")
        said = [*(log.read_text() for log in logs.values()), *answers(map(address_in, logs.values())), *command_lines()]
    assert CANARY not in "\n".join(said)


def test_a_system_that_runs_shows_no_secret(own_redis: EmbeddedRedis, tmp_path: Path, wait_until) -> None:
    """A running system shows no secret in its output, its responses and its command lines."""
    with redis.Redis(port=own_redis.port, protocol=2) as client:
        client.config_set("requirepass", CANARY)
    (tmp_path / "url").write_text(f"redis://:{CANARY}@127.0.0.1:{own_redis.port}/0")
    environ = {"MILLSTREAM_REDIS_URL_FILE": str(tmp_path / "url"), "MILLSTREAM_LOG_LEVEL": "debug"}
    log = tmp_path / "up.log"
    with started_program("up", "--no-history", "--port", "0", "--workers", "1", log=log, cwd=tmp_path, **environ):
        wait_until(lambda: "Try: " in log.read_text(), "the system is up")
        urls = re.findall(r"(http://127.0.0.1:\d+)/metrics", log.read_text())
        assert len(urls) == 4
        said = [log.read_text(), *answers(urls), *command_lines()]
    assert any("millstream_cli.main" in line for line in said)
    assert CANARY not in "\n".join(said)


@pytest.mark.parametrize("command", ["doctor", "migrate", *sorted(READ["url"])])
@pytest.mark.parametrize("scene", ["in the URL, as a file", "beside the URL"])
def test_commands_that_fail_show_no_secret(command: str, scene: str, locked_redis: str, tmp_path: Path) -> None:
    """A command that cannot reach its server names it without credentials."""
    done = run_program(command, *WORDS[command], **planted(scene, locked_redis, tmp_path))
    assert done.returncode != 0
    assert CANARY not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def answers(urls: Iterable[str]) -> Iterator[str]:
    """Yield what services answer on their routes."""
    for url in urls:
        for path in ("livez", "readyz", "health", "metrics"):
            # Who has ended says nothing more.
            with suppress(httpx2.HTTPError):
                yield httpx2.get(f"{url}/{path}", trust_env=False, timeout=10).text


def command_lines() -> list[str]:
    """Return the command lines of all processes, where the system has them as files."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(path.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        except OSError:
            continue
    return found


def test_no_settings_of_a_service_show_a_secret() -> None:
    """The objects that are made of settings show no secret."""
    url = f"redis://ann:{CANARY}@h/0"
    built = [
        IngestSettings(redis_url=url),
        WorkerSettings(redis_url=url),
        ReaperSettings(redis_url=url),
        DispatcherSettings(redis_url=url, history_url=ADDRESSES["history_url"].format(secret=CANARY)),
    ]
    for settings in built:
        assert "redis_url='redis://***@h/0'" in repr(settings)
        assert repr(settings.redis) == "RedisAddress(redis://h:6379/0)"
        assert CANARY not in repr(settings) + str(settings)
