"""A model of batches. Each method that is named like a script is that script: one step of one slot.

The batch lies in a slot of its own, and each job in that of its queue. Submitters and dispatchers take one step at a
time, may die before any of them, and may sleep until their promise or lease is over.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple, TypeAlias

from model.explorer import Broken

PROMISED, OPEN = "promised", "open"
SUCCEEDED, DEAD, CANCELLED = "succeeded", "dead", "cancelled"
NEW, QUEUED, FORGOTTEN = "new", "queued", "forgotten"
PENDING = (PROMISED, OPEN)


class Mark(NamedTuple):
    """A member, in the slot of the batch. None where there is none."""

    state: str
    version: int = 0
    is_run_out: bool = False
    """Whether a promise is over."""
    promises: int = 1
    """How often it was promised: a look at its job names the promise that it has seen."""


class Job(NamedTuple):
    """A job, in the slot of its queue."""

    state: str = NEW
    version: int = 0
    starts: int = 0
    in_outbox: bool = False


class Callback(NamedTuple):
    """The callback of an event, in the slot of the batch."""

    mark: str = ""
    """'' until its event has happened, then `starting`, `started`, or how its job has ended."""
    version: int = 0
    in_outbox: bool = False
    is_leased: bool = False


class Adds(NamedTuple):
    """What a submitter is about to do for a member."""

    member: str
    by: str = ""
    step: str = "promise"
    is_valid: bool = True
    """Whether the promise, and with it the time for the job, is not over."""
    may_repeat: bool = False
    """Whether it may promise once more, for a request that is repeated."""


class News(NamedTuple):
    """News on their way, of a member or of a callback."""

    name: str
    state: str
    version: int
    is_noted: bool = False


class Start(NamedTuple):
    """A callback that a dispatcher has under a lease."""

    event: str
    is_valid: bool = True
    is_stored: bool = False


class Look(NamedTuple):
    """A look at a promise that has run out."""

    member: str
    promises: int
    found: str = ""
    """`there` or `absent`, once the queue has said so."""


Under: TypeAlias = News | Start | Look | None


class World(NamedTuple):
    """All there is."""

    marks: tuple[Mark | None, ...]
    jobs: tuple[Job, ...]
    """Of the members, and then of the callbacks."""
    callbacks: tuple[Callback, ...]
    submitters: tuple[Adds, ...]
    dispatchers: tuple[Under, ...]
    is_closed: bool = False
    is_cancelled: bool = False
    redrives: int = 0
    pending: int = 0
    """What a planted bug counts in place of marks."""


class Batches:
    """A batch, given as its members and those that members add. `bug` is a mistake that is planted."""

    def __init__(
        self,
        members: str,
        events: Sequence[str] = ("on_complete",),
        *,
        added: Sequence[tuple[str, str]] = (),
        deaths: str = "",
        redrives: int = 0,
        cancels: bool = False,
        repeats: bool = False,
        dispatchers: int = 2,
        bug: str = "",
    ) -> None:
        """Take the names of members, the events with a callback, and who is added by which member."""
        self.first, self.added, self.events = members, tuple(added), tuple(events)
        self.members = (*members, *(name for name, _ in added))
        self.names = (*self.members, *events)
        self.deaths, self.redrives, self.cancels, self.repeats = deaths, redrives, cancels, repeats
        self.dispatchers, self.bug = dispatchers, bug

    def start(self) -> World:
        """Return an open batch, and a submitter for each member."""
        return World(
            marks=(None,) * len(self.members),
            jobs=(Job(),) * len(self.names),
            callbacks=(Callback(),) * len(self.events),
            submitters=tuple(Adds(name, may_repeat=self.repeats) for name in self.first)
            + tuple(Adds(name, by) for name, by in self.added),
            dispatchers=(None,) * self.dispatchers,
            redrives=self.redrives,
        )

    def steps(self, world: World) -> Iterator[tuple[str, World]]:
        """Yield each step that may happen, in words, and what is then."""
        for at, adds in enumerate(world.submitters):
            for label, after, left in self._steps_of_submitter(world, adds):
                rest = (*after.submitters[:at], *((left,) if left else ()), *after.submitters[at + 1 :])
                yield label, after._replace(submitters=rest)
        for number, under in enumerate(world.dispatchers):
            for label, after, still in self._steps_of_dispatcher(world, under, number):
                yield f"dispatcher {number}: {label}", _with(after, number, still)
        yield from self._ends(world)
        yield from self._late(world)
        yield from self._requests(world)

    def is_good(self, world: World) -> bool:
        """Return whether everything may stay as it is here."""
        if any(world.dispatchers) or world.submitters or not world.is_closed:
            return False
        if any(job.in_outbox or job.state == QUEUED for job in world.jobs):
            return False
        if any(callback.in_outbox for callback in world.callbacks):
            return False
        marks = [mark for mark in world.marks if mark]
        if any(mark.state in PENDING for mark in marks):
            return False
        wanted = {"on_complete"}
        if not world.is_cancelled and all(mark.state == SUCCEEDED for mark in marks):
            wanted.add("on_success")
        fired = {event for event, one in zip(self.events, world.callbacks, strict=True) if one.mark}
        started = {event for event in self.events if self._job(world, event).starts}
        has_died = any(mark.state == DEAD for mark in marks)
        if has_died:
            wanted.add("on_death")
        return fired == started and wanted & set(self.events) <= fired

    # Scripts of the batch's slot.

    def promise(self, world: World, adds: Adds) -> World | None:
        """Promise a member; None when the batch takes none."""
        by = self._mark(world, adds.by) if adds.by else None
        may_add = not world.is_closed or (by is not None and by.state in (*PENDING, DEAD)) or self.bug == "adds"
        if world.is_cancelled or not may_add:
            return None
        mark = self._mark(world, adds.member)
        if mark is None:
            return self._put(world, adds.member, Mark(PROMISED))._replace(pending=world.pending + 1)
        if mark.state != PROMISED:
            return world
        return self._put(world, adds.member, mark._replace(is_run_out=False, promises=mark.promises + 1))

    def confirm(self, world: World, name: str, what: str, promises: int = 0) -> World:
        """Note what became of a promise: its job is stored, or is not there."""
        mark = self._mark(world, name)
        if mark is None or mark.state != PROMISED:
            return world
        if what == "there":
            return self._put(world, name, Mark(OPEN))
        if mark.promises != promises and self.bug != "anew":
            return world
        return self._settle(self._put(world, name, None))

    def note(self, world: World, news: News) -> World:
        """Tell the batch in which state a job is."""
        if news.name in self.events:
            return self._note_callback(world, news)
        mark = self._mark(world, news.name) or Mark(PROMISED)
        if mark.state != PROMISED and news.version <= mark.version and self.bug not in ("news", "counts"):
            return world
        state = OPEN if news.state == QUEUED else news.state
        step = {True: 1, False: -1}[state == OPEN]
        after = self._put(world, news.name, Mark(state, news.version))
        if self.bug == "counts":
            after = after._replace(pending=world.pending + step)
        return self._settle(after)

    def _note_callback(self, world: World, news: News) -> World:
        at = self.events.index(news.name)
        one = world.callbacks[at]
        if news.version <= one.version:
            return world
        return self._put_callback(world, at, Callback(news.state, news.version))

    def close(self, world: World) -> World:
        """Close the batch."""
        return self._settle(world._replace(is_closed=True))

    def cancel(self, world: World) -> World:
        """Cancel the batch. What follows for its members, `undo` does one by one."""
        return self._settle(world._replace(is_closed=True, is_cancelled=True))

    def take(self, world: World) -> Iterator[tuple[str, World, Under]]:
        """Yield each callback that may be taken."""
        for at, one in enumerate(world.callbacks):
            if one.in_outbox and not one.is_leased and one.mark == "starting":
                yield (
                    f"take {self.events[at]}",
                    self._put_callback(world, at, one._replace(is_leased=True)),
                    Start(self.events[at]),
                )

    def confirm_start(self, world: World, start: Start) -> World:
        """Note that the job of a callback is stored."""
        at = self.events.index(start.event)
        one = world.callbacks[at]
        if one.mark != "starting":
            return world
        return self._put_callback(world, at, Callback("started", one.version))

    def _settle(self, world: World) -> World:
        """Fire what follows from the marks."""
        marks = [mark for mark in world.marks if mark]
        if any(mark.state == DEAD for mark in marks):
            world = self._fire(world, "on_death")
        is_settled = not any(mark.state in PENDING for mark in marks)
        if self.bug == "counts":
            is_settled = world.pending <= 0
        if not world.is_closed or not is_settled:
            return world
        world = self._fire(world, "on_complete")
        has_succeeded = all(mark.state == SUCCEEDED for mark in marks)
        if self.bug == "dead":
            has_succeeded = all(mark.state in (SUCCEEDED, DEAD) for mark in marks)
        if world.is_cancelled or not has_succeeded:
            return world
        return self._fire(world, "on_success")

    def _fire(self, world: World, event: str) -> World:
        if event not in self.events:
            return world
        at = self.events.index(event)
        if world.callbacks[at].mark and self.bug != "fires":
            return world
        if world.callbacks[at].mark:
            # Without a mark its job would have an id of its own each time.
            raise Broken(f"{event} fires twice")
        self._check_event(world, event)
        return self._put_callback(world, at, Callback("starting", in_outbox=True))

    def _check_event(self, world: World, event: str) -> None:
        """Complain of an event that has not happened, by the jobs themselves."""
        for name in self.members:
            job = self._job(world, name)
            mark = self._mark(world, name)
            if event == "on_complete" and job.starts and job.state == QUEUED and job.version == 1:
                raise Broken(f"on_complete while {name} has not ended")
            if event == "on_complete" and mark is None and job.starts:
                raise Broken(f"on_complete without {name}, which is stored")
            if event == "on_success" and job.state in (DEAD, CANCELLED):
                raise Broken(f"on_success although {name} is {job.state}")

    # Scripts of the queues' slots.

    def enqueue(self, world: World, name: str, *, is_valid: bool) -> World:
        """Store a job, unless it is there or its time is over."""
        job = self._job(world, name)
        if job.state not in (NEW, FORGOTTEN) or (not is_valid and self.bug != "fence"):
            return world
        if job.starts:
            raise Broken(f"{name} runs twice")
        if name in self.members and self._mark(world, name) is None:
            raise Broken(f"{name} is stored after its batch has given it up")
        return self._put_job(world, name, Job(QUEUED, job.version + 1, 1))

    def end_news(self, world: World, news: News) -> World:
        """Take a job from the outbox that is still as it was told."""
        job = self._job(world, news.name)
        if job.version != news.version and self.bug != "version":
            return world
        return self._put_job(world, news.name, job._replace(in_outbox=False))

    # What may happen.

    def _steps_of_submitter(self, world: World, adds: Adds) -> Iterator[tuple[str, World, Adds | None]]:
        name = adds.member
        if adds.step == "promise":
            # A member adds while its handler runs.
            if adds.by and self._job(world, adds.by).state != QUEUED:
                yield f"{adds.by} adds nothing", world, None
                return
            after = self.promise(world, adds)
            if after is None:
                yield f"{name} is refused", world, None
            else:
                yield f"promise {name}", after, adds._replace(step="store")
            return
        yield f"the submitter of {name} dies", world, None
        if adds.step == "store":
            yield f"store {name}", self.enqueue(world, name, is_valid=adds.is_valid), adds._replace(step="confirm")
            if adds.may_repeat and (again := self.promise(world, adds)):
                yield f"promise {name} again", again, adds._replace(is_valid=True, may_repeat=False)
            return
        if self._job(world, name).starts:
            yield f"confirm {name}", self.confirm(world, name, "there"), None

    def _steps_of_dispatcher(self, world: World, under: Under, number: int) -> Iterator[tuple[str, World, Under]]:
        if under is None:
            # Idle dispatchers are alike: the first one of them goes.
            if not number or world.dispatchers[number - 1] is not None:
                yield from self._takes(world)
            return
        yield "dies", world, None
        match under:
            case News():
                yield from self._tells(world, under)
            case Look(name, promises, ""):
                there = self._job(world, name).state not in (NEW, FORGOTTEN)
                yield f"ask for {name}", world, under._replace(found="there" if there else "absent")
            case Look(name, promises, found):
                yield f"{name} is {found}", self.confirm(world, name, found, promises), None
            case Start():
                yield from self._starts(world, under)

    def _takes(self, world: World) -> Iterator[tuple[str, World, Under]]:
        yield from self.take(world)
        for name, job in zip(self.names, world.jobs, strict=True):
            if job.in_outbox:
                yield f"take news of {name}", world, News(name, job.state, job.version)
        for name, mark in zip(self.members, world.marks, strict=True):
            if mark and mark.state == PROMISED and (mark.is_run_out or self.bug == "early"):
                yield f"look at {name}", world, Look(name, mark.promises)

    def _tells(self, world: World, news: News) -> Iterator[tuple[str, World, Under]]:
        if news.is_noted:
            yield f"end news of {news.name}", self.end_news(world, news), None
        else:
            yield f"note {news.name}", self.note(world, news), news._replace(is_noted=True)

    def _starts(self, world: World, start: Start) -> Iterator[tuple[str, World, Under]]:
        if not start.is_stored:
            after = self.enqueue(world, start.event, is_valid=start.is_valid)
            yield f"store {start.event}", after, start._replace(is_stored=True)
        elif self._job(world, start.event).starts:
            yield f"confirm {start.event}", self.confirm_start(world, start), None

    def _ends(self, world: World) -> Iterator[tuple[str, World]]:
        for name, job in zip(self.names, world.jobs, strict=True):
            if job.state == QUEUED:
                yield f"{name} succeeds", self._end(world, name, SUCCEEDED)
                if name in self.deaths and job.version == 1:
                    yield f"{name} dies", self._end(world, name, DEAD)
                if world.is_cancelled and name in self.members:
                    yield f"{name} is cancelled", self._end(world, name, CANCELLED)
            is_told = job.state in (SUCCEEDED, CANCELLED) and not job.in_outbox
            if is_told and not self._may_start(world, name):
                yield f"{name} is forgotten", self._put_job(world, name, job._replace(state=FORGOTTEN))

    def _may_start(self, world: World, name: str) -> bool:
        """Return whether a start is under way that is not late: a hash is kept for longer than starts are allowed."""
        starts = [one for one in world.dispatchers if isinstance(one, Start)]
        return any(one.event == name and one.is_valid for one in starts) or any(
            one.member == name and one.is_valid for one in world.submitters
        )

    def _late(self, world: World) -> Iterator[tuple[str, World]]:
        """Yield the end of each promise and of each lease: what comes later is refused."""
        for name, mark in zip(self.members, world.marks, strict=True):
            if mark and mark.state == PROMISED and not mark.is_run_out:
                late = tuple(one._replace(is_valid=False) if one.member == name else one for one in world.submitters)
                yield (
                    f"the promise of {name} ends",
                    self._put(world, name, mark._replace(is_run_out=True))._replace(submitters=late),
                )
        for at, one in enumerate(world.callbacks):
            late_starts = tuple(
                under._replace(is_valid=False) if isinstance(under, Start) and under.event == self.events[at] else under
                for under in world.dispatchers
            )
            if one.is_leased or late_starts != world.dispatchers:
                after = self._put_callback(world, at, one._replace(is_leased=False))
                yield f"the lease of {self.events[at]} ends", after._replace(dispatchers=late_starts)

    def _requests(self, world: World) -> Iterator[tuple[str, World]]:
        if not world.is_closed:
            yield "close", self.close(world)
        if self.cancels and not world.is_cancelled and any(mark and mark.state in PENDING for mark in world.marks):
            yield "cancel", self.cancel(world)
        for name in self.members:
            job = self._job(world, name)
            if job.state == DEAD and world.redrives:
                again = Job(QUEUED, job.version + 1, job.starts, in_outbox=True)
                yield f"redrive {name}", self._put_job(world, name, again)._replace(redrives=world.redrives - 1)

    def _end(self, world: World, name: str, state: str) -> World:
        job = self._job(world, name)
        return self._put_job(world, name, Job(state, job.version + 1, job.starts, in_outbox=True))

    def _mark(self, world: World, name: str) -> Mark | None:
        return world.marks[self.members.index(name)]

    def _job(self, world: World, name: str) -> Job:
        return world.jobs[self.names.index(name)]

    def _put(self, world: World, name: str, mark: Mark | None) -> World:
        at = self.members.index(name)
        return world._replace(marks=(*world.marks[:at], mark, *world.marks[at + 1 :]))

    def _put_job(self, world: World, name: str, job: Job) -> World:
        at = self.names.index(name)
        return world._replace(jobs=(*world.jobs[:at], job, *world.jobs[at + 1 :]))

    def _put_callback(self, world: World, at: int, callback: Callback) -> World:
        return world._replace(callbacks=(*world.callbacks[:at], callback, *world.callbacks[at + 1 :]))


def _with(world: World, number: int, under: Under) -> World:
    others = world.dispatchers
    # Alike in any order: the number of a dispatcher means nothing.
    left = sorted((*others[:number], under, *others[number + 1 :]), key=lambda one: (one is None, repr(one)))
    return world._replace(dispatchers=tuple(left))
