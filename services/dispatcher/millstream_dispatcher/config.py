"""What a dispatcher is told when it starts."""

from msgspec import Struct


class DispatcherConfig(Struct, frozen=True, kw_only=True):
    """Settings of one dispatcher; the composition root reads them from the environment."""

    redis_url: str
    namespace: str = "ms"
    release_every_s: float = 5.0
    """How often every queue is looked at, hint or not: how late a job may be when a hint was lost."""
    measure_every_s: float = 5.0
    admin_host: str = "127.0.0.1"
    admin_port: int | None = None
