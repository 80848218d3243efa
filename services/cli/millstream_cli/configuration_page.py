"""Writes docs/configuration.md from the settings: `make docs`."""

from millstream_cli.settings import ClientSettings, MigrateSettings
from millstream_console.settings import ConsoleSettings
from millstream_dispatcher.settings import DispatcherSettings
from millstream_ingest.settings import IngestSettings
from millstream_reaper.settings import ReaperSettings
from millstream_runtime import (
    DemandSettings,
    HistorySettings,
    LeaseSettings,
    ProcessSettings,
    ServiceSettings,
    WebhookSettings,
)
from millstream_runtime.settings.page import Section, settings_page
from millstream_workers.settings import WorkerSettings

HEAD = """# Configuration

<!-- Written by `make docs` from the settings of the services. Change it there. -->

Services and commands read their settings from environment variables. An empty variable is an unset one. Options of a
command win over variables: `millstream ingest --port 8081`.

* **A file instead of a value.** `MILLSTREAM_REDIS_PASSWORD_FILE` names a file that holds what
  `MILLSTREAM_REDIS_PASSWORD` would; so does each variable with `_FILE` beside it, for secrets that are mounted. Both at
  once are refused. A variable that ends in `_FILE` by itself names a file that is used as it is.
* **One environment for all services.** A service ignores the variables of the others. A variable that no service knows
  stops the start, with the one that was probably meant.
* **All at once.** What is wrong is printed in one line for each variable, without secrets and without what is in files.
  The exit code is 2.
* **Units.** Names end in their unit: `_S` is seconds, fractions included, `_BYTES` bytes.

Traces are configured by the standard `OTEL_*` variables: [telemetry.md](telemetry.md).
"""

SECTIONS = (
    Section("Every service", "Of `ingest`, `dispatcher`, `worker`, `reaper` and `console`.", ProcessSettings),
    Section(
        "Redis",
        "Of every service, and of `millstream doctor`. [redis.md](redis.md) has addresses, TLS and logins in full.",
        ServiceSettings,
    ),
    Section(
        "Webhooks",
        "Of `ingest`, `dispatcher` and `worker`, and the same for all three: [webhooks](history/webhooks.md).",
        WebhookSettings,
    ),
    Section(
        "Leases",
        "Of `worker` and `reaper`, and the same for both: a reaper with a shorter lease would take jobs from workers "
        "that live.",
        LeaseSettings,
    ),
    Section(
        "Demand",
        "Of `ingest` and `dispatcher`, and the same for both: they tell how many workers are wanted.",
        DemandSettings,
    ),
    Section(
        "History",
        "Of `ingest`, which searches it, and of `dispatcher`, which writes it; the same for both.",
        HistorySettings,
    ),
    Section("ingest", "Of the HTTP API.", IngestSettings),
    Section(
        "worker",
        "Of workers, and of the built-in handlers [built-in handlers](handlers/built-in.md).",
        WorkerSettings,
    ),
    Section("dispatcher", "Of dispatchers.", DispatcherSettings),
    Section("reaper", "Of reapers.", ReaperSettings),
    Section("console", "Of the [console](console.md).", ConsoleSettings),
    Section("migrate", "Of `millstream migrate`, `doctor` and `history`.", MigrateSettings),
    Section(
        "Clients",
        "Of the commands that talk to the HTTP API: `submit`, `job`, `jobs`, `dead`, `queues`, `workers`, `types`, "
        "`demand`.",
        ClientSettings,
    ),
)


def configuration_page() -> str:
    """Return the text of docs/configuration.md."""
    return settings_page(HEAD, SECTIONS)


if __name__ == "__main__":
    print(configuration_page(), end="")
