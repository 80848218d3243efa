"""Settings that several services share. Each service adds its own in the Struct of its `settings.py`.

A field is a public name: `MILLSTREAM_<FIELD>` sets it. Its type has the bounds, and its docstring is its text in
docs/configuration.md.
"""

from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from millstream_codec import Compression
from millstream_contracts import limits
from millstream_runtime.settings.fields import HOUR_S, CidrNetwork, HistoryUrl, ListenPort, Namespace, RedisUrl
from millstream_runtime.settings.masking import mask_path, mask_text
from millstream_runtime.settings.redis_access import address_of
from millstream_runtime.settings.secret import Secret
from millstream_streams import RedisAddress
from millstream_telemetry import Propagation
from millstream_webhooks import MIN_KEY_CHARS, Network, WebhookKeys, parse_networks

LogLevel = Literal["debug", "info", "warning", "error"]


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Base of all settings: their text holds no secret."""

    def __repr__(self) -> str:
        values = (f"{name}={_shown(name, value)}" for name, value in msgspec.structs.asdict(self).items())
        return f"{type(self).__name__}({', '.join(values)})"


class ProcessSettings(Settings, frozen=True, kw_only=True):
    """Settings of every process that runs until it is stopped."""

    log_level: LogLevel = "info"
    """The lowest level that is logged."""
    trace_propagation: Propagation = "auto"
    """Whether an attempt continues the trace of its submission or starts a linked one. `auto` links jobs with a long
    delay."""
    admin_host: str = "127.0.0.1"
    """The address of the health and metrics routes."""
    admin_port: ListenPort | None = None
    """The port of the health and metrics routes. Unset: `ingest` has the metrics on its API port, other services have
    neither. The API port of `ingest` answers probes in any case."""


class ServiceSettings(ProcessSettings, frozen=True, kw_only=True):
    """Settings of every service that talks to Redis. See docs/redis.md."""

    redis_url: RedisUrl = "redis://127.0.0.1:6379/0"
    """One server, Sentinel or Cluster, by scheme; with `rediss` every connection is encrypted."""
    redis_username: str | None = None
    """The user to log in as, unless the URL names one. Unset: the default user of Redis."""
    redis_password: Secret | None = None
    """The password of this user, unless the URL has it; better given as a file."""
    redis_ca_file: Path | None = None
    """The certificates of the authorities that sign those of Redis and of its Sentinels, in PEM: these authorities and
    no others are trusted. Unset: those that the system trusts."""
    redis_cert_file: Path | None = None
    """The certificate of the client, in PEM, for a Redis that wants one (`tls-auth-clients yes`, its default)."""
    redis_key_file: Path | None = None
    """The key of the client, in PEM and without a pass phrase; unset when the file of the certificate has it."""
    sentinel_username: str | None = None
    """The user to log in as at the Sentinels, which have users of their own."""
    sentinel_password: Secret | None = None
    """The password at the Sentinels; better given as a file."""
    namespace: Namespace = "ms"
    """The prefix of all keys, so that several installations can share a Redis."""
    compression: Compression = "zstd"
    """Whether payloads and results of 1,024 bytes and more are compressed in Redis where that saves a tenth: `zstd` or
    `off`. What is compressed is read in either case. See [compression](security/compression.md)."""
    encryption_keys: Secret | None = None
    """The keys that protect the data keys of [encryption](security/encryption.md): each `id:base64`, of 32 random
    bytes, with commas between them; the first is for new data keys. Better given as a file. Unset: nothing is encrypted
    or decrypted."""
    encryption_keys_folder: Path | None = None
    """A folder of such keys in place of the variable: files named `<id>.key` with the base64 alone; the last by name is
    for new data keys."""
    encryption_provider: str | None = None
    """The name of an entry point `millstream.key_providers` that protects data keys in place of these, such as a key
    management service."""
    encrypt: Literal["declared", "all"] = "declared"
    """Whose jobs this process encrypts: of types `declared` with `encrypted=True`, or of `all`."""

    @property
    def redis(self) -> RedisAddress:
        """Return the address of Redis with credentials and certificates. The files of the certificates are read.

        Raises: RedisUrlError; SettingsError, for settings that contradict each other and for files that cannot be used.
        """
        return address_of(self)


class WebhookSettings(ServiceSettings, frozen=True, kw_only=True):
    """Settings that ingest, dispatchers and workers must agree on, about webhooks."""

    webhook_key: Secret | None = None
    """What the signing secrets of webhooks are derived from: 32 random characters or more, such as those of
    `openssl rand -hex 32`. Unset: callbacks are not signed, and there are no endpoints. Better given as a file."""
    webhook_key_before: Secret | None = None
    """The key before the last change of it. While it is set, calls have the signatures of both."""
    outgoing_networks: tuple[CidrNetwork, ...] = ()
    """The private networks that calls of webhooks may go to, such as `10.0.0.0/8`. Empty: calls go to public addresses
    alone."""

    def __post_init__(self) -> None:
        """Refuse what webhooks could not be sent with. Raises: ValueError."""
        for name in ("webhook_key", "webhook_key_before"):
            key: Secret | None = getattr(self, name)
            if key is not None and len(key.reveal()) < MIN_KEY_CHARS:
                raise ValueError(f"MILLSTREAM_{name.upper()}: expected {MIN_KEY_CHARS} random characters or more")
        if self.webhook_key_before is not None and self.webhook_key is None:
            raise ValueError("MILLSTREAM_WEBHOOK_KEY_BEFORE is set, and MILLSTREAM_WEBHOOK_KEY is not")
        try:
            self.networks  # noqa: B018 - to see whether they can be read
        except ValueError as error:
            raise ValueError(f"MILLSTREAM_OUTGOING_NETWORKS: {error}") from None

    @property
    def networks(self) -> tuple[Network, ...]:
        """Return the networks that calls may go to."""
        return parse_networks(self.outgoing_networks)

    @property
    def webhook_keys(self) -> WebhookKeys:
        """Return the keys that are set."""
        return WebhookKeys([key.reveal() for key in (self.webhook_key, self.webhook_key_before) if key])


class LeaseSettings(WebhookSettings, frozen=True, kw_only=True):
    """Settings that workers and reapers must agree on."""

    lease_s: Annotated[float, Meta(ge=1.0, le=HOUR_S)] = 30.0
    """How long a worker may be silent before other workers get its jobs. It does not limit how long a job runs."""
    max_crashes: Annotated[int, Meta(ge=1, le=limits.MAX_ATTEMPTS)] = 3
    """How many workers may vanish while they run a job before the job is dead."""


class DemandSettings(WebhookSettings, frozen=True, kw_only=True):
    """Settings that ingest and dispatchers must agree on."""

    due_soon_s: Annotated[float, Meta(ge=0.0, le=HOUR_S)] = 60.0
    """How long before its time a delayed job counts as demand for workers: the time that a worker takes to be started.
    See [scaling.md](scaling.md)."""


class HistorySettings(DemandSettings, frozen=True, kw_only=True):
    """Settings of the services that use the history: ingest reads it, and dispatchers write it."""

    history_url: HistoryUrl | None = None
    """The PostgreSQL that keeps the history of all jobs. Unset: there is no history. Better given as a file, because it
    holds a password."""


def _shown(name: str, value: object) -> str:
    # A path has one slash where an address that was put there had two.
    if isinstance(value, Path) and (name.endswith("_file") or ":/" in str(value)):
        return repr(mask_path(value))
    return repr(mask_text(value)) if isinstance(value, str) else repr(value)
