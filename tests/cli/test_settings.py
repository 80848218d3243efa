"""Settings are read from the environment."""

import contextlib
from pathlib import Path

import certifi
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from millstream.handlers import (
    ExportSettings,
    FileSettings,
    HandlerSettings,
    NotifySettings,
    ReportSettings,
    SmtpSettings,
    WebhookSettings,
)
from millstream_cli.apps import handler_settings, load_apps
from millstream_cli.settings import ALL_SETTINGS, load
from millstream_dispatcher.settings import DispatcherSettings
from millstream_ingest.settings import IngestSettings
from millstream_reaper.settings import ReaperSettings
from millstream_runtime import ServiceSettings, mask_path
from millstream_runtime.errors import SettingsError
from millstream_runtime.settings.reader import variables_of
from millstream_runtime.settings.secret import Secret
from millstream_streams import RedisAddress
from millstream_workers.settings import BUILTIN, WorkerSettings

PORT = "a port from 0 to 65535, where 0 takes a free one and the log says which"


def problems_of(kind: type[msgspec.Struct], environ: dict[str, str], **options: object) -> tuple[str, ...]:
    """Return the lines of the error."""
    with pytest.raises(SettingsError) as caught:
        load(kind, environ, **options)
    return caught.value.problems


@pytest.mark.parametrize("kind", [ServiceSettings, *ALL_SETTINGS])
def test_load_gives_defaults_when_nothing_is_set(kind: type[msgspec.Struct]) -> None:
    """Every service has settings without any variable."""
    assert load(kind, {}) == kind()


@pytest.mark.parametrize("kind", [ServiceSettings, *ALL_SETTINGS])
def test_defaults_are_within_their_bounds(kind: type[msgspec.Struct]) -> None:
    """Each default is a valid value of its variable."""
    raw = msgspec.to_builtins(kind(), enc_hook=str)
    assert msgspec.convert(raw, kind, dec_hook=lambda cls, value: cls(value)) == kind()


def test_load_converts_every_kind_of_value() -> None:
    """A variable is converted to the type of its setting."""
    settings = load(
        WorkerSettings,
        {
            "MILLSTREAM_REDIS_URL": "rediss+cluster://a:1,b:2",
            "MILLSTREAM_APPS": "shop.jobs:app, mail:app",
            "MILLSTREAM_TYPES": "invoice.*",
            "MILLSTREAM_CONCURRENCY": " 20 ",
            "MILLSTREAM_LEASE_S": "12.5",
            "MILLSTREAM_LOG_LEVEL": "WARNING",
            "MILLSTREAM_ADMIN_PORT": "9100",
            "MILLSTREAM_REPORTS_FOLDER": "/srv/reports",
            "MILLSTREAM_SMTP_USERNAME": "post",
            "MILLSTREAM_SMTP_PASSWORD": "hunter2",
            "PATH": "/bin",
        },
    )
    assert settings == WorkerSettings(
        redis_url="rediss+cluster://a:1,b:2",
        apps=("shop.jobs:app", "mail:app"),
        types=("invoice.*",),
        concurrency=20,
        lease_s=12.5,
        log_level="warning",
        admin_port=9100,
        reports_folder=Path("/srv/reports"),
        smtp_username="post",
        smtp_password=Secret("hunter2"),
    )


@pytest.mark.parametrize(("text", "weights"), [("70/20/10", (70, 20, 10)), ("strict", None)])
def test_priority_gives_its_weights(text: str, weights: tuple[int, int, int] | None) -> None:
    """The priority setting gives the weights of high, normal and low, and strict gives none."""
    assert load(WorkerSettings, {"MILLSTREAM_PRIORITY": text}).weights == weights


