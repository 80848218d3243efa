"""An app registers handlers."""

import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from sdk.contexts import make_context

from millstream import (
    App,
    Context,
    HandlerError,
    JobRef,
    KeyLimits,
    LifespanError,
    NotBoundError,
    QueueLimits,
    Retry,
    SyncClient,
    SyncContext,
    Unique,
)
from millstream.jobs.submitter import current_submitter
from millstream_contracts import TypePolicy


class Recorder:
    """A client that records submissions, those of several payloads under `many`."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, Any, dict[str, Any]]] = []

    async def submit(self, job: JobRef, payload: Any = None, **options: Any) -> str:
        """Record a submission."""
        self.taken.append((job.type, payload, options))
        return "handle"

    async def submit_many(self, jobs: JobRef, payloads: Any, **options: Any) -> str:
        """Record several submissions."""
        self.taken.append((f"many {jobs.type}", list(payloads), options))
        return "receipt"


def test_job_registers_a_function_that_stays_callable() -> None:
    """A handler is registered under its type, and stays callable as the function it is."""
    app = App("shop")

    retry = Retry(max_attempts=2, backoff="constant", base=1.5, cap=9, jitter=False)

    @app.job("add", timeout=5, retry=retry, result_ttl=60, partitions=3, keeps="failures")
    def add(numbers: list[int]) -> int:
        """Add numbers."""
        return sum(numbers)

    assert add([1, 2]) == 3
    assert app.handlers["add"] is add
    assert list(app) == [add]
    policy = add.policy
    assert (policy.max_attempts, policy.timeout_s, policy.result_ttl_s, policy.partitions) == (2, 5, 60, 3)
    assert policy.keeps == "failures"
    assert (add.__name__, add.__doc__) == ("add", "Add numbers.")
    backoff = policy.backoff
    assert (backoff.kind, backoff.base_s, backoff.cap_s, backoff.jitter) == ("constant", 1.5, 9, False)


@pytest.mark.parametrize(
    "job_type",
    [
        *("", "Upper", "a_b", "a/b", "-a", "a" * 65, "a\n"),
    ],
)
def test_job_raises_when_type_is_malformed(job_type: str) -> None:
    """A type that cannot be a part of an id or a key is refused."""
    with pytest.raises(HandlerError, match="is no job type"):
        App("x").job(job_type)


def test_job_suggests_the_option_when_it_is_misspelt() -> None:
    """The error about an unknown option suggests the nearest known one."""
    with pytest.raises(HandlerError, match="unknown option `timeot`; did you mean `timeout`"):
        App("x").job("a", timeot=3)  # type: ignore[call-arg]


@pytest.mark.parametrize(
    "options",
    [
        {"timeout": 0},
        {"timeout": "soon"},
        {"partitions": 0},
        {"keeps": "some"},
        {"result_ttl": -1},
        {"retry": Retry(max_attempts=0)},
        {"retry": Retry(backoff="cubic")},
        {"retry": Retry(base=-1)},
        {"timeout": timedelta(0)},
    ],
)
def test_job_raises_handler_error_when_an_option_is_out_of_bounds(options: dict[str, Any]) -> None:
    """An option out of bounds raises HandlerError, which names the type."""
    with pytest.raises(HandlerError, match="`a`"):
        App("x").job("a", **options)(lambda: None)


def test_times_of_options_may_be_timedeltas() -> None:
    """An option that is a time is taken in seconds and as a timedelta."""
    policy = App("x").job("a", timeout=timedelta(minutes=1), result_ttl=timedelta(hours=1))(lambda: None).policy
    assert (policy.timeout_s, policy.result_ttl_s) == (60, 3600)


def test_job_raises_when_type_is_taken() -> None:
    """A second handler of a type is refused with the name of the first."""
    app = App("x")
    app.job("a")(lambda: None)
    with pytest.raises(HandlerError, match="`a` is already handled by"):
        app.job("a")(lambda: None)


def test_job_picks_isolation_by_the_kind_of_function() -> None:
    """`async def` runs on the loop, `def` in a thread, and either in a process when asked to."""
    app = App("x")

    async def on_loop() -> None: ...

    def in_thread() -> None: ...

    assert app.job("a")(on_loop).isolation == "loop"
    assert app.job("b")(in_thread).isolation == "thread"
    assert app.job("c", isolation="process")(in_thread).isolation == "process"


def test_job_without_options_has_the_policy_of_the_contract() -> None:
    """A handler without options has the default policy of the contract."""
    assert App("x").job("a")(lambda: None).policy == TypePolicy(max_attempts=5, result_ttl_s=3600, partitions=1)


def test_job_raises_when_an_async_function_is_to_run_in_a_thread() -> None:
    """An async function with `isolation="thread"` is refused."""

    async def on_loop() -> None: ...

    with pytest.raises(HandlerError, match="is async"):
        App("x").job("a", isolation="thread")(on_loop)


@pytest.mark.parametrize("isolation", ["loop", "fiber"])
def test_job_raises_when_isolation_does_not_fit(isolation: Any) -> None:
    """A blocking function is refused on the loop, where it would stop all others."""
    with pytest.raises(HandlerError, match="loop"):
        App("x").job("a", isolation=isolation)(lambda: None)


def test_include_takes_over_handlers_and_raises_when_a_type_is_in_both() -> None:
    """`include` adds the handlers of another app, and refuses a type that both have."""
    shop, mail = App("shop"), App("mail")
    handler, other = mail.job("mail")(lambda: None), mail.job("letter")(lambda: None)
    shop.include(mail)
    assert shop.handlers == {"mail": handler, "letter": other}
    with pytest.raises(HandlerError, match="both `shop` and `mail`"):
        shop.include(App("empty"), mail)
    assert shop.handlers == {"mail": handler, "letter": other}


async def test_running_yields_the_state_and_closes_it() -> None:
    """`running` yields the state of the lifespan, and closes it at the end."""
    events: list[str] = []

    @asynccontextmanager
    async def lifespan(app: App) -> AsyncIterator[str]:
        events.append(app.name)
        yield "pool"
        events.append("closed")

    async with App("shop", lifespan=lifespan).running() as state:
        assert state == "pool"
        assert events == ["shop"]
    assert events == ["shop", "closed"]
    async with App("plain").running() as nothing:
        assert nothing is None


@asynccontextmanager
async def lifespan() -> AsyncGenerator[str]:
    """Open a state, without a look at the app."""
    yield "pool"


async def test_lifespan_may_take_the_app_or_nothing() -> None:
    """A lifespan without an argument is opened as one that takes the app."""
    async with App("shop", lifespan=lifespan).running() as state:
        assert state == "pool"


def test_state_is_that_of_the_nearest_app_that_has_one() -> None:
    """The state of a handler is that of its own app, of the app that it names, or of the app that includes it."""
    shop, other = App("shop", lifespan=lifespan), App("other", lifespan=lifespan)
    shared, library, shelf = App("shared", state_of=shop), App("library"), App("shelf")
    apps: list[App[Any]] = [shop, other, shared, library, shelf]
    for at, app in enumerate(apps):
        app.job(f"a{at}")(lambda: None)
    library.include(shelf)
    shop.include(other, shared, library)
    assert [shop.state_app(f"a{at}") for at in range(5)] == [shop, other, shop, shop, shop]
    outer = App("outer")
    outer.include(shop)
    assert [outer.state_app(f"a{at}") for at in range(5)] == [shop, other, shop, shop, shop]
    assert library.state_app("a4") is library
    assert App("last", state_of=shared).state_of is shop


@asynccontextmanager
async def failing(app: App[None]) -> AsyncGenerator[str]:
    """Fail at the point that the app's name says."""
    if app.name == "opens":
        json.loads("no JSON")
    yield "pool"
    if app.name == "closes":
        raise ConnectionResetError


