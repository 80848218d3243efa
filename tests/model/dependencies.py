"""A model of jobs that wait for others. Each method that is named like a script is that script: one step of one queue.

Each job lies in a queue of its own. What submits a job, and dispatchers, take one step at a time, may die before any of
them, and may repeat what another one has done already.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, TypeAlias

from model.explorer import Broken

QUEUED, BLOCKED, SUCCEEDED, DEAD, CANCELLED = "queued", "blocked", "succeeded", "dead", "cancelled"
FORGOTTEN, REFUSED, NEW = "unknown", "refused", "new"
SETTLED = frozenset({SUCCEEDED, DEAD, CANCELLED})
ENDED = frozenset({SUCCEEDED, CANCELLED})
GONE = 1000
"""In place of the version of a job that is gone: later than any."""


class Job(NamedTuple):
    """One job."""

    state: str = NEW
    version: int = 0
    starts: int = 0
    in_outbox: bool = False
    children: frozenset[tuple[str, int]] = frozenset()
    """Each with the version that it knows."""
    open: frozenset[str] = frozenset()
    is_linked: bool = False
    past: frozenset[str] = frozenset()
    """The states in which it has settled before."""


class Told(NamedTuple):
    """News on their way: a dispatcher has taken them, and tells one child after the other."""

    parent: str
    state: str
    version: int
    todo: tuple[str, ...]
    results: tuple[tuple[str, bool], ...] = ()
    """Each child that was told, and whether it goes on waiting."""


class Link(NamedTuple):
    """A child that is being linked: by what has submitted it, or by a dispatcher."""

    child: str
    at: int
    """-2: look at the parents; -1: store; then the number of the next parent."""
    answer: str | None = None
    """What the parent before has answered, if its child has to be told at once."""
    looks: tuple[str, ...] = ()


class World(NamedTuple):
    """All jobs, and all that is under way."""

    jobs: tuple[Job, ...]
    submitters: tuple[Link | None, ...]
    dispatchers: tuple[Told | Link | None, ...]
    redrives: int


Steps: TypeAlias = Iterator[tuple[str, "World"]]


class Dependencies:
    """Jobs by name, each with those that it waits for. `bug` names a mistake that is planted."""

    def __init__(
        self,
        after: Mapping[str, Sequence[str]],
        *,
        policy: Mapping[str, str] | None = None,
        deaths: str = "",
        redrives: int = 0,
        discards: bool = False,
        cancels: str = "",
        dispatchers: int = 2,
        at_once: int = 2,
        bug: str = "",
    ) -> None:
        """Take the jobs that may die and be cancelled, and how many children are told in one round."""
        self.after = after
        self.names = sorted(after)
        self.policy = {name: (policy or {}).get(name, "wait") for name in after}
        self.deaths, self.redrives, self.discards, self.cancels = deaths, redrives, discards, cancels
        self.dispatchers, self.at_once, self.bug = dispatchers, at_once, bug

    def start(self) -> World:
        """Return jobs without parents as ready, and the others as about to be submitted."""
        jobs = tuple(Job() if self.after[name] else Job(QUEUED, 1, is_linked=True) for name in self.names)
        submitters = tuple(Link(name, -2) for name in self.names if self.after[name])
        return World(jobs, submitters, (None,) * self.dispatchers, self.redrives)

    def is_good(self, world: World) -> bool:
        """Return whether nothing is under way, and each job that waits waits for a dead one."""
        if any(world.submitters) or any(world.dispatchers):
            return False
        return all(self._may_stay(world, name) for name in self.names)

    def _may_stay(self, world: World, name: str) -> bool:
        job = self._job(world, name)
        if job.in_outbox or job.state == QUEUED:
            return False
        if job.state == DEAD and (world.redrives or self.discards):
            return False
        if job.state == BLOCKED:
            waits = any(self._job(world, one).state in {DEAD, BLOCKED} for one in job.open)
            return self.policy[name] == "wait" and waits and job.is_linked
        parents = [self._job(world, one) for one in self.after[name]]
        is_certain = self.policy[name] == "wait" and not self.discards and not self.cancels
        must_run = is_certain and bool(parents) and all(SUCCEEDED in one.past for one in parents)
        return not must_run or bool(job.starts) or job.state in {REFUSED, NEW} or DEAD in job.past

    # The scripts.

    def enqueue(self, world: World, name: str, looks: Sequence[str]) -> World:
        """Store a child, blocked by what has not succeeded yet."""
        if self._job(world, name).state != NEW:
            return world
        is_done = {SUCCEEDED} if self.policy[name] != "run" else SETTLED
        open_ = frozenset(p for p, look in zip(self.after[name], looks, strict=True) if look not in is_done)
        if open_:
            return self._put(world, name, Job(BLOCKED, 1, open=open_))
        return self._start(self._put(world, name, Job(BLOCKED, 0)), name)

    def listen(self, world: World, parent: str, child: str) -> tuple[World, str]:
        """Note a child at its parent. Returns: the state of the parent."""
        job = self._job(world, parent)
        if job.state in {NEW, FORGOTTEN, REFUSED}:
            return world, FORGOTTEN
        if job.state in ENDED or any(one == child for one, _ in job.children):
            return world, job.state
        return self._put(world, parent, job._replace(children=job.children | {(child, 0)})), job.state

    def resolve(self, world: World, child: str, parent: str, state: str) -> tuple[World, bool]:
        """Tell a child of its parent. Returns: whether it goes on waiting for it."""
        job, policy = self._job(world, child), self.policy[child]
        if job.state != BLOCKED or parent not in job.open:
            return world, False
        if state == SUCCEEDED or (policy == "run" and (state in SETTLED or state == FORGOTTEN)):
            if self.bug == "count":  # any parent that is open, not the one that is told of
                parent = min(job.open)
            left = job.open - {parent}
            world = self._put(world, child, job._replace(open=left))
            return (world if left else self._start(world, child)), False
        if state == FORGOTTEN:
            return self._settle(world, child, DEAD), False
        if state not in SETTLED or (state == DEAD and policy != "cancel"):
            return world, True
        return self._settle(world, child, CANCELLED), False

    def linked(self, world: World, child: str) -> World:
        """Note that all parents know of a child."""
        job = self._job(world, child)
        return self._put(world, child, job._replace(is_linked=True)) if job.state == BLOCKED else world

    def take_news(self, world: World, name: str) -> tuple[World, Told | None]:
        """Take a job from the outbox, with children that do not know its version; for good where there are none."""
        job = self._job(world, name)
        version = GONE if job.state == FORGOTTEN else job.version
        tells = job.state in SETTLED or job.state == FORGOTTEN
        todo = tuple(sorted(child for child, known in job.children if known < version)) if tells else ()
        if not todo:
            return self._put(world, name, job._replace(in_outbox=False)), None
        return world, Told(name, job.state, version, todo[: self.at_once])

    def end_news(self, world: World, told: Told) -> World:
        """Note which children were told, and take the job from the outbox when all know its present version."""
        job, kept = self._job(world, told.parent), dict(told.results)
        children = frozenset(
            (child, told.version if child in kept else known) for child, known in job.children if kept.get(child, True)
        )
        version = GONE if job.state == FORGOTTEN else job.version
        is_current = version == told.version or self.bug == "version"
        knows = is_current and not any(known < told.version for _, known in children)
        return self._put(world, told.parent, job._replace(children=children, in_outbox=not knows and job.in_outbox))

    # What happens.

    def steps(self, world: World) -> Steps:
        """Yield all that may happen next."""
        for at, link in enumerate(world.submitters):
            if link is not None:
                for label, after, then in self._link(world, link):
                    yield label, after._replace(submitters=_with(after.submitters, at, then))
                yield (
                    f"the submitter of {link.child} dies",
                    world._replace(submitters=_with(world.submitters, at, None)),
                )
        for at, work in enumerate(world.dispatchers):
            if work is None and at and world.dispatchers[at - 1] is None:
                continue  # they are alike
            for label, after, then in self._dispatch(world, work):
                yield f"{label} by {at}", after._replace(dispatchers=_with(after.dispatchers, at, then))
        for name in self.names:
            yield from self._live(world, name)

    def _dispatch(self, world: World, work: Told | Link | None) -> Iterator[tuple[str, World, Told | Link | None]]:
        if isinstance(work, Link):
            yield from self._link(world, work)
        elif isinstance(work, Told):
            yield self._tell(world, work)
        else:
            for name in self.names:
                job = self._job(world, name)
                if job.in_outbox:
                    yield f"take {name}", *self.take_news(world, name)
                if job.state == BLOCKED and not job.is_linked:
                    yield f"sweep {name}", world, Link(name, 0)
            return
        yield "death", world, None

    def _tell(self, world: World, told: Told) -> tuple[str, World, Told | None]:
        if not told.todo:
            return f"end news of {told.parent}", self.end_news(world, told), None
        child, *todo = told.todo
        after, is_kept = self.resolve(world, child, told.parent, told.state)
        results = (*told.results, (child, is_kept))
        return f"resolve {child}", after, told._replace(todo=tuple(todo), results=results)

    def _link(self, world: World, link: Link) -> Iterator[tuple[str, World, Link | None]]:
        child, parents = link.child, self.after[link.child]
        if link.at == -2:
            looks = tuple(self._job(world, one).state for one in parents)
            if {FORGOTTEN, REFUSED} & set(looks):
                yield f"refuse {child}", self._put(world, child, Job(REFUSED)), None
            elif NEW not in looks:
                yield f"look for {child}", world, Link(child, -1, looks=looks)
        elif link.at == -1:
            yield f"store {child}", self.enqueue(world, child, link.looks), Link(child, 0)
        elif link.answer is not None:
            parent = parents[link.at - 1]
            if self.bug == "listen" and link.answer in {QUEUED, BLOCKED}:  # noted in a second step
                yield f"note {child}", self.listen(world, parent, child)[0], Link(child, link.at)
            else:
                yield f"resolve {child}", self.resolve(world, child, parent, link.answer)[0], Link(child, link.at)
        elif link.at == len(parents):
            yield f"linked {child}", self.linked(world, child), None
        else:
            after, state = self.listen(world, parents[link.at], child)
            tells = state in SETTLED or state == FORGOTTEN
            if self.bug == "listen":
                after, tells = world, True
            yield f"listen of {child}", after, Link(child, link.at + 1, state if tells else None)

    def _live(self, world: World, name: str) -> Steps:
        job = self._job(world, name)
        if job.state == QUEUED:
            yield f"{name} succeeds", self._settle(world, name, SUCCEEDED)
            if name in self.deaths and DEAD not in job.past:
                yield f"{name} dies", self._settle(world, name, DEAD)
        if job.state == DEAD and world.redrives:
            # What it still has to tell is that it waits again, which nothing has to know.
            redriven = self._put(world, name, job._replace(state=QUEUED, version=job.version + 1))
            yield f"redrive {name}", redriven._replace(redrives=world.redrives - 1)
        if job.state == DEAD and self.discards:
            yield f"discard {name}", self._settle(world, name, CANCELLED)
        if job.state in {BLOCKED, QUEUED} and name in self.cancels:
            yield f"cancel {name}", self._settle(world, name, CANCELLED)
        if job.state in ENDED and not job.in_outbox:
            yield f"forget {name}", self._put(world, name, job._replace(state=FORGOTTEN))

    def _settle(self, world: World, name: str, state: str) -> World:
        job = self._job(world, name)
        told = bool(job.children) or job.in_outbox
        new = job._replace(
            state=state, version=job.version + 1, in_outbox=told, open=frozenset(), past=job.past | {state}
        )
        return self._put(world, name, new)

    def _start(self, world: World, name: str) -> World:
        job = self._job(world, name)
        if job.starts:
            raise Broken(f"{name} starts twice")
        for parent in self.after[name]:
            past = self._job(world, parent).past
            if SUCCEEDED not in past and not (self.policy[name] == "run" and past):
                raise Broken(f"{name} starts before {parent} has ended")
        return self._put(world, name, job._replace(state=QUEUED, version=job.version + 1, starts=1))

    def _job(self, world: World, name: str) -> Job:
        return world.jobs[self.names.index(name)]

    def _put(self, world: World, name: str, job: Job) -> World:
        return world._replace(jobs=_with(world.jobs, self.names.index(name), job))


def _with(items: tuple[object, ...], at: int, item: object) -> tuple[object, ...]:
    return (*items[:at], item, *items[at + 1 :])
