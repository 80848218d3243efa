"""A model of a job that calls another one. Each step is one script, or one look at Redis.

The caller runs in workers, of which each may die before any step, or go on as a zombie after another one has the job.
What tells the called job of its caller, and the caller of its end, is the protocol of dependencies.
"""

from collections.abc import Iterator
from typing import NamedTuple, TypeAlias

from model.explorer import Broken

NEW, QUEUED, RUNNING, BLOCKED, ENDED, FORGOTTEN, DONE = (
    "new",
    "queued",
    "running",
    "blocked",
    "ended",
    "forgotten",
    "done",
)


class Caller(NamedTuple):
    """The job whose handler calls."""

    state: str = QUEUED
    token: int = 0
    step: str = ""
    """Nothing, `calling` with the id of the called job, or `call` with its result."""
    is_open: bool = False
    """Whether the called job blocks it."""


class Called(NamedTuple):
    """The job that is called."""

    state: str = NEW
    lives: int = 0
    knows: bool = False
    """Whether it has noted its caller."""
    in_outbox: bool = False
    is_let_go: bool = False


class Worker(NamedTuple):
    """One delivery of the caller."""

    at: str
    token: int
    may_store: bool = False
    """Whether the time is not over in which it may store what it has decided on."""


class World(NamedTuple):
    """Both jobs, and all that is under way."""

    caller: Caller
    called: Called
    workers: tuple[Worker | None, ...]
    linkers: tuple[str, ...]
    """What dispatchers have to do next: `tell`, `end`, `listen`, `resolve`, or nothing."""
    losses: int


Steps: TypeAlias = Iterator[tuple[str, World]]