def no_generator() -> None:
    """Be no context manager."""


@pytest.mark.parametrize(
    ("app", "message"),
    [
        (
            App("opens", lifespan=failing),
            r"app `opens` \(.*test_app:failing\) failed to open: JSONDecodeError: .*\n.*\.py:\d+ in failing: json",
        ),
        (
            App("closes", lifespan=failing),
            r"app `closes` \(.*test_app:failing\) failed to close: ConnectionResetError\n.*\.py:\d+ in failing: raise",
        ),
        (App("none", lifespan=no_generator), "app `none` .* TypeError: it is no async context manager"),  # type: ignore[arg-type]
    ],
    ids=lambda value: getattr(value, "name", ""),
)
async def test_a_lifespan_that_fails_says_which_app_and_where(app: App[Any], message: str) -> None:
    """A lifespan that fails raises an error with the app, its place and the user's own frames, and its cause."""
    with pytest.raises(LifespanError, match=message) as caught:
        async with app.running():
            pass
    assert caught.value.app == app.name
    assert isinstance(caught.value.__cause__, Exception)
    assert "json/decoder.py" not in str(caught.value)
    assert "millstream/app.py" not in str(caught.value)


async def test_an_error_beside_a_lifespan_is_none_of_it() -> None:
    """An error of what runs while a lifespan is open reaches the lifespan, and comes out as it was."""
    seen: list[BaseException] = []

    @asynccontextmanager
    async def lifespan() -> AsyncGenerator[str]:
        try:
            yield "pool"
        except BaseException as error:
            seen.append(error)
            raise

    raised = ValueError("of a worker")
    with pytest.raises(ValueError, match="of a worker"):
        async with App("shop", lifespan=lifespan).running():
            raise raised
    assert seen == [raised]