@pytest.mark.parametrize(
    ("kind", "variable", "value", "allowed"),
    [
        (IngestSettings, "PORT", "99999", "a port from 0 to 65535"),
        (IngestSettings, "PORT", "http", "a port from 0 to 65535"),
        (IngestSettings, "TRACE_PROPAGATION", "yes", "one of `auto`, `child`, `link`"),
        (IngestSettings, "MAX_BODY_BYTES", "1", "a whole number from 1,024 to 1,048,576"),
        (WorkerSettings, "CONCURRENCY", "0", "a whole number from 1 to 100,000"),
        (WorkerSettings, "CONCURRENCY", "1.5", "a whole number from 1 to 100,000"),
        (WorkerSettings, "LEASE_S", "nan", "a number from 1 to 3,600"),
        (WorkerSettings, "LEASE_S", "inf", "a number from 1 to 3,600"),
        (WorkerSettings, "PRIORITY", "70/20", "`strict`, or the weights of high/normal/low such as 70/20/10"),
        (WorkerSettings, "PRIORITY", "70/20/0", "`strict`, or the weights of high/normal/low such as 70/20/10"),
        (WorkerSettings, "APPS", "shop", "an app such as shop.jobs:app; several with commas between them"),
        (ServiceSettings, "REDIS_URL", "http://x", "an address such as redis://127.0.0.1:6379/0, redis+sentinel"),
    ],
)
def test_load_names_the_variable_its_value_and_what_is_allowed(
    kind: type[msgspec.Struct], variable: str, value: str, allowed: str
) -> None:
    """An error names the variable, its value, and what is allowed."""
    (line,) = problems_of(kind, {f"MILLSTREAM_{variable}": value})
    assert line.startswith(f"MILLSTREAM_{variable}={value}: expected {allowed}")
    assert "\n" not in line


def test_load_tells_everything_that_is_wrong_at_once() -> None:
    """One error names everything that is wrong."""
    lines = problems_of(
        WorkerSettings,
        {"MILLSTREAM_CONCURENCY": "5", "MILLSTREAM_LEASE_S": "x", "MILLSTREAM_PROCESSES": "-1"},
    )
    assert [line.partition("=")[0].partition(" ")[0] for line in lines] == [
        "MILLSTREAM_CONCURENCY",
        "MILLSTREAM_LEASE_S",
        "MILLSTREAM_PROCESSES",
    ]


def test_load_suggests_the_variable_that_was_probably_meant() -> None:
    """A misspelt variable is refused with a suggestion."""
    assert problems_of(WorkerSettings, {"MILLSTREAM_CONCURENCY": "5"}) == (
        "MILLSTREAM_CONCURENCY is no setting; did you mean `MILLSTREAM_CONCURRENCY`?",
    )


def test_load_suggests_nothing_when_nothing_is_near() -> None:
    """A variable that is near to none gets no suggestion."""
    assert problems_of(WorkerSettings, {"MILLSTREAM_XYZZY": "5"}) == ("MILLSTREAM_XYZZY is no setting",)


@pytest.mark.parametrize("kind", ALL_SETTINGS)
def test_load_knows_the_variables_of_every_service(kind: type[msgspec.Struct]) -> None:
    """A service accepts the variables of every other service."""
    names = {field.name for struct in ALL_SETTINGS for field in msgspec.structs.fields(struct)}
    others = names - {field.name for field in msgspec.structs.fields(kind)}
    environ = {f"MILLSTREAM_{name.upper()}": "whatever" for name in others}
    assert load(kind, environ) == kind()


def test_load_takes_an_empty_variable_as_unset() -> None:
    """An empty variable counts as unset, as Compose files pass it on."""
    assert load(IngestSettings, {"MILLSTREAM_PORT": "", "MILLSTREAM_HOST": " "}) == IngestSettings()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MILLSTREAM_PORT", "tcp://10.0.0.7:80"),
        ("MILLSTREAM_SERVICE_HOST", "10.0.0.7"),
        ("MILLSTREAM_SERVICE_PORT", "80"),
        ("MILLSTREAM_SERVICE_PORT_HTTP", "80"),
        ("MILLSTREAM_PORT_80_TCP", "tcp://10.0.0.7:80"),
        ("MILLSTREAM_PORT_80_TCP_ADDR", "10.0.0.7"),
        ("MILLSTREAM_INGEST_PORT", "tcp://10.0.0.7:80"),
        ("MILLSTREAM_INGEST_SERVICE_HOST", "10.0.0.7"),
    ],
)
def test_load_ignores_what_kubernetes_sets_for_a_service(name: str, value: str) -> None:
    """The variables that Kubernetes sets for a service called millstream are ignored."""
    assert load(IngestSettings, {name: value}) == IngestSettings()


