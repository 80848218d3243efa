"""What a dispatcher is told when it starts."""

from msgspec import Struct

from millstream_streams import RedisAddress


class DispatcherConfig(Struct, frozen=True, kw_only=True):
    """Settings of one dispatcher; the composition root reads them from the environment."""

    redis: RedisAddress
    """Where Redis is and how to get in."""
    namespace: str = "ms"
    release_every_s: float = 5.0
    """Longest time between two looks at a queue, hint or not: how late a job may be when a hint was lost. When it is
    measured as often, that is the look."""
    expire_every_s: float = 5.0
    """The same for jobs that expire, of which there are no hints: how late they may be shown as expired."""
    measure_every_s: float = 5.0
    history_url: str | None = None
    """The history database; None where nothing is to be remembered."""
    admin_host: str = "127.0.0.1"
    admin_port: int | None = None

    def __repr__(self) -> str:
        """Leave the URL of the history out: it may hold a password."""
        shown = {field: getattr(self, field) for field in self.__struct_fields__ if field != "history_url"}
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in shown.items())})"