def test_app_raises_when_it_has_two_states() -> None:
    """An app has a lifespan of its own or the state of another, and not both."""
    with pytest.raises(HandlerError, match="app `b` has a lifespan of its own and the state of `a`: choose one"):
        App("b", lifespan=lifespan, state_of=App("a"))  # type: ignore[call-overload]


async def test_submit_goes_through_the_bound_client() -> None:
    """Outside of handlers a submission goes through the client that the app is bound to."""
    app, client = App("x"), Recorder()
    handler = app.job("a")(lambda: None)
    app.bind(client)
    assert await handler.submit({"n": 1}, delay=3) == "handle"
    assert await handler.submit_many([1, 2], delay=4) == "receipt"
    assert client.taken == [("a", {"n": 1}, {"delay": 3}), ("many a", [1, 2], {"delay": 4})]
    app.bind(other := Recorder())
    await handler.submit()
    assert (len(client.taken), len(other.taken)) == (2, 1)


async def test_submit_prefers_the_worker_when_inside_of_a_handler() -> None:
    """Inside of a handler a submission goes through its worker, and joins its trace."""
    app, client, worker = App("x"), Recorder(), Recorder()
    handler = app.job("a")(lambda: None)
    app.bind(client)
    token = current_submitter.set(worker)
    try:
        await handler.submit()
    finally:
        current_submitter.reset(token)
    assert (client.taken, worker.taken) == ([], [("a", None, {})])


async def test_submit_raises_when_nothing_is_bound() -> None:
    """A submission without a client raises an error that says what to call."""
    handler = App("x").job("a")(lambda: None)
    with pytest.raises(NotBoundError, match=r"app\.bind\(client\)"):
        await handler.submit()


def test_context_is_found_by_its_annotation() -> None:
    """The context goes to the last parameter if it has the annotation."""

    def plain(number: int, ctx: Context) -> None: ...

    async def with_state(number: int, ctx: Context[str]) -> None: ...

    def blocking(number: int, ctx: SyncContext[str]) -> None: ...

    app = App("x")
    for at, (function, kind) in enumerate(((plain, Context), (with_state, Context), (blocking, SyncContext))):
        signature = app.job(f"a{at}")(function).signature  # type: ignore[call-overload]
        assert (signature.payload, signature.takes_payload, signature.context) == (int, True, kind)


