"""A model of workflows. Each method that is named like a script is that script: one step of one slot.

The graph lies in a slot of its own, and each job in that of its queue. Dispatchers take one step at a time, may die
before any of them, may lose an answer and repeat, and may sleep until their lease is over.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple, TypeAlias

from model.explorer import Broken

WAITING, STARTING, STARTED = "waiting", "starting", "started"
SUCCEEDED, DEAD, CANCELLED = "succeeded", "dead", "cancelled"
NEW, QUEUED, FORGOTTEN = "new", "queued", "forgotten"
FAILED = (DEAD, CANCELLED)
OPEN = (STARTING, STARTED)


class Node(NamedTuple):
    """A node, in the slot of the workflow."""

    state: str = WAITING
    version: int = 0
    run: int = 1
    is_leased: bool = False
    is_undone: bool = False
    """Whether its entry in the outbox asks for the end of its job."""
    in_outbox: bool = False
    open: int = 0
    cursor: int = 0
    """The child with which a walk goes on that has broken off."""
    is_walked: bool = False
    """Whether the outbox asks for the rest of a walk."""


class Job(NamedTuple):
    """The job of a node in one run, in the slot of its queue."""

    state: str = NEW
    version: int = 0
    starts: int = 0
    in_outbox: bool = False


class Task(NamedTuple):
    """What a dispatcher has under a lease."""

    node: str
    run: int
    is_undo: bool
    is_valid: bool = True
    """Whether the lease, and with it the time for starts, is not over."""
    outcome: str = ""
    """What is to be confirmed; empty until then."""


class News(NamedTuple):
    """News on their way."""

    node: str
    run: int
    state: str
    version: int
    is_noted: bool = False


Under: TypeAlias = Task | News | None


class World(NamedTuple):
    """All there is."""

    nodes: tuple[Node, ...]
    jobs: tuple[tuple[Job, ...], ...]
    """Of each node, by run."""
    bits: frozenset[tuple[str, str]]
    is_cancelled: bool
    dispatchers: tuple[Under, ...]
    redrives: int
    reruns: int
    losses: int


class Workflows:
    """A workflow, given as each node's parents. `bug` is a mistake that is planted."""

    def __init__(
        self,
        parents: Mapping[str, tuple[str, ...]],
        *,
        policy: Mapping[str, str] | None = None,
        deaths: str = "",
        redrives: int = 0,
        reruns: int = 0,
        losses: int = 0,
        cancels: bool = False,
        dispatchers: int = 2,
        edges_a_call: int = 1000,
        bug: str = "",
    ) -> None:
        self.parents = parents
        self.edges_a_call = edges_a_call
        self.names = sorted(parents)
        self.policy = {name: (policy or {}).get(name, "wait") for name in self.names}
        self.deaths, self.redrives, self.reruns, self.losses = deaths, redrives, reruns, losses
        self.cancels, self.dispatchers, self.bug = cancels, dispatchers, bug

    def start(self) -> World:
        """Return a workflow of which the first nodes are to be started."""
        nodes = tuple(
            Node(open=len(self.parents[name])) if self.parents[name] else Node(STARTING, in_outbox=True)
            for name in self.names
        )
        jobs = tuple((Job(),) * (self.reruns + 1) for _ in self.names)
        return World(
            nodes, jobs, frozenset(), False, (None,) * self.dispatchers, self.redrives, self.reruns, self.losses
        )

    def steps(self, world: World) -> Iterator[tuple[str, World]]:
        """Yield each step that may happen, in words, and what is then."""
        for number, under in enumerate(world.dispatchers):
            for label, after, left in self._steps_of(world, under, number):
                yield f"dispatcher {number}: {label}", _with(after, number, left)
        yield from self._ends(world)
        yield from self._late(world)
        yield from self._requests(world)
        yield from self._failovers(world)

    def is_good(self, world: World) -> bool:
        """Return whether everything may stay as it is here."""
        if any(world.dispatchers) or any(node.in_outbox or node.is_walked for node in world.nodes):
            return False
        for name, node, jobs in zip(self.names, world.nodes, world.jobs, strict=True):
            if node.state in OPEN or any(job.state == QUEUED or job.in_outbox for job in jobs):
                return False
            if node.state == SUCCEEDED and not jobs[node.run - 1].starts:
                return False
            held_up = any(self._node(world, one).state in (DEAD, WAITING) for one in self.parents[name])
            if node.state == WAITING and not held_up:
                return False
        return True

    # Scripts of the workflow's slot.

    def take(self, world: World) -> Iterator[tuple[str, World, Under]]:
        """Yield each entry of the outbox that may be taken."""
        for name in self.names:
            node = self._node(world, name)
            if node.is_walked:
                going = self._put(world, name, node._replace(is_walked=False))
                yield f"go on with the walk of {name}", self._walk(going, name, node.cursor), None
            is_early = self.bug == "undo" and world.is_cancelled
            if not node.in_outbox or (node.is_leased and not is_early):
                continue
            is_undo = node.is_undone or (world.is_cancelled and node.state == STARTING)
            leased = self._put(world, name, node._replace(is_leased=True, is_undone=is_undo))
            yield f"take {name}", leased, Task(name, node.run, is_undo)

    def confirm(self, world: World, task: Task) -> World:
        """Note what became of a node."""
        node = self._node(world, task.node)
        if node.run != task.run or node.state not in OPEN:
            return world
        if task.outcome == "gone":
            return self._settle(world, task.node, node, CANCELLED, node.version)
        is_undone = world.is_cancelled and not task.is_undo and node.state == STARTING
        done = node._replace(state=STARTED, is_leased=False, in_outbox=is_undone, is_undone=is_undone)
        return self._put(world, task.node, done)

    def note(self, world: World, news: News) -> World:
        """Tell the workflow in which state a job is."""
        node = self._node(world, news.node)
        if news.run != node.run and self.bug != "run":
            return world
        if news.version <= node.version and self.bug != "news":
            return world
        if news.state == QUEUED:
            # It was stored, so there is no start to be confirmed; its end may still be asked for.
            asked = node.in_outbox and node.is_undone
            return self._put(
                world, news.node, node._replace(state=STARTED, version=news.version, in_outbox=asked, is_undone=asked)
            )
        return self._settle(world, news.node, node, news.state, news.version)

    def cancel(self, world: World) -> World:
        """Cancel the workflow."""
        for name in self.names:
            node = self._node(world, name)
            if node.state == WAITING:
                world = self._put(world, name, node._replace(state=CANCELLED))
            elif node.state == STARTED:
                world = self._put(world, name, node._replace(in_outbox=True, is_undone=True))
        return world._replace(is_cancelled=True)

    def rerun(self, world: World) -> World:
        """Run what has failed again, with all behind it."""
        again = {name for name in self.names if self._node(world, name).state in FAILED}
        while more := {name for name in self.names if again & set(self.parents[name])} - again:
            again |= more
        if not again or any(self._node(world, name).state in OPEN for name in again):
            return world
        for name in again:
            node = self._node(world, name)
            job = self._jobs(world, name)[node.run - 1]
            # Its dead letter is discarded first, and one that is dead no more refuses the rerun.
            if node.state == DEAD and self.bug != "discard":
                if job.state == QUEUED:
                    return world
                if job.state == DEAD:
                    world = self._put_job(world, name, node.run, Job(CANCELLED, job.version + 1, job.starts, True))
        bits = frozenset(edge for edge in world.bits if edge[0] not in again)
        for name in again:
            node = self._node(world, name)
            left = sum((parent, name) not in bits for parent in self.parents[name])
            state = WAITING if left else STARTING
            # An entry for the rest of a walk stays; the walk begins anew.
            fresh = Node(state, 0, node.run + 1, in_outbox=not left, open=left, is_walked=node.is_walked)
            world = self._put(world, name, fresh)
        return world._replace(bits=bits, is_cancelled=False, reruns=world.reruns - 1)

    def audit(self, world: World, name: str) -> World:
        """Start a node again whose job is not there."""
        node = self._node(world, name)
        fresh = node._replace(
            state=STARTING,
            version=node.version if self.bug == "life" else 0,
            in_outbox=True,
            is_leased=False,
            is_undone=False,
        )
        return self._put(world, name, fresh)

    def _settle(self, world: World, name: str, node: Node, state: str, version: int) -> World:
        ended = node._replace(state=state, version=version, is_leased=False, is_undone=False, in_outbox=False)
        world = self._put(world, name, ended)
        return self._walk(world, name, node.cursor if self.bug == "stale-cursor" else 0)

    def _walk(self, world: World, name: str, start: int = 0) -> World:
        """Tell all behind a node, and all behind those that are dropped on the way, as far as a call goes."""
        budget, dropped = self.edges_a_call, [name]
        for one in dropped:
            node = self._node(world, one)
            if node.state not in (SUCCEEDED, *FAILED):
                continue
            children = [child for child in self.names if one in self.parents[child]]
            first = start if one == name else 0
            told = children[first : first + budget]
            for child in told:
                world, is_dropped = self._tell(world, one, child)
                dropped += [child] * is_dropped
            budget -= len(told)
            if first + len(told) < len(children):
                goes_on = self.bug != "no-cursor"
                node = self._node(world, one)._replace(cursor=first + len(told), is_walked=goes_on)
                world = self._put(world, one, node)
            elif first:
                world = self._put(world, one, self._node(world, one)._replace(cursor=0))
        return world

    def _tell(self, world: World, name: str, child: str) -> tuple[World, bool]:
        """Tell a node of one before it. Returns: whether it is dropped by that."""
        state, policy = self._node(world, name).state, self.policy[child]
        if state == SUCCEEDED or policy == "run":
            return self._pass(world, name, child)
        if (state != DEAD or policy == "cancel") and self._node(world, child).state == WAITING:
            return self._put(world, child, self._node(world, child)._replace(state=CANCELLED)), True
        return world, False

    def _pass(self, world: World, name: str, child: str) -> tuple[World, bool]:
        if (name, child) in world.bits and self.bug != "bits":
            return world, False
        world = world._replace(bits=world.bits | {(name, child)})
        node = self._node(world, child)
        node = node._replace(open=node.open - 1)
        if node.open <= 0 and node.state == WAITING:
            if world.is_cancelled:
                return self._put(world, child, node._replace(state=CANCELLED)), True
            node = node._replace(state=STARTING, in_outbox=True)
        return self._put(world, child, node), False

    # Scripts of the queues' slots.

    def enqueue(self, world: World, task: Task) -> World:
        """Store the job of a node, unless it is there or the lease is over."""
        job = self._jobs(world, task.node)[task.run - 1]
        if job.state not in (NEW, FORGOTTEN):
            return world
        if not task.is_valid and self.bug != "fence":
            return world
        if job.starts:
            raise Broken(f"{task.node} runs twice")
        node = self._node(world, task.node)
        if node.state == CANCELLED and node.run == task.run:
            raise Broken(f"{task.node} runs after its workflow knows that it never will")
        self._check_order(world, task.node)
        return self._put_job(world, task.node, task.run, Job(QUEUED, job.version + 1, 1))

    def _check_order(self, world: World, name: str) -> None:
        for parent in self.parents[name]:
            node = self._node(world, parent)
            job = self._jobs(world, parent)[node.run - 1]
            # One that was redriven had ended before.
            has_ended = node.state in (SUCCEEDED, *FAILED) or job.version > 1
            if not has_ended:
                raise Broken(f"{name} starts before {parent} has ended")

    def end_news(self, world: World, news: News) -> World:
        """Take a job from the outbox that is still as it was told."""
        job = self._jobs(world, news.node)[news.run - 1]
        if job.version != news.version and self.bug != "version":
            return world
        return self._put_job(world, news.node, news.run, job._replace(in_outbox=False))

    # What may happen.

    def _steps_of(self, world: World, under: Under, number: int) -> Iterator[tuple[str, World, Under]]:
        match under:
            case None:
                # Idle dispatchers are alike: the first one of them goes.
                if number and world.dispatchers[number - 1] is None:
                    return
                yield from self.take(world)
                for name, jobs in zip(self.names, world.jobs, strict=True):
                    for run, job in enumerate(jobs, start=1):
                        if job.in_outbox:
                            yield f"take news of {name}", world, News(name, run, job.state, job.version)
            case Task():
                yield "dies", world, None
                yield from self._steps_of_task(world, under)
            case News(is_noted=False):
                yield "dies", world, None
                yield f"note {under.node}", self.note(world, under), under._replace(is_noted=True)
            case News():
                yield "dies", world, None
                yield f"end news of {under.node}", self.end_news(world, under), None

    def _steps_of_task(self, world: World, task: Task) -> Iterator[tuple[str, World, Under]]:
        if task.outcome:
            yield f"confirm {task.node}", self.confirm(world, task), None
            return
        if not task.is_undo:
            after = self.enqueue(world, task)
            if task.is_valid or self.bug == "fence":
                yield f"store {task.node}", after, task._replace(outcome="stored")
                yield f"store {task.node}, and lose the answer", after, task
            return
        job = self._jobs(world, task.node)[task.run - 1]
        if job.state in (NEW, FORGOTTEN):
            yield f"{task.node} is not there", world, task._replace(outcome="gone")
            return
        if job.state == QUEUED:
            ended = Job(CANCELLED, job.version + 1, job.starts, True)
            world = self._put_job(world, task.node, task.run, ended)
        yield f"cancel {task.node}", world, task._replace(outcome="asked")

    def _ends(self, world: World) -> Iterator[tuple[str, World]]:
        for name, jobs in zip(self.names, world.jobs, strict=True):
            for run, job in enumerate(jobs, start=1):
                if job.state == QUEUED:
                    yield f"{name} succeeds", self._end(world, name, run, SUCCEEDED)
                    if name in self.deaths and job.version == 1 and run == 1:
                        yield f"{name} dies", self._end(world, name, run, DEAD)
                is_told = job.state in (SUCCEEDED, CANCELLED) and not job.in_outbox
                if is_told and not self._may_start(world, name, run):
                    yield f"{name} is forgotten", self._put_job(world, name, run, job._replace(state=FORGOTTEN))

    def _may_start(self, world: World, name: str, run: int) -> bool:
        """Return whether a start is under way that is not late: a hash is kept for longer than starts are allowed."""
        return any(
            isinstance(one, Task) and (one.node, one.run, one.is_valid) == (name, run, True)
            for one in world.dispatchers
        )

    def _late(self, world: World) -> Iterator[tuple[str, World]]:
        """Yield the end of each lease: from then on another takes the node, and the start is refused."""
        for name in self.names:
            node = self._node(world, name)
            late = tuple(
                one._replace(is_valid=False) if isinstance(one, Task) and one.node == name else one
                for one in world.dispatchers
            )
            if node.is_leased or late != world.dispatchers:
                yield (
                    f"the lease of {name} ends",
                    self._put(world, name, node._replace(is_leased=False))._replace(dispatchers=late),
                )

    def _requests(self, world: World) -> Iterator[tuple[str, World]]:
        for name in self.names:
            node = self._node(world, name)
            job = self._jobs(world, name)[node.run - 1]
            if job.state == DEAD and world.redrives:
                again = Job(QUEUED, job.version + 1, job.starts, True)
                yield (
                    f"redrive {name}",
                    self._put_job(world, name, node.run, again)._replace(redrives=world.redrives - 1),
                )
        if self.cancels and not world.is_cancelled and any(node.state in (WAITING, *OPEN) for node in world.nodes):
            yield "cancel", self.cancel(world)
        if world.reruns:
            yield "rerun", self.rerun(world)

    def _failovers(self, world: World) -> Iterator[tuple[str, World]]:
        """Yield the loss of each job with a failover of its queue, and what the auditor finds then."""
        for name in self.names:
            node = self._node(world, name)
            job = self._jobs(world, name)[node.run - 1]
            if job.state == QUEUED and world.losses:
                lost = self._put_job(world, name, node.run, Job())
                yield f"Redis loses {name}", lost._replace(losses=world.losses - 1)
            # It looks when nothing has moved for a minute: no news are on their way by then.
            is_still = not any(under and under.node == name for under in world.dispatchers)
            is_missing = job.state in (NEW, FORGOTTEN) and is_still and not node.in_outbox
            if node.state == STARTED and is_missing and self.bug != "audit":
                yield f"the auditor finds {name} missing", self.audit(world, name)

    def _end(self, world: World, name: str, run: int, state: str) -> World:
        job = self._jobs(world, name)[run - 1]
        current = self._node(world, name).run
        if run < current:
            raise Broken(f"{name} runs beside its rerun")
        return self._put_job(world, name, run, Job(state, job.version + 1, job.starts, True))

    def _node(self, world: World, name: str) -> Node:
        return world.nodes[self.names.index(name)]

    def _jobs(self, world: World, name: str) -> tuple[Job, ...]:
        return world.jobs[self.names.index(name)]

    def _put(self, world: World, name: str, node: Node) -> World:
        at = self.names.index(name)
        return world._replace(nodes=(*world.nodes[:at], node, *world.nodes[at + 1 :]))

    def _put_job(self, world: World, name: str, run: int, job: Job) -> World:
        at = self.names.index(name)
        jobs = world.jobs[at]
        changed = (*jobs[: run - 1], job, *jobs[run:])
        return world._replace(jobs=(*world.jobs[:at], changed, *world.jobs[at + 1 :]))


def _with(world: World, number: int, under: Under) -> World:
    others = world.dispatchers
    # Alike in any order: the number of a dispatcher means nothing.
    left = sorted((*others[:number], under, *others[number + 1 :]), key=lambda one: (one is None, repr(one)))
    return world._replace(dispatchers=tuple(left))
