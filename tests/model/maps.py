"""A model of a node with `map`: a job for each item of a list, started some at a time from where the last call stopped.

Each method that is named like a script is that script: one step of one slot. The node lies in the slot of its workflow,
the jobs of its items in that of their queue. Dispatchers take one step at a time, may die before any of them, may lose
an answer and repeat, and may sleep until their lease is over.
"""

from collections.abc import Iterator
from typing import NamedTuple, TypeAlias

from model.explorer import Broken
from model.workflows import CANCELLED, DEAD, FORGOTTEN, NEW, OPEN, QUEUED, STARTED, STARTING, SUCCEEDED, Job

ENDS = (SUCCEEDED, DEAD, CANCELLED)
MOST_ASKED = 2
"""How many clients want a rerun at a time."""


class Item(NamedTuple):
    """What the workflow knows of an item."""

    state: str = ""
    """Empty while nothing is known."""
    version: int = -1


class Entry(NamedTuple):
    """An entry of the outbox."""

    is_there: bool = False
    is_leased: bool = False


class Map(NamedTuple):
    """The node, in the slot of the workflow."""

    items: tuple[Item, ...]
    state: str = STARTING
    is_counted: bool = False
    """Whether it is known how many items there are."""
    next: int = 0
    """The item that is started next."""
    succeeded: int = 0
    failed: int = 0
    start: Entry = Entry(is_there=True)
    undo: Entry = Entry()
    is_cancelled: bool = False
    is_unswept: bool = False
    """Whether the cancellation has yet to look at the node."""
    run: int = 1


class Task(NamedTuple):
    """What a dispatcher has under a lease."""

    is_undo: bool
    start: int = 0
    """The item from which it starts jobs."""
    open: tuple[int, ...] = ()
    """The items that are to be started, as they were when it was taken."""
    is_valid: bool = True
    """Whether the lease, and with it the time for starts, is not over."""
    is_done: bool = False
    absent: tuple[int, ...] = ()
    run: int = 1


class News(NamedTuple):
    """News on their way."""

    item: int
    state: str
    version: int
    run: int = 1
    is_noted: bool = False


class Rerun(NamedTuple):
    """A rerun that a client of ingest has asked for, and that was decided on what the node was like."""

    seen: Map
    dead: tuple[int, ...]
    """The items that are dead, whose jobs are discarded first."""


Under: TypeAlias = Task | News | None


class World(NamedTuple):
    """All there is."""

    map: Map
    jobs: tuple[tuple[Job, ...], ...]
    """Those of each run, by item."""
    dispatchers: tuple[Under, ...]
    deaths: int
    redrives: int
    losses: int
    reruns: int
    asked: tuple[Rerun, ...] = ()
    """The reruns under way."""


