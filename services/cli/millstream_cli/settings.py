"""Reads the settings of a service or a command from the environment, which no other package reads.

One environment may serve all services: a service ignores the variables of the others.
"""

from collections.abc import Mapping
from typing import TypeVar

import msgspec

from millstream_console.settings import ConsoleSettings
from millstream_dispatcher.settings import DispatcherSettings
from millstream_ingest.settings import IngestSettings
from millstream_reaper.settings import ReaperSettings
from millstream_runtime import HistoryUrl, Secret, ServiceSettings, Settings, Url, read_settings
from millstream_workers.settings import WorkerSettings


class MigrateSettings(Settings, frozen=True, kw_only=True):
    """Settings of `migrate`."""

    history_url: HistoryUrl | None = None
    """The database to migrate, as for the services."""
    history_index_payload: bool = True
    """Whether `migrate` makes the index of payloads, by which jobs are found by any value in them. It is a quarter of
    the cost of a job in PostgreSQL. Without it such searches read jobs one by one, the newest first."""


class DoctorSettings(ServiceSettings, frozen=True, kw_only=True):
    """Settings of `doctor` and `history`."""

    history_url: HistoryUrl | None = None
    """The database to look at, as for the services."""


class ClientSettings(Settings, frozen=True, kw_only=True):
    """Settings of the commands that talk to the HTTP API."""

    url: Url = "http://127.0.0.1:8080"
    """The address of ingest."""
    api_key: Secret | None = None
    """The key for ingest, where it asks for one; better given as a file."""
    token: Secret | None = None
    """A token of an issuer that ingest trusts, in place of the key. As a file it is read again for each new token."""
    show_secrets: bool = False
    """Whether commands show what handlers declare as `Secret`, where the key may read payloads; else `***`."""


ALL_SETTINGS: tuple[type[Settings], ...] = (
    IngestSettings,
    WorkerSettings,
    DispatcherSettings,
    ReaperSettings,
    ConsoleSettings,
    ClientSettings,
)

S = TypeVar("S", bound=Settings)


def load(kind: type[S], environ: Mapping[str, str], **options: object) -> S:
    """Return the settings of a service from `MILLSTREAM_*`; `options` of the command line win, unless None.

    Raises: SettingsError, with a line for everything that is wrong.
    """
    known = {field.name for struct in ALL_SETTINGS for field in msgspec.structs.fields(struct)}
    return read_settings(kind, environ, options=options, known=known)
