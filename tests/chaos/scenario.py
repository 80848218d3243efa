"""A scenario is a fault for a fleet under load, with the fleet and the load that it takes."""

from collections.abc import Awaitable, Callable

from chaos.checker import Rule
from chaos.evidence import Evidence
from chaos.fleet import Shape, Timing
from chaos.history_keeper import HistoryKeeper
from chaos.redis_keeper import RedisKeeper
from chaos.service import PRODUCT
from chaos.stage import Keeper, Stage
from chaos.submitter import EVERYDAY, Wish
from msgspec import Struct

from millstream_contracts import DEFAULT_TENANT, Tenant

Act = Callable[[Stage], Awaitable[None]]


class Scenario(Struct, frozen=True, kw_only=True):
    """One row of the table of faults in docs/guarantees.md."""

    name: str
    act: Act
    shape: Shape = Shape()
    timing: Timing = Timing()
    mix: tuple[Wish, ...] = EVERYDAY
    rate_per_s: float = 40.0
    """How many submissions a second; 0 leaves it to the act."""
    copies: int = 1
    """How often each request is sent."""
    rules: tuple[Rule, ...] = ()
    """What must hold beside the promises."""
    describe: dict[str, Callable[[Evidence], str]] = {}
    """Figures that follow from the evidence, by name."""
    waived: frozenset[str] = frozenset()
    """Rules that may be broken here, by name, because the docs say so."""
    redis: Callable[..., Keeper] = RedisKeeper
    """Makes the keeper of this scenario's Redis, with a folder and a server program."""
    history: Callable[[], HistoryKeeper] | None = None
    """Makes the keeper of its history database; None without one."""
    tenants: tuple[Tenant, ...] = (DEFAULT_TENANT,)
    """The tenants whose events are kept for the checker."""
    headers: dict[str, str] = {}
    """The headers of each submission beside its key."""
    program: tuple[str, ...] = PRODUCT
    """The program of every process; only tests of the checker use another, with bugs in it."""

    @property
    def purpose(self) -> str:
        """Return one line that says what it does and what must hold."""
        return (self.act.__doc__ or "").strip().partition("\n")[0]