class Calls:
    """A caller and a called job. `bug` names a mistake that is planted."""

    def __init__(self, *, losses: int = 2, workers: int = 2, bug: str = "") -> None:
        """Take how often a worker dies, or its lease is lost."""
        self.losses, self.workers, self.bug = losses, workers, bug

    def start(self) -> World:
        """Return a caller that is ready."""
        return World(Caller(), Called(), (None,) * self.workers, ("",), self.losses)

    def is_good(self, world: World) -> bool:
        """Return whether the caller has its result."""
        return world.caller.state == DONE

    def steps(self, world: World) -> Steps:
        """Yield all that may happen next."""
        for at, worker in enumerate(world.workers):
            if worker is None:
                if world.caller.state == QUEUED and (not at or world.workers[at - 1] is not None):
                    token = world.caller.token + 1
                    taken = world._replace(caller=world.caller._replace(state=RUNNING, token=token))
                    yield f"claim {token}", self._go(taken, at, Worker("look", token))
                continue
            yield f"{worker.at} by {worker.token}", self._work(world, at, worker)
            if world.losses:
                dead = self._go(world, at, None)
                yield f"{worker.token} dies", dead._replace(losses=world.losses - 1)
        if world.caller.state == RUNNING and world.losses:
            ready = world.caller._replace(state=QUEUED)
            yield "the lease is lost", world._replace(caller=ready, losses=world.losses - 1)
        elif world.caller.state == RUNNING and not any(
            one and one.token == world.caller.token for one in world.workers
        ):
            yield "the lease of a dead worker ends", world._replace(caller=world.caller._replace(state=QUEUED))
        yield from self._live(world)
        for at, doing in enumerate(world.linkers):
            yield from self._dispatch(world, at, doing)

    def _work(self, world: World, at: int, worker: Worker) -> World:
        step = getattr(self, f"_{worker.at}")
        after: World = step(world, at, worker)
        return after

    # What a worker does.

    def _look(self, world: World, at: int, worker: Worker) -> World:
        if world.caller.step == "call":
            return self._next(world, at, worker, "finish")
        if not world.caller.step or world.called.state in {NEW, FORGOTTEN}:
            return self._next(world, at, worker, "begin")
        return self._next(world, at, worker, "save" if world.called.state == ENDED else "wait")

    def _begin(self, world: World, at: int, worker: Worker) -> World:
        """Store the id, or find it, under the token."""
        if not self._is_held(world, worker) and self.bug != "fence":
            return self._go(world, at, None)
        if world.caller.step == "call":
            return self._go(world, at, None)
        noted = world if self.bug == "ids" else self._caller(world, step="calling")
        return self._go(noted, at, worker._replace(at="store", may_store=True))

    def _store(self, world: World, at: int, worker: Worker) -> World:
        if not worker.may_store and self.bug != "late":
            return self._go(self._retry(world, worker), at, None)
        called = world.called
        if called.state in {NEW, FORGOTTEN} or self.bug == "ids":
            if called.lives:
                raise Broken("the called job has a second life")
            called = called._replace(state=QUEUED, lives=1)
        return self._next(world._replace(called=called), at, worker, "wait")

    def _wait(self, world: World, at: int, worker: Worker) -> World:
        """Commit the caller as blocked, without a look at the called job."""
        if not self._is_held(world, worker):
            return self._go(world, at, None)
        return self._next(self._caller(world, state=BLOCKED, is_open=True), at, worker, "listen")

    def _listen(self, world: World, at: int, worker: Worker) -> World:
        after, tells = self._noted(world)
        return self._next(after, at, worker, "resolve") if tells else self._go(after, at, None)

    def _resolve(self, world: World, at: int, worker: Worker) -> World:
        return self._go(self._resolved(world), at, None)

    def _save(self, world: World, at: int, worker: Worker) -> World:
        """Store the result in place of the id."""
        if not self._is_held(world, worker):
            return self._go(world, at, None)
        return self._next(self._caller(world, step="call"), at, worker, "let_go")

    def _let_go(self, world: World, at: int, worker: Worker) -> World:
        return self._next(world._replace(called=world.called._replace(is_let_go=True)), at, worker, "finish")

    def _finish(self, world: World, at: int, worker: Worker) -> World:
        if self._is_held(world, worker):
            if world.caller.step != "call":
                raise Broken("the caller has ended without a result")
            world = self._caller(world, state=DONE, step="")  # steps go with the end of their job
        return self._go(world, at, None)

    # What else happens.

    def _live(self, world: World) -> Steps:
        called = world.called
        if called.state == QUEUED:
            yield "the called job ends", world._replace(called=called._replace(state=ENDED, in_outbox=True))
        if called.state == ENDED and not called.in_outbox and (called.is_let_go or self.bug == "held"):
            # It takes longer than what was decided on may take to be stored.
            workers = tuple(one and one._replace(may_store=False) for one in world.workers)
            yield "forget", world._replace(called=called._replace(state=FORGOTTEN), workers=workers)

    def _dispatch(self, world: World, at: int, doing: str) -> Steps:
        called = world.called
        if not doing:
            if called.in_outbox and called.knows:
                yield "take news", self._then(world, at, "tell")
            elif called.in_outbox:
                yield "settle", world._replace(called=called._replace(in_outbox=False))
            if world.caller.state == BLOCKED:
                yield "sweep", self._then(world, at, "listen")
            return
        yield "the dispatcher dies", self._then(world, at, "")
        if doing == "tell":
            yield "tell", self._then(self._resolved(world), at, "end")
        elif doing == "end":
            settled = called._replace(in_outbox=False, knows=False)
            yield "end news", self._then(world._replace(called=settled), at, "")
        elif doing == "listen":
            after, tells = self._noted(world)
            yield "listen again", self._then(after, at, "resolve" if tells else "")
        else:
            yield "resolve again", self._then(self._resolved(world), at, "")

    def _noted(self, world: World) -> tuple[World, bool]:
        """Note the caller at the called job. Returns: whether the caller has to be told at once."""
        if world.called.state != QUEUED or self.bug == "listen":
            return world, world.called.state != QUEUED
        return world._replace(called=world.called._replace(knows=True)), False

    def _resolved(self, world: World) -> World:
        if world.caller.state != BLOCKED or not world.caller.is_open:
            return world
        return self._caller(world, state=QUEUED, is_open=False)

    def _retry(self, world: World, worker: Worker) -> World:
        return self._caller(world, state=QUEUED) if self._is_held(world, worker) else world

    def _is_held(self, world: World, worker: Worker) -> bool:
        return world.caller.state == RUNNING and world.caller.token == worker.token

    def _caller(self, world: World, **fields: object) -> World:
        return world._replace(caller=world.caller._replace(**fields))  # type: ignore[arg-type]

    def _next(self, world: World, at: int, worker: Worker, step: str) -> World:
        return self._go(world, at, worker._replace(at=step))

    def _go(self, world: World, at: int, worker: Worker | None) -> World:
        return world._replace(workers=(*world.workers[:at], worker, *world.workers[at + 1 :]))

    def _then(self, world: World, at: int, doing: str) -> World:
        return world._replace(linkers=(*world.linkers[:at], doing, *world.linkers[at + 1 :]))