def test_load_reads_a_value_from_a_file(tmp_path: Path) -> None:
    """A `*_FILE` variable reads the value from a file, without its last newline."""
    file = tmp_path / "url"
    file.write_text("redis://:pa ss@db/0 \n".replace(" ", ""))
    settings = load(DispatcherSettings, {"MILLSTREAM_REDIS_URL_FILE": str(file)})
    assert settings.redis_url == "redis://:pass@db/0"


def test_load_refuses_a_variable_beside_its_file(tmp_path: Path) -> None:
    """A variable beside its `*_FILE` form is refused."""
    environ = {"MILLSTREAM_PORT": "80", "MILLSTREAM_PORT_FILE": str(tmp_path / "x")}
    (line,) = problems_of(IngestSettings, environ)
    assert line == "MILLSTREAM_PORT and MILLSTREAM_PORT_FILE are both set: keep one of them"


def test_load_names_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    """A file that cannot be read is named."""
    (line,) = problems_of(IngestSettings, {"MILLSTREAM_PORT_FILE": str(tmp_path / "x")})
    assert line == f"MILLSTREAM_PORT_FILE={tmp_path / 'x'}: cannot be read: No such file or directory"


def test_load_names_a_file_that_is_no_text(tmp_path: Path) -> None:
    """A file that is no text is named."""
    (tmp_path / "x").write_bytes(b"\xff\xfe")
    (line,) = problems_of(IngestSettings, {"MILLSTREAM_HOST_FILE": str(tmp_path / "x")})
    assert line == f"MILLSTREAM_HOST_FILE={tmp_path / 'x'}: is not UTF-8 text"


def test_load_prefers_options_over_variables() -> None:
    """An option of the command line wins over its variable."""
    environ = {"MILLSTREAM_CONCURRENCY": "5", "MILLSTREAM_PROCESSES": "2"}
    settings = load(WorkerSettings, environ, concurrency=7, processes=None, apps=("shop:app",))
    assert (settings.concurrency, settings.processes, settings.apps) == (7, 2, ("shop:app",))


@pytest.mark.parametrize("value", [0, "0"])
def test_load_holds_options_to_the_same_bounds(value: object) -> None:
    """An option out of bounds is refused under its own name."""
    (line,) = problems_of(WorkerSettings, {}, max_crashes=value)
    assert line == "--max-crashes=0: expected a whole number from 1 to 1,000"


def test_load_holds_fields_against_each_other() -> None:
    """Settings that contradict each other, such as lease and renewal, are refused."""
    (line,) = problems_of(WorkerSettings, {"MILLSTREAM_LEASE_S": "3"})
    assert line.startswith("MILLSTREAM_RENEW_EVERY_S=2: expected at most half of MILLSTREAM_LEASE_S, which is 3")


def test_load_wants_both_halves_of_a_login() -> None:
    """A user name without a password is refused."""
    (line,) = problems_of(WorkerSettings, {"MILLSTREAM_SMTP_USERNAME": "post"})
    assert line == "MILLSTREAM_SMTP_USERNAME and MILLSTREAM_SMTP_PASSWORD go together: one is unset"


@pytest.mark.parametrize("url", ["redis://me:hunter2@db/0", "redis://:hun@ter2@db/0", "redis://:hunter2/x@db"])
def test_secrets_do_not_show(url: str) -> None:
    """A password is in no repr and in no error."""
    settings = WorkerSettings(redis_url=url, smtp_username="post", smtp_password=Secret("hunter2"))
    (line,) = problems_of(ServiceSettings, {"MILLSTREAM_REDIS_URL": f"x{url}"})
    for text in (repr(settings), str(settings), f"{settings.smtp_password}", line):
        assert "ter2" not in text
    shown = "a value that is no address" if url.endswith("/x@db") else "redis://***@db/0"
    assert f"redis_url='{shown}'" in repr(settings)
    assert settings.smtp_password is not None
    assert settings.smtp_password.reveal() == "hunter2"


