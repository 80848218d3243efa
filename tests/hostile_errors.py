"""Exceptions and results whose classes misbehave in every way; `hostile_values` has the values.

Strategies draw recipes, plain data, of which `build` makes the objects, because hypothesis would stumble over the
objects.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from decimal import Decimal
from typing import Any

from hostile_values import OddText, Panic, circle
from hypothesis import strategies as st

from millstream import Dead, Discard, Retry, RetryAfter, Snooze


def throw(error: BaseException) -> Any:
    """Raise, as an expression."""
    raise error


SURPRISES: dict[str, Callable[[], Any]] = {
    "raises ValueError": lambda: throw(ValueError("v")),
    "raises KeyError": lambda: throw(KeyError("k")),
    "raises a panic": lambda: throw(Panic("p")),
    "raises KeyboardInterrupt": lambda: throw(KeyboardInterrupt()),
    "raises SystemExit": lambda: throw(SystemExit(3)),
    "raises GeneratorExit": lambda: throw(GeneratorExit()),
    "raises StopIteration": lambda: throw(StopIteration(1)),
    "raises RecursionError": lambda: throw(RecursionError("r")),
    "raises MemoryError": lambda: throw(MemoryError()),
    "is None": lambda: None,
    "is an int": lambda: 5,
    "is bytes": lambda: b"bytes",
    "is a lone surrogate": lambda: "\ud800",
    "has a NUL": lambda: "a\0b",
    "is long": lambda: "x" * 20_000,
    "is an object": object,
    "is a list": list,
    "is NaN": lambda: float("nan"),
    "is infinite": lambda: float("inf"),
    "is huge": lambda: 10**5000,
    "is a Decimal": lambda: Decimal("NaN"),
    "is a str of its own": lambda: OddText("lies"),
}
"""Behaviours of a hook of a class other than the expected one."""


PROPERTIES = (
    "__class__", "__module__", "__cause__", "__context__", "__traceback__", "__notes__", "args", "delay_s", "reason",
    "exceptions",
)  # fmt: skip
METHODS = (
    "__str__", "__repr__", "__format__", "__eq__", "__hash__", "__bool__", "__len__", "__iter__", "__reduce_ex__",
    "__getattribute__", "__dir__", "add_note", "with_traceback", "__setattr__",
)  # fmt: skip

BASES: dict[str, type[BaseException]] = {
    kind.__name__: kind
    for kind in (
        Exception, ValueError, OSError, SyntaxError, UnicodeDecodeError, KeyError, BaseException, Panic,
        Snooze, Discard, Dead, RetryAfter, KeyboardInterrupt, SystemExit, GeneratorExit,
    )
}  # fmt: skip
TAME: dict[str, Callable[[], BaseException]] = {
    "snooze": lambda: Snooze(0.0),
    "discard": lambda: Discard("not wanted"),
    "dead": lambda: Dead("no such"),
    "retry": lambda: Retry.after(0.0),
    "plain": lambda: ValueError("plain"),
}
RESULTS: dict[str, type] = {kind.__name__: kind for kind in (object, dict, list, str, int, tuple, float)}

_hooks = st.dictionaries(st.sampled_from(PROPERTIES + METHODS), st.sampled_from(sorted(SURPRISES)), max_size=5)
_alone = st.tuples(st.just("hostile"), st.sampled_from(sorted(BASES)), _hooks) | st.tuples(
    st.just("tame"), st.sampled_from(sorted(TAME))
)
_groups = st.tuples(st.just("group"), st.lists(_alone, min_size=1, max_size=3))

exceptions = st.tuples(
    st.just("caused"), _alone | _groups | st.tuples(st.just("group"), st.tuples(_groups)), st.none() | _alone
)
"""Recipes of exceptions that misbehave, alone, in groups, and as causes of each other."""

results = st.tuples(st.sampled_from(sorted(RESULTS)), _hooks)
"""Recipes of results of user classes that misbehave when they are read."""


def build(recipe: Any) -> BaseException:
    """Return the exception of a recipe."""
    match recipe:
        case "hostile", base, hooks:
            return make_exception(BASES[base], {name: SURPRISES[surprise] for name, surprise in hooks.items()})
        case "tame", name:
            return TAME[name]()
        case "group", members:
            built = [build(member) for member in members]
            try:
                return BaseExceptionGroup("group", built)
            except BaseException as error:  # noqa: BLE001 - a group asks its members for their class
                return error
        case "caused", error, cause:
            return chained(build(error), cause and build(cause))
    raise AssertionError(recipe)


def build_result(recipe: Any) -> Any:
    """Return the result of a recipe."""
    base, hooks = recipe
    try:
        return type("Hostile", (RESULTS[base],), _body({name: SURPRISES[hooks[name]] for name in hooks}))()
    except BaseException:  # noqa: BLE001 - a class that cannot be made misbehaves in no worker
        return object()


def make_exception(base: type[BaseException], hooks: dict[str, Callable[[], Any]]) -> BaseException:
    """Return an exception of a class of its own that does not call its base constructor."""
    return type("Hostile", (base,), {"__init__": lambda *_: None, **_body(hooks)})("what it was called with")


def _body(hooks: dict[str, Callable[[], Any]]) -> dict[str, Any]:
    body: dict[str, Any] = {}
    for name, hook in hooks.items():
        function = lambda *_, _hook=hook: _hook()  # noqa: E731
        body[name] = property(function) if name in PROPERTIES else function
    return body


def chained(error: BaseException, cause: BaseException | None) -> BaseException:
    """Return an exception with a cause, if its class allows one."""
    with suppress(BaseException):
        error.__cause__ = cause
    return error


def endless() -> Iterator[BaseException]:
    """Yield exceptions that cause each other in a ring, in a chain of thousands, and in groups of groups."""
    yield circle()
    link: BaseException = ValueError("first")
    for number in range(5_000):
        following = ValueError(number)
        following.__cause__ = link
        link = following
    yield link
    group: BaseException = ValueError("inside")
    for _ in range(2_000):
        group = BaseExceptionGroup("g", [group])
    yield group
