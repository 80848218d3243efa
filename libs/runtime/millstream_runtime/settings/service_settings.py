"""What the settings of several services have in common. Each service adds its own in a Struct of its `settings.py`.

A field is a public name: `MILLSTREAM_<FIELD>` sets it. Its type has the bounds, its docstring is what
docs/configuration.md says.
"""

from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from millstream_contracts import limits
from millstream_runtime.settings.fields import HOUR_S, ListenPort, Namespace, RedisUrl
from millstream_runtime.settings.masking import mask_path, mask_text
from millstream_runtime.settings.redis_access import address_of
from millstream_runtime.settings.secret import Secret
from millstream_streams import RedisAddress
from millstream_telemetry import Propagation

LogLevel = Literal["debug", "info", "warning", "error"]


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What all settings have in common: their text holds no secret."""

    def __repr__(self) -> str:
        values = (f"{name}={_shown(name, value)}" for name, value in msgspec.structs.asdict(self).items())
        return f"{type(self).__name__}({', '.join(values)})"


class RedisSettings(Settings, frozen=True, kw_only=True):
    """What every process needs that talks to Redis. See docs/redis.md."""

    redis_url: RedisUrl = "redis://127.0.0.1:6379/0"
    """One server, Sentinel or Cluster, by scheme; with `rediss` every connection is encrypted."""
    redis_username: str | None = None
    """The user to log in as, unless the URL names it; unset: Redis's default user."""
    redis_password: Secret | None = None
    """Its password, unless it is in the URL; better given as a file."""
    redis_ca_file: Path | None = None
    """The certificates of the authorities that sign those of Redis and of its Sentinels, in PEM: these authorities and
    no others are trusted. Unset: those that the system trusts."""
    redis_cert_file: Path | None = None
    """The certificate of the client, in PEM, for a Redis that wants one (`tls-auth-clients yes`, its default)."""
    redis_key_file: Path | None = None
    """Its key, in PEM and without a pass phrase; unset when it is in the file of the certificate."""
    sentinel_username: str | None = None
    """The user to log in as at the Sentinels, which know nothing of the users of Redis."""
    sentinel_password: Secret | None = None
    """Their password; better given as a file."""
    namespace: Namespace = "ms"
    """What all keys begin with, so that several installations can share a Redis."""

    @property
    def redis(self) -> RedisAddress:
        """Return where Redis is and how to get in. Its certificates are read.

        Raises: RedisUrlError; SettingsError, for settings that contradict each other and files that cannot be used.
        """
        return address_of(self)


class ServiceSettings(RedisSettings, frozen=True, kw_only=True):
    """What every service has."""

    log_level: LogLevel = "info"
    """The least grave of what is logged."""
    trace_propagation: Propagation = "auto"
    """Whether attempts are children of the submission's trace or linked to it; `auto` links the long delayed."""
    admin_host: str = "127.0.0.1"
    """The address of the health and metrics routes."""
    admin_port: ListenPort | None = None
    """Their port. Unset: `ingest` has them on its own port, the others have none."""


class LeaseSettings(ServiceSettings, frozen=True, kw_only=True):
    """What workers and reapers must agree on."""

    lease_s: Annotated[float, Meta(ge=1.0, le=HOUR_S)] = 30.0
    """How long a worker may be silent before its jobs go to others; no limit to how long a job may run."""
    max_crashes: Annotated[int, Meta(ge=1, le=limits.MAX_ATTEMPTS)] = 3
    """How many workers may vanish with a job before it is dead."""


def _shown(name: str, value: object) -> str:
    # A path has one slash where an address that was put there had two.
    if isinstance(value, Path) and (name.endswith("_file") or ":/" in str(value)):
        return repr(mask_path(value))
    return repr(mask_text(value)) if isinstance(value, str) else repr(value)