def test_every_setting_of_redis_reaches_its_address(tmp_path: Path) -> None:
    """Every setting of Redis reaches the address."""
    settings = ServiceSettings(
        redis_url="redis+sentinel://a:1,b:2/main/3",
        redis_username="ann",
        redis_password=Secret("one"),
        sentinel_username="eve",
        sentinel_password=Secret("two"),
    )
    assert settings.redis == RedisAddress(
        mode="sentinel",
        hosts=(("a", 1), ("b", 2)),
        service="main",
        db=3,
        username="ann",
        password="one",
        sentinel_username="eve",
        sentinel_password="two",
    )
    assert ServiceSettings(redis_url="redis://ann:one@a:1/0").redis.username == "ann"
    assert ServiceSettings(redis_url="redis://ann:one@a:1/0").redis.password == "one"


@pytest.mark.parametrize("field", ["redis_ca_file", "redis_cert_file", "redis_key_file"])
def test_a_certificate_is_read_before_anything_is_started(tmp_path: Path, field: str) -> None:
    """A missing certificate file is refused by the name of its variable, before anything starts."""
    given = {name: tmp_path / name for name in ("redis_cert_file", field)}
    (tmp_path / "redis_cert_file").write_text("no certificate")
    with pytest.raises(SettingsError) as caught:
        _ = ServiceSettings(redis_url="rediss://a:1/0", **given).redis
    (line,) = caught.value.problems
    assert line.startswith("MILLSTREAM_REDIS_")
    assert "_FILE=" in line


def test_the_authority_that_is_trusted_reaches_the_address() -> None:
    """The CA file reaches the address."""
    file = Path(certifi.where())
    assert ServiceSettings(redis_url="rediss://a:1/0", redis_ca_file=file).redis.tls_files.ca_file == file


@pytest.mark.parametrize(
    ("path", "shown"), [("/etc/password", "/etc/password"), ("/pa55/word", "***"), ("word", "***")]
)
def test_a_path_is_shown_where_its_folder_is_there(path: str, shown: str) -> None:
    """A wrong path is shown only if its folder exists, because it may be a secret with a slash."""
    assert mask_path(Path(path)) == shown


def test_a_handler_process_loads_every_app_but_the_built_in_one() -> None:
    """A handler process loads every app except the built-in one."""
    assert WorkerSettings(apps=("shop:app", BUILTIN, "mail:app")).app_refs == ("shop:app", "mail:app")


def test_settings_of_redis_that_would_have_no_effect_are_refused(tmp_path: Path) -> None:
    """Settings of Redis that would have no effect are refused."""
    with pytest.raises(SettingsError) as caught:
        _ = ServiceSettings(
            redis_url="redis://ann:one@a:1/0",
            redis_username="ann",
            redis_password=Secret("one"),
            redis_ca_file=tmp_path / "ca",
            sentinel_username="eve",
            sentinel_password=Secret("two"),
        ).redis
    assert [line.split()[0] for line in caught.value.problems] == [
        "MILLSTREAM_REDIS_USERNAME",
        "MILLSTREAM_REDIS_PASSWORD",
        "MILLSTREAM_REDIS_CA_FILE",
        "MILLSTREAM_SENTINEL_USERNAME",
        "MILLSTREAM_SENTINEL_PASSWORD",
    ]


