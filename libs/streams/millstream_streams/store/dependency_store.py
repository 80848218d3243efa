"""The transitions of jobs that wait for others. See scripts/_dependents.lua for their keys."""

from collections.abc import Sequence

from millstream_codec import CodecError
from millstream_contracts import JobId, Queue, limits
from millstream_streams.store.deliveries import ActionCode, Blocked, Edge, News, ResolveCode, Told
from millstream_streams.store.queue_scripts import QueueScripts, check_size
from millstream_streams.store.scripting import Argument
from millstream_streams.store.specs import opened, read_job_id, read_wait

LINK_AGAIN_S = 60.0
LINK_AGAIN_AT_MOST_S = 3600.0
"""How long after its parents were told of it a blocked job is looked at again; later at half its age."""

CHILDREN_AT_ONCE = 100
"""How many children of a job are told in one round: a script must not stand still for ten thousand."""


class DependencyStore:
    """Tells parents of their children, and children of their parents. Methods are as those of :class:`JobStore`."""

    def __init__(self, scripts: QueueScripts, *, retention_s: float = 3600.0) -> None:
        self._scripts = scripts
        self._retention_ms = round(retention_s * 1000)
        """How long a job can be read that is cancelled because of a parent."""

    async def listen(self, queue: Queue, pairs: Sequence[tuple[JobId, JobId]]) -> list[str]:
        """Note children at their parents, which are of this queue. Returns: the state of each parent, or `unknown`."""
        check_size(pairs)
        arguments: list[Argument] = []
        for parent, child in pairs:
            arguments += (parent, child)
        return [state.decode() for state in await self._scripts.run("listen", queue, arguments)]

    async def resolve(self, queue: Queue, edges: Sequence[Edge]) -> list[ResolveCode]:
        """Tell blocked jobs of this queue of their parents; each counts once."""
        check_size(edges)
        arguments: list[Argument] = [self._retention_ms]
        for edge in edges:
            arguments += (edge.child, edge.parent, edge.state)
        return [ResolveCode(int(code)) for code in await self._scripts.run("resolve", queue, arguments)]

    async def linked(self, queue: Queue, ids: Sequence[JobId]) -> int:
        """Note that all parents of these jobs know of them. Returns: how many are still blocked."""
        check_size(ids)
        limits_ms = [round(LINK_AGAIN_S * 1000), round(LINK_AGAIN_AT_MOST_S * 1000)]
        return int(await self._scripts.run("linked", queue, [*limits_ms, *ids]))

    async def take_blocked(
        self, queue: Queue, *, limit: int = 20, lease_s: float = 30.0
    ) -> tuple[list[Blocked], int | None]:
        """Lease blocked jobs that have to be looked at. Returns: them, and the ms until the next look, None for none.

        A job has up to `limits.MAX_PARENTS` parents, so a call takes few.
        """
        next_in_ms, rows = await self._scripts.run("take_blocked", queue, [limit, round(lease_s * 1000)])
        found = [Blocked(read_job_id(job_id), [read_job_id(one) for one in parents]) for job_id, *parents in rows]
        return found, read_wait(next_in_ms)

    async def take_news(
        self, queue: Queue, *, limit: int = limits.MAX_SCRIPT_JOBS, lease_s: float = 30.0
    ) -> tuple[list[News], int | None]:
        """Lease jobs of which others have to be told. Returns: them, and the ms until there is more, None for none."""
        arguments: list[Argument] = [limit, round(lease_s * 1000), CHILDREN_AT_ONCE]
        next_in_ms, rows = await self._scripts.run("take_news", queue, arguments)
        found = [
            News(
                read_job_id(job_id),
                state.decode(),
                version.decode(),
                [read_job_id(one) for one in children],
                flow.decode(errors="replace"),
                _result(result),
            )
            for job_id, state, version, flow, result, *children in rows
        ]
        return found, read_wait(next_in_ms)

    async def tell_again(self, queue: Queue, ids: Sequence[JobId]) -> list[ActionCode]:
        """Have workflows and batches told again of those jobs that have settled. DONE_BEFORE: it has not settled."""
        check_size(ids)
        return [ActionCode(int(code)) for code in await self._scripts.run("tell_again", queue, list(ids))]

    async def end_news(self, queue: Queue, told: Sequence[Told]) -> int:
        """Note which children were told. Returns: how many parents need to tell no more."""
        check_size(told)
        arguments: list[Argument] = []
        for one in told:
            arguments += (one.parent, one.version, one.child or "", "1" if one.is_kept else "")
        return int(await self._scripts.run("end_news", queue, arguments))


def _result(blob: bytes) -> bytes:
    """Return a result as a workflow takes it, one plain MessagePack value; none of one that cannot be read."""
    try:
        return opened(blob)
    except CodecError:
        return b""
