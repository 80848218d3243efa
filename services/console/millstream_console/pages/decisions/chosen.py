"""Which jobs a decision is about: some ids, all that a frozen query finds, or a group of dead ones."""

from collections.abc import Sequence

from msgspec import Struct

from millstream import Client, OperationGroup
from millstream_console.pages.decisions.decision import Decision
from millstream_contracts import JobCount


class Chosen(Struct, frozen=True):
    """The jobs of a decision. One of the three is given."""

    ids: tuple[str, ...] = ()
    q: str | None = None
    """Frozen: it means the same jobs for ever."""
    group: OperationGroup | None = None

    @property
    def is_everything(self) -> bool:
        """Whether it is a query that says nothing but until when."""
        return self.q is not None and all(term.startswith("until:") for term in self.q.split())

    @property
    def fields(self) -> list[tuple[str, str]]:
        """Return the hidden fields of a form by which it names the same jobs again."""
        if self.q is not None:
            return [("scope", "match"), ("frozen", self.q)]
        if self.group is not None:
            return [("type", self.group.type), ("fingerprint", self.group.fingerprint)]
        return [("id", one) for one in self.ids]


class Tally(Struct, frozen=True):
    """How many jobs a decision is about."""

    count: JobCount
    """Those that it would act on."""
    others: int = 0
    """Those that were chosen too, and are in another state, as far as that is known."""


def chosen_of(ids: Sequence[str], scope: str, frozen: str, job_type: str, fingerprint: str) -> Chosen | None:
    """Return what a form or an address names; None for nothing."""
    if job_type and fingerprint:
        return Chosen(group=OperationGroup(job_type, fingerprint))
    if scope == "match":
        return Chosen(q=frozen)
    return Chosen(ids=tuple(dict.fromkeys(ids))) if ids else None


async def tally(client: Client, chosen: Chosen, decision: Decision) -> Tally:
    """Count the jobs of a decision as they are now. Raises: ApiError."""
    if chosen.group is not None:
        groups = (await client.dead_groups(type=chosen.group.type)).items
        found = next((group.count for group in groups if group.fingerprint == chosen.group.fingerprint), 0)
        return Tally(JobCount(found, "exact"))
    if chosen.q is None:
        return Tally(JobCount(len(chosen.ids), "exact"))
    every = await _count(client, chosen.q)
    if not decision.states:
        return Tally(every)
    fitting = await _count(client, f"{chosen.q} state:{','.join(decision.states)}")
    is_exact = every.relation == fitting.relation == "exact"
    return Tally(fitting, every.value - fitting.value if is_exact else 0)


async def _count(client: Client, q: str) -> JobCount:
    page = await client.jobs(q, count=True, limit=1)
    return page.count or JobCount(len(page.items), "at_least")