def test_every_setting_of_the_built_in_handlers_reaches_them() -> None:
    """Every setting of the built-in handlers reaches them."""
    settings = WorkerSettings(
        smtp_host="mail.example",
        smtp_port=2525,
        smtp_tls="tls",
        smtp_username="post",
        smtp_password=Secret("hunter2"),
        reports_folder=Path("/srv/reports"),
    )
    assert handler_settings(settings) == HandlerSettings(
        smtp=SmtpSettings(host="mail.example", port=2525, tls="tls", username="post", password="hunter2"),
        reports=ReportSettings(folder="/srv/reports"),
    )
    assert "email.send" in load_apps((), settings).handlers
    assert set(load_apps((), WorkerSettings()).handlers) == {"data.export", "report.generate", "webhook.call"}
    all_set = WorkerSettings(
        smtp_host="mail.example",
        files_root=Path("/srv/files"),
        files_protocols=("s3",),
        notify_urls=Secret("slack://a/b/c tgram://d/e"),
        sms_url=Secret("twilio://f"),
        reports_font=Path("/srv/font.ttf"),
        exports_folder=Path("/srv/exports"),
        url="http://ingest:8080",
    )
    assert len(load_apps((), all_set).handlers) == 7
    found = handler_settings(all_set)
    assert found.notify == NotifySettings(urls=("slack://a/b/c", "tgram://d/e"), sms_url="twilio://f")
    assert found.files == FileSettings(root="/srv/files", protocols=("s3",))
    assert found.exports == ExportSettings(folder="/srv/exports", api_url="http://ingest:8080")
    assert (found.reports.font, found.reports.api_url) == ("/srv/font.ttf", "http://ingest:8080")


def test_settings_that_are_built_by_hand_are_held_against_each_other_too() -> None:
    """Settings that are constructed in code are checked against each other too."""
    with pytest.raises(ValueError, match="at most half of MILLSTREAM_LEASE_S"):
        WorkerSettings(lease_s=3.0)
    with pytest.raises(ValueError, match="at most half of MILLSTREAM_LEASE_S"):
        msgspec.structs.replace(WorkerSettings(), renew_every_s=15.1)
    assert WorkerSettings(lease_s=4.0).renew_every_s == 2.0


def test_leases_are_the_same_for_workers_and_reapers() -> None:
    """One variable sets the lease of workers and reapers."""
    environ = {"MILLSTREAM_LEASE_S": "60", "MILLSTREAM_MAX_CRASHES": "5"}
    worker, reaper = load(WorkerSettings, environ), load(ReaperSettings, environ)
    assert (worker.lease_s, worker.max_crashes) == (reaper.lease_s, reaper.max_crashes) == (60.0, 5)


@given(
    variable=st.sampled_from(sorted(field.name for field in msgspec.structs.fields(WorkerSettings))),
    value=st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=30),
)
def test_load_answers_any_text_with_settings_or_a_settings_error(variable: str, value: str) -> None:
    """Any value leads to settings or to SettingsError."""
    with contextlib.suppress(SettingsError):
        assert isinstance(load(WorkerSettings, {f"MILLSTREAM_{variable.upper()}": value}), WorkerSettings)


def test_a_field_that_names_a_file_is_set_by_its_path_alone(tmp_path: Path) -> None:
    """`MILLSTREAM_REDIS_CA_FILE` is the path of a certificate, and not of a file with that path in it."""
    environ = {"MILLSTREAM_REDIS_CA_FILE": str(tmp_path / "ca.pem")}
    assert load(ServiceSettings, environ).redis_ca_file == tmp_path / "ca.pem"
    (line,) = problems_of(ServiceSettings, {"MILLSTREAM_REDIS_CA_FILE_FILE": str(tmp_path / "path")})
    assert line.startswith("MILLSTREAM_REDIS_CA_FILE_FILE is no setting; did you mean `MILLSTREAM_REDIS_CA_FILE`?")
    (line,) = problems_of(ServiceSettings, {"MILLSTREAM_REDIS_CA": "/ca.pem"})
    assert line == "MILLSTREAM_REDIS_CA is no setting; did you mean `MILLSTREAM_REDIS_CA_FILE`?"


def test_no_variable_sets_two_fields() -> None:
    """No variable sets two fields, as a field `x_file` beside `x` would."""
    names = {field.name for kind in ALL_SETTINGS for field in msgspec.structs.fields(kind)}
    variables = [variable for name in names for variable in variables_of(name)]
    assert len(variables) == len(set(variables))