class Maps:
    """A map of some items, of which `at_once` are started in a call. `bug` is a mistake that is planted.

    Jobs of a map that is `endless` end only when they are cancelled.
    """

    def __init__(
        self,
        count: int,
        *,
        at_once: int = 1,
        max_failures: int = 0,
        deaths: int = 0,
        redrives: int = 0,
        losses: int = 0,
        reruns: int = 0,
        cancels: bool = False,
        endless: bool = False,
        dispatchers: int = 2,
        bug: str = "",
    ) -> None:
        self.count, self.at_once, self.max_failures = count, at_once, max_failures
        self.deaths, self.redrives, self.losses, self.reruns = deaths, redrives, losses, reruns
        self.cancels, self.is_endless = cancels, endless
        self.dispatchers, self.bug = dispatchers, bug

    def start(self) -> World:
        """Return a node whose list is there."""
        items, jobs = (Item(),) * self.count, ((Job(),) * self.count,) * (self.reruns + 1)
        idle = (None,) * self.dispatchers
        return World(Map(items), jobs, idle, self.deaths, self.redrives, self.losses, self.reruns)

    def steps(self, world: World) -> Iterator[tuple[str, World]]:
        """Yield each step that may happen, in words, and what is then."""
        for number, under in enumerate(world.dispatchers):
            for label, after, left in self._steps_of(world, under, number):
                yield f"dispatcher {number}: {label}", _with(after, number, left)
        yield from self._ends(world)
        yield from self._late(world)
        yield from self._requests(world)
        yield from self._reruns(world)
        yield from self._failovers(world)

    def is_good(self, world: World) -> bool:
        """Return whether everything may stay as it is here."""
        node = world.map
        if any(world.dispatchers) or world.asked or node.start.is_there or node.undo.is_there or node.is_unswept:
            return False
        return node.state in ENDS and not any(
            job.state == QUEUED or job.in_outbox for jobs in world.jobs for job in jobs
        )

    # Scripts of the workflow's slot.

    def take(self, world: World) -> Iterator[tuple[str, World, Under]]:
        """Yield each entry of the outbox that may be taken."""
        node = world.map
        if node.start.is_there and not node.start.is_leased:
            if node.is_cancelled:
                undone = node._replace(start=Entry(), undo=Entry(is_there=True, is_leased=True))
                yield "take the start of what is cancelled", self._put(world, undone), Task(is_undo=True, run=node.run)
            elif node.state not in OPEN:
                yield "drop a start", self._put(world, node._replace(start=Entry())), None
            else:
                leased = self._put(world, node._replace(start=node.start._replace(is_leased=True)))
                upto = min(self.count, node.next + self.at_once)
                unknown = ("", QUEUED) if self.bug == "known" else ("",)
                open_ = tuple(at for at in range(node.next, upto) if node.items[at].state in unknown)
                yield (
                    f"take items from {node.next}",
                    leased,
                    Task(is_undo=False, start=node.next, open=open_, run=node.run),
                )
        if node.undo.is_there and not node.undo.is_leased:
            if node.state not in OPEN:
                yield "drop an undo", self._put(world, node._replace(undo=Entry())), None
            else:
                leased = self._put(world, node._replace(undo=node.undo._replace(is_leased=True)))
                yield "take all items, to end them", leased, Task(is_undo=True, run=node.run)
        if node.is_unswept:
            swept = node._replace(is_unswept=False)
            if node.state == STARTED:
                swept = swept._replace(undo=Entry(is_there=True))
            yield "sweep", self._put(world, swept), None

    def confirm(self, world: World, task: Task) -> World:
        """Note what became of a round of items."""
        node = world.map
        if task.run != node.run and self.bug != "run-confirm":
            return world
        if not task.is_undo and task.start != node.next and self.bug != "late-confirm":
            # Another one has confirmed these, and the entry may be under the lease of a third.
            return world
        node = node._replace(undo=Entry()) if task.is_undo else node._replace(start=Entry())
        if node.state not in OPEN:
            return self._put(world, node)
        if not task.is_undo:
            upto = min(self.count, task.start + self.at_once)
            node = node._replace(is_counted=True, next=upto)
            if upto < self.count and self.bug != "cursor":
                node = node._replace(start=Entry(is_there=True))
            node = self._settle(world, node)
            if node.is_cancelled and self.bug != "late-undo":
                node = node._replace(undo=Entry(is_there=True))
            return self._put(world, node)
        node = node._replace(is_counted=True, next=self.count)
        for item in task.absent:
            node = self._note_item(node, item, CANCELLED, 0)
        return self._put(world, self._settle(world, node))

    def note(self, world: World, news: News) -> World:
        """Tell the workflow in which state the job of an item is."""
        if news.run != world.map.run and self.bug != "run-news":
            return world
        node = self._note_item(world.map, news.item, news.state, news.version)
        return world if node == world.map else self._put(world, self._settle(world, node))

    def audit(self, world: World, item: int) -> World:
        """Start items again from one whose job is not there."""
        node = world.map
        items = (*node.items[:item], Item(), *node.items[item + 1 :])
        back = node.next if self.bug == "audit-cursor" else min(node.next, item)
        node = node._replace(items=items, next=back, state=STARTING, start=Entry(is_there=True))
        return self._put(world, node)

    def _note_item(self, node: Map, item: int, state: str, version: int) -> Map:
        held = node.items[item]
        if version <= held.version and self.bug != "twice":
            return node
        if held.state in ENDS:
            node = self._count(node, held.state, -1)
        if state in ENDS:
            node = self._count(node, state, 1)
        items = (*node.items[:item], Item(state, version), *node.items[item + 1 :])
        return node._replace(items=items)

    def _count(self, node: Map, state: str, by: int) -> Map:
        if state == SUCCEEDED:
            return node._replace(succeeded=node.succeeded + by)
        return node._replace(failed=node.failed + by)

    def _settle(self, world: World, node: Map) -> Map:
        if not node.is_counted or node.state == SUCCEEDED:
            return node
        state = STARTING if node.next < self.count else STARTED
        all_of_them = 1 if self.bug == "first" else self.count
        if node.succeeded + node.failed >= all_of_them:
            allowed = node.failed <= self.max_failures
            state = SUCCEEDED if allowed else CANCELLED if node.is_cancelled else DEAD
        if state == SUCCEEDED:
            self._check_success(world, node)
        if state not in ENDS or self.bug == "redriven-cursor":
            return node._replace(state=state, start=Entry() if state in ENDS else node.start)
        # None is to be started any more, whatever call would have gone on; one that is redriven is looked for.
        return node._replace(state=state, start=Entry(), next=self.count)

    def _check_success(self, world: World, node: Map) -> None:
        for item, job in enumerate(world.jobs[node.run - 1]):
            # One that was redriven had ended before.
            if job.state == NEW or (job.state == QUEUED and job.version == 1):
                raise Broken(f"the map has succeeded, and item {item} has not ended")

    # Scripts of the queue's slot.

    def enqueue(self, world: World, item: int, task: Task) -> World:
        """Store the job of an item, unless it is there or the lease is over."""
        job = self._job(world, task.run, item)
        if job.state not in (NEW, FORGOTTEN) or (not task.is_valid and self.bug != "fence"):
            return world
        if job.starts:
            raise Broken(f"item {item} runs twice")
        if task.run != world.map.run:
            raise Broken(f"item {item} of an earlier run is started beside its rerun")
        if world.map.items[item].state == CANCELLED:
            raise Broken(f"item {item} runs after the workflow knows that it never will")
        return self._put_job(world, task.run, item, Job(QUEUED, job.version + 1, 1))

    def end_news(self, world: World, news: News) -> World:
        """Take a job from the outbox that is still as it was told."""
        job = self._job(world, news.run, news.item)
        if job.version != news.version:
            return world
        return self._put_job(world, news.run, news.item, job._replace(in_outbox=False))

    # What may happen.

    def _steps_of(self, world: World, under: Under, number: int) -> Iterator[tuple[str, World, Under]]:
        match under:
            case None:
                # Idle dispatchers are alike: the first one of them goes.
                if number and world.dispatchers[number - 1] is None:
                    return
                yield from self.take(world)
                for run, item, job in self._all_jobs(world):
                    if job.in_outbox:
                        yield f"take news of item {item} of run {run}", world, News(item, job.state, job.version, run)
            case Task():
                yield "dies", world, None
                yield from self._steps_of_task(world, under)
            case News(is_noted=False):
                yield "dies", world, None
                yield f"note item {under.item}", self.note(world, under), under._replace(is_noted=True)
            case News():
                yield "dies", world, None
                yield f"end news of item {under.item}", self.end_news(world, under), None

    def _steps_of_task(self, world: World, task: Task) -> Iterator[tuple[str, World, Under]]:
        if task.is_done:
            yield "confirm", self.confirm(world, task), None
        elif task.is_undo:
            jobs = world.jobs[task.run - 1]
            absent = tuple(item for item, job in enumerate(jobs) if job.state in (NEW, FORGOTTEN))
            for item, job in enumerate(jobs):
                if job.state == QUEUED:
                    world = self._put_job(
                        world, task.run, item, Job(CANCELLED, job.version + 1, job.starts, in_outbox=True)
                    )
            yield "cancel all items", world, task._replace(is_done=True, absent=absent)
        elif task.is_valid or self.bug == "fence":
            for item in task.open:
                world = self.enqueue(world, item, task)
            yield "store items", world, task._replace(is_done=True)
            yield "store items, and lose the answer", world, task

    def _ends(self, world: World) -> Iterator[tuple[str, World]]:
        for run, item, job in self._all_jobs(world):
            if job.state == QUEUED and not self.is_endless:
                done = Job(SUCCEEDED, job.version + 1, job.starts, in_outbox=True)
                yield f"item {item} succeeds", self._put_job(world, run, item, done)
                if world.deaths:
                    dead = self._put_job(world, run, item, done._replace(state=DEAD))
                    yield f"item {item} dies", dead._replace(deaths=world.deaths - 1)
            is_told = job.state in (SUCCEEDED, CANCELLED) and not job.in_outbox
            # A hash is kept for longer than starts are allowed.
            may_start = any(
                isinstance(one, Task) and one.is_valid and one.run == run and item in one.open
                for one in world.dispatchers
            )
            if is_told and not may_start:
                yield f"item {item} is forgotten", self._put_job(world, run, item, job._replace(state=FORGOTTEN))

    def _late(self, world: World) -> Iterator[tuple[str, World]]:
        """Yield the end of the leases: from then on another takes the node, and starts are refused."""
        node = world.map
        late = tuple(one._replace(is_valid=False) if isinstance(one, Task) else one for one in world.dispatchers)
        if node.start.is_leased or node.undo.is_leased or late != world.dispatchers:
            freed = node._replace(start=node.start._replace(is_leased=False), undo=node.undo._replace(is_leased=False))
            yield "the leases end", self._put(world, freed)._replace(dispatchers=_sorted(late))

    def _requests(self, world: World) -> Iterator[tuple[str, World]]:
        for run, item, job in self._all_jobs(world):
            if job.state == DEAD and world.redrives:
                if run != world.map.run:
                    raise Broken(f"item {item} of an earlier run can be redriven beside its rerun")
                again = Job(QUEUED, job.version + 1, job.starts, in_outbox=True)
                yield (
                    f"redrive item {item}",
                    self._put_job(world, run, item, again)._replace(redrives=world.redrives - 1),
                )
        if self.cancels and not world.map.is_cancelled and world.map.state in OPEN:
            yield "cancel", self._put(world, world.map._replace(is_cancelled=True, is_unswept=True))

    def _reruns(self, world: World) -> Iterator[tuple[str, World]]:
        """Yield the steps of clients that have the node run again, each of which may be the last."""
        node = world.map
        if world.reruns and node.state in ENDS and len(world.asked) < MOST_ASKED:
            dead = tuple(item for item, held in enumerate(node.items) if held.state == DEAD)
            if any(held.state == QUEUED for held in node.items) and self.bug != "open-items":
                return  # one that was redriven after its map had succeeded
            asked = world._replace(asked=_sorted_reruns((*world.asked, Rerun(node, dead))))
            yield "decide on a rerun", asked
        for one in dict.fromkeys(world.asked):
            rest = list(world.asked)
            rest.remove(one)
            left = world._replace(asked=tuple(rest))
            yield "a client of a rerun dies", left
            if one.dead:
                yield from self._discard(world, left, one)
            elif _turn(node) == _turn(one.seen) or self.bug == "turn":
                yield "run again", self.rerun(left, one)

    def _discard(self, world: World, left: World, one: Rerun) -> Iterator[tuple[str, World]]:
        """Yield the discarding of the first dead job of a rerun; one that is dead no more ends it."""
        item, *others = one.dead
        job = self._job(world, one.seen.run, item)
        if job.state == QUEUED and self.bug != "discard":
            yield "a rerun is refused", left
            return
        after = world._replace(asked=_sorted_reruns((*left.asked, one._replace(dead=tuple(others)))))
        if job.state == DEAD and self.bug != "discard":
            after = self._put_job(after, one.seen.run, item, Job(CANCELLED, job.version + 1, job.starts, True))
        yield f"discard item {item}", after

    def rerun(self, world: World, one: Rerun) -> World:
        """Have the node run again, with new jobs of all items."""
        for item, job in enumerate(world.jobs[world.map.run - 1]):
            if job.state == QUEUED:
                raise Broken(f"item {item} runs beside its rerun")
        fresh = Map((Item(),) * self.count, run=one.seen.run + 1)
        return self._put(world, fresh)._replace(reruns=world.reruns - 1)

    def _failovers(self, world: World) -> Iterator[tuple[str, World]]:
        """Yield the loss of each job with a failover of its queue, and what the auditor finds then."""
        node = world.map
        for item, job in enumerate(world.jobs[node.run - 1]):
            if job.state == QUEUED and world.losses:
                yield (
                    f"Redis loses item {item}",
                    self._put_job(world, node.run, item, Job())._replace(losses=world.losses - 1),
                )
            # It looks when nothing has moved for a minute: no news are on their way by then.
            is_still = not any(world.dispatchers) and not node.start.is_there and not node.undo.is_there
            is_open = item < node.next and node.items[item].state in ("", QUEUED)
            if node.state in OPEN and is_still and is_open and job.state in (NEW, FORGOTTEN) and self.bug != "audit":
                yield f"the auditor finds item {item} missing", self.audit(world, item)

    def _put(self, world: World, node: Map) -> World:
        return world._replace(map=node)

    def _put_job(self, world: World, run: int, item: int, job: Job) -> World:
        jobs = world.jobs[run - 1]
        jobs = (*jobs[:item], job, *jobs[item + 1 :])
        return world._replace(jobs=(*world.jobs[: run - 1], jobs, *world.jobs[run:]))

    def _job(self, world: World, run: int, item: int) -> Job:
        return world.jobs[run - 1][item]

    def _all_jobs(self, world: World) -> Iterator[tuple[int, int, Job]]:
        """Yield each job with its run and its item."""
        for run, jobs in enumerate(world.jobs, 1):
            for item, job in enumerate(jobs):
                yield run, item, job


def _with(world: World, number: int, under: Under) -> World:
    others = world.dispatchers
    return world._replace(dispatchers=_sorted((*others[:number], under, *others[number + 1 :])))


def _sorted(dispatchers: tuple[Under, ...]) -> tuple[Under, ...]:
    # Alike in any order: the number of a dispatcher means nothing.
    return tuple(sorted(dispatchers, key=lambda one: (one is None, repr(one))))


def _turn(node: Map) -> Map:
    """Return what moves the turn of the workflow when it changes."""
    return node._replace(items=(), start=Entry(), undo=Entry(), succeeded=0, failed=0)


def _sorted_reruns(asked: tuple[Rerun, ...]) -> tuple[Rerun, ...]:
    return tuple(sorted(asked, key=repr))