def test_job_raises_when_an_async_function_takes_a_blocking_context() -> None:
    """An async function that takes a SyncContext is refused, because its calls would block the loop."""

    async def handler(number: int, ctx: SyncContext) -> None: ...

    with pytest.raises(HandlerError, match="handler is async: it takes a Context"):
        App("x").job("a")(handler)


def test_arguments_are_what_the_function_takes_in_its_order() -> None:
    """A function is called with the payload and then the context, with one of them, or with none."""

    def both(number: int, ctx: Context) -> None: ...

    def only_context(ctx: Context) -> None: ...

    def only_payload(number: int) -> None: ...

    def nothing() -> None: ...

    app, ctx = App("x"), make_context("a")
    handlers = [app.job(f"a{at}")(one) for at, one in enumerate((both, only_context, only_payload, nothing))]  # type: ignore[var-annotated]
    assert [handler.arguments(7, ctx) for handler in handlers] == [(7, ctx), (ctx,), (7,), ()]


def test_reference_raises_at_once_when_no_loop_can_await_it() -> None:
    """A handler in a place without an event loop submits nothing, and says at once which call does."""
    app = App("x")
    handler = app.job("a")(lambda: None)
    app.bind(Recorder())
    with pytest.raises(NotBoundError, match=r"`submit` of `a` is awaited, and no event loop runs .* SyncClient"):
        handler.submit()  # type: ignore[unused-coroutine]
    with pytest.raises(NotBoundError, match=r"`submit_many` of `a` is awaited"):
        handler.submit_many([1])  # type: ignore[unused-coroutine]


def test_bind_raises_when_the_client_is_a_sync_one() -> None:
    """A SyncClient is refused when it is bound, because `.submit()` of a handler is awaited."""
    app = App("x")
    with (
        SyncClient("http://127.0.0.1:1") as client,
        pytest.raises(TypeError, match=r"takes a Client.* not a SyncClient"),
    ):
        app.bind(client)
    assert app.submitter is None


def test_limits_are_declared_with_the_handler() -> None:
    """A handler keeps the limits that it declares, for workers to set them; one without has none."""
    app = App("shop")
    limits = QueueLimits(concurrency=20, per_key=KeyLimits(concurrency=2))

    @app.job("mail.send", key="customer_id", limits=limits)
    async def send(payload: dict[str, str]) -> None: ...

    @app.job("mail.count")
    async def count() -> int:
        return 1

    assert (app.handlers["mail.send"].limits, app.handlers["mail.count"].limits) == (limits, None)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"limits": 20}, "`limits` is a QueueLimits, such as QueueLimits"),
        ({"limits": QueueLimits(concurrency=-1)}, "Expected `int` >= 1"),
        ({"limits": QueueLimits(rate="100")}, "Expected `str` matching regex"),
        ({"limits": QueueLimits(concurrency=3), "partitions": 4}, "`concurrency` of `limits` is split between the 4"),
        ({"limits": QueueLimits(rate="3/s"), "partitions": 4}, "it lets 3 start at once"),
        ({"limits": QueueLimits(cap=9), "partitions": 4}, "`cap` of `limits` holds in one partition alone"),
    ],
)
def test_limits_that_cannot_hold_are_refused_at_import(options: dict[str, Any], says: str) -> None:
    """A wrong limit is an error where it is written, with the type and what is wrong."""
    with pytest.raises(HandlerError, match=r"`mail\.send`") as refused:

        @App("shop").job("mail.send", **options)
        async def send() -> None: ...

    assert says in str(refused.value)


def test_an_encrypted_type_may_be_unique_and_has_no_key_of_its_payload() -> None:
    """A unique key is hashed, so it goes with `encrypted`; a `key` is stored as it is, so it does not."""
    app = App("shop")

    @app.job("pay", encrypted=True, unique=Unique("invoice"))
    def pay(payload: dict[str, str]) -> None: ...

    policy = app.handlers["pay"].policy
    assert policy.encrypted
    assert policy.unique is not None
    with pytest.raises(HandlerError, match="`encrypted` and `key` exclude each other"):
        app.job("charge", encrypted=True, key="customer")(pay)