def test_the_content_of_a_file_is_not_shown(tmp_path: Path) -> None:
    """An error about a value from a file does not show the content."""
    file = tmp_path / "redis"
    file.write_text("hunter2\n")
    (line,) = problems_of(ServiceSettings, {"MILLSTREAM_REDIS_URL_FILE": str(file)})
    assert line.startswith(f"MILLSTREAM_REDIS_URL_FILE={file}: its content is not shown: expected an address such as")
    (line,) = problems_of(IngestSettings, {"MILLSTREAM_PORT_FILE": str(file)})
    assert line == f"MILLSTREAM_PORT_FILE={file}: its content is not shown: expected {PORT}"


def test_an_empty_file_is_no_password(tmp_path: Path) -> None:
    """An empty file is refused as a password."""
    file = tmp_path / "password"
    file.touch()
    (line,) = problems_of(ServiceSettings, {"MILLSTREAM_REDIS_PASSWORD_FILE": str(file)})
    assert line.startswith(f"MILLSTREAM_REDIS_PASSWORD_FILE={file}")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://h:99999", "http://h:99999"),
        ("http://ann:hunter2@h/x?password=hunter2&y=1", "http://***@h/x?***"),
        ("http://a,b:2,[::1]:3/main", "http://a,b:2,[::1]:3/main"),
        ("http://:hun/ter2@h", "a value that is no address"),
        ("hunter2", "a value that is no address"),
    ],
)
def test_a_wrong_address_is_shown_without_credentials_and_query(url: str, shown: str) -> None:
    """A wrong address is shown without credentials and query."""
    (line,) = problems_of(ServiceSettings, {"MILLSTREAM_REDIS_URL": url})
    assert line.partition(": expected")[0] in {f"MILLSTREAM_REDIS_URL={shown}", f"MILLSTREAM_REDIS_URL holds {shown}"}


def test_a_wrong_value_takes_one_line_however_long_it_is() -> None:
    """An error shows a wrong value in one line of bounded length."""
    (line,) = problems_of(IngestSettings, {"MILLSTREAM_PORT": "80\n" + "9" * 5000})
    assert line.isprintable()
    assert len(line) < 200


@pytest.mark.parametrize(
    ("environ", "problem"),
    [
        ({"MILLSTREAM_WEBHOOK_KEY": "short"}, "MILLSTREAM_WEBHOOK_KEY: expected 32 random characters or more"),
        ({"MILLSTREAM_WEBHOOK_KEY_BEFORE": "k" * 32}, "MILLSTREAM_WEBHOOK_KEY_BEFORE is set, and"),
        ({"MILLSTREAM_OUTGOING_NETWORKS": "10.0.0.1/8"}, "MILLSTREAM_OUTGOING_NETWORKS: `10.0.0.1/8` is no network"),
        ({"MILLSTREAM_OUTGOING_NETWORKS": "ten"}, "expected a network such as 10.0.0.0/8"),
    ],
)
def test_load_refuses_settings_that_no_webhook_could_be_sent_with(environ: dict[str, str], problem: str) -> None:
    """What is wrong about webhooks stops the start, and the text of a key is not repeated."""
    (line,) = problems_of(WorkerSettings, environ)
    assert problem in line
    assert "short" not in line


def test_handler_settings_have_the_keys_and_networks_of_webhooks() -> None:
    """The built-in handlers get the settings of webhooks."""
    environ = {"MILLSTREAM_WEBHOOK_KEY": "k" * 32, "MILLSTREAM_OUTGOING_NETWORKS": "10.0.0.0/8,fd00::/8"}
    settings = load(WorkerSettings, environ)
    assert handler_settings(settings).webhooks == WebhookSettings(key="k" * 32, networks=("10.0.0.0/8", "fd00::/8"))
    assert [str(one) for one in settings.networks] == ["10.0.0.0/8", "fd00::/8"]
