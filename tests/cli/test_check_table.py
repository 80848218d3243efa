"""`check` finds at the start what would otherwise fail with the first job (decision 11 of the SDK's design)."""

import sys

import pytest
from cli.commands import refused, run

HEAD = """import functools, typing
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from millstream import App, Context, Retry, SyncContext
app = App("shop")
"""

REFUSED = {
    "a context by keyword": ("@app.job('a')\nasync def f(n: int, *, ctx: Context): ...", "`ctx` must be positional"),
    "a payload by keyword": ("@app.job('a')\nasync def f(*, n: int): ...", "`n` must be positional"),
    "a context before the payload": ("@app.job('a')\nasync def f(ctx: Context, n: int): ...", "one payload and then"),
    "two payloads": ("@app.job('a')\ndef f(n: int, m: int): ...", "one payload and then"),
    "a context of one's own": (
        "class Mine(Context): ...\n@app.job('a')\nasync def f(n: int, ctx: Mine): ...",
        "a context is one of Context, SyncContext, DurableContext, SyncDurableContext, CronContext, not a Mine",
    ),
    "a blocking context in async code": ("@app.job('a')\nasync def f(ctx: SyncContext): ...", "is async"),
    "a generator": ("@app.job('a')\ndef f(n: int):\n    yield n", "is a generator"),
    "an async generator": ("@app.job('a')\nasync def f(n: int):\n    yield n", "is a generator"),
    "a default that is no payload": ("@app.job('a')\nasync def f(n: int = 'x'): ...", "the default of `n` is 'x'"),
    "a default of None": ("@app.job('a')\nasync def f(n: int = None): ...", "the default of `n` is None"),
    "a decorator that hides the signature": (
        (
            "def deco(f):\n    def inner(*args, **kwargs): return f(*args)\n    return inner\n"
            "@app.job('a')\n@deco\ndef f(n: int): ..."
        ),
        "functools.wraps",
    ),
    "a job without parentheses": ("@app.job\nasync def f(n: int): ...", "needs the name of a job type"),
    "a job without a type": ("@app.job()\nasync def f(n: int): ...", "missing 1 required positional argument: 'type'"),
    "a type that is no text": ("@app.job(3)\nasync def f(n: int): ...", "a job type is a text"),
    "a type with capitals": ("@app.job('Order.Charge')\nasync def f(n: int): ...", "is no job type"),
    "a class": ("@app.job('a')\nclass F: ...", "is a class"),
    "a method": ("class F:\n    @app.job('a')\n    def f(self, n: int): ...", "is a method"),
    "a class method": ("class F:\n    @app.job('a')\n    @classmethod\n    def f(cls, n: int): ...", "class method"),
    "what cannot be called": ("app.job('a')(3)", "a handler is a function, not 3"),
    "a function of C without a signature": ("app.job('a')(dict.fromkeys)", "a"),
    "retry=3": ("@app.job('a', retry=3)\nasync def f(n: int): ...", "`retry` is a Retry, such as"),
    "dead_on that is no exception": (
        "@app.job('a', retry=Retry(dead_on=(int,)))\nasync def f(n: int): ...",
        "which is no exception",
    ),
    "dead_on without a tuple": (
        "@app.job('a', retry=Retry(dead_on=ValueError))\nasync def f(n: int): ...",
        "is a tuple of exceptions",
    ),
    "delays beside a base": (
        "@app.job('a', retry=Retry(delays=[1], base=2))\nasync def f(n: int): ...",
        "`delays` and `base` exclude each other",
    ),
    "delays beside a backoff": (
        "@app.job('a', retry=Retry(delays=[1], backoff='linear'))\nasync def f(n: int): ...",
        "`delays` and `backoff` exclude each other",
    ),
    "no delays": ("@app.job('a', retry=Retry(delays=[]))\nasync def f(n: int): ...", "`a`: "),
    "a negative delay": ("@app.job('a', retry=Retry(delays=[-1]))\nasync def f(n: int): ...", "`a`: "),
    "attempts that are true": ("@app.job('a', retry=Retry(max_attempts=True))\nasync def f(n: int): ...", "got `bool`"),
    "a base that is no number": (
        "@app.job('a', retry=Retry(base=float('nan')))\nasync def f(n: int): ...",
        "`a`: ",
    ),
    "a timeout of 0": ("@app.job('a', timeout=0)\nasync def f(n: int): ...", "`a`: "),
    "a timeout that is no number": ("@app.job('a', timeout=float('nan'))\nasync def f(n: int): ...", "`a`: "),
    "a timeout without end": ("@app.job('a', timeout=float('inf'))\nasync def f(n: int): ...", "`a`: "),
    "a timeout that is true": ("@app.job('a', timeout=True)\nasync def f(n: int): ...", "got `bool`"),
    "a timeout below 0": ("@app.job('a', timeout=timedelta(-1))\nasync def f(n: int): ...", "`a`: "),
    "a result that is not kept": ("@app.job('a', result_ttl=0)\nasync def f(n: int): ...", "`a`: "),
    "partitions that are true": ("@app.job('a', partitions=True)\nasync def f(n: int): ...", "got `bool`"),
    "a thread for async code": ("@app.job('a', isolation='thread')\nasync def f(n: int): ...", "is async"),
    "the loop for plain code": ("@app.job('a', isolation='loop')\ndef f(n: int): ...", "is not async"),
    "an unknown name": ("@app.job('a')\nasync def f(n: 'Nope'): ...", "cannot be read: name 'Nope' is not defined"),
    "an import for type checkers only": (
        "if typing.TYPE_CHECKING:\n    from decimal import Decimal\n@app.job('a')\nasync def f(n: 'Decimal'): ...",
        "not only for TYPE_CHECKING",
    ),
    "an unknown member of a module": (
        "@app.job('a')\nasync def f(n: 'typing.Nope'): ...",
        "cannot be read: module 'typing' has no attribute 'Nope'",
    ),
    "a text that is no annotation": ("@app.job('a')\nasync def f(n: 'two words'): ...", "cannot be read"),
    "no annotation": ("@app.job('a')\nasync def f(n): ...", "`n` needs a type annotation"),
    "a lifespan that is a number": ("App('x', lifespan=3)", "(3) is no function"),
    "a bare generator as lifespan": (
        "async def life():\n    yield 1\nApp('x', lifespan=life)",
        "@asynccontextmanager over it",
    ),
    "a coroutine as lifespan": ("async def life(): ...\nApp('x', lifespan=life)", "@asynccontextmanager over it"),
    "a blocking lifespan": (
        "@contextmanager\ndef life():\n    yield 1\nApp('x', lifespan=life)",
        "a context manager that is not async",
    ),
    "a lifespan that was called": (
        "@asynccontextmanager\nasync def life():\n    yield 1\nApp('x', lifespan=life())",
        "has been called already",
    ),
    "a lifespan with two arguments": (
        "@asynccontextmanager\nasync def life(app, pool):\n    yield 1\nApp('x', lifespan=life)",
        "takes more than the app",
    ),
    "a lifespan and the state of another": (
        "@asynccontextmanager\nasync def life():\n    yield 1\nApp('x', lifespan=life, state_of=app)",
        "choose one",
    ),
    "a type in two apps": (
        "other = App('mail')\n@app.job('a')\ndef f(): ...\n@other.job('a')\ndef g(): ...\napp.include(other)",
        "`a` is in both `shop` and `mail`",
    ),
    "a type twice": ("@app.job('a')\ndef f(): ...\n@app.job('a')\ndef g(): ...", "`a` is already handled by"),
}

TAKEN = {
    "a partial": ("def f(factor: int, n: int) -> int: ...\napp.job('a')(functools.partial(f, 3))", "thread"),
    "an async partial": (
        "async def f(n: int, ctx: Context, *, to: str) -> int: ...\napp.job('a')(functools.partial(f, to='x'))",
        "loop",
    ),
    "an object that can be called": (
        "class F:\n    def __call__(self, n: int, ctx: SyncContext) -> int: ...\napp.job('a')(F())",
        "thread",
    ),
    "an async object": ("class F:\n    async def __call__(self, n: int) -> int: ...\napp.job('a')(F())", "loop"),
    "a static method": ("class F:\n    @app.job('a')\n    @staticmethod\n    async def f(n: int): ...", "loop"),
    "a bound method": ("class F:\n    async def f(self, n: int): ...\napp.job('a')(F().f)", "loop"),
    "a generic function": ("@app.job('a')\n@functools.singledispatch\ndef f(n: int): ...", "thread"),
    "a cached function": ("@app.job('a')\n@functools.lru_cache\ndef f(n: int): ...", "thread"),
    "async code in a plain wrapper": (
        (
            "def deco(f):\n    @functools.wraps(f)\n    def inner(*args): return f(*args)\n    return inner\n"
            "@app.job('a')\n@deco\nasync def f(n: int, ctx: Context): ..."
        ),
        "loop",
    ),
    "a default": ("@app.job('a')\nasync def f(n: int = 3): ...", "loop"),
    "parameters that keep their defaults": (
        "@app.job('a')\nasync def f(n: int, ctx: Context, dry: bool = False, *, to: str = ''): ...",
        "loop",
    ),
    "a context that may be missing": ("@app.job('a')\nasync def f(n: int, ctx: Context | None = None): ...", "loop"),
    "one function for two types": ("@app.job('a')\n@app.job('b')\nasync def f(n: int): ...", "loop"),
}


@pytest.fixture
def shop(tmp_path, monkeypatch):
    """Return a function that writes the module `shop_table`, which is imported anew by each test."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    yield lambda text: (tmp_path / "shop_table.py").write_text(HEAD + text + "\n")
    sys.modules.pop("shop_table", None)


@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_work_is_refused_at_the_start(shop, kind):
    """A handler that cannot work is refused in one line, with the user's own line below it and no frame of ours."""
    text, says = REFUSED[kind]
    shop(text)
    result = run("check", "shop_table:app")
    refused(result, says, code=1)
    frames = [line for line in result.stderr.splitlines() if line.startswith("millstream:   ")]
    assert frames
    assert all(line.startswith("millstream:   shop_table.py:") for line in frames), frames


@pytest.mark.parametrize("kind", TAKEN)
def test_what_can_work_is_taken(shop, kind):
    """Whatever can be called with a payload and a context is a handler, and runs where its kind of code belongs."""
    text, isolation = TAKEN[kind]
    shop(text)
    result = run("check", "shop_table:app")
    assert result.exit_code == 0, result.output
    row = next(line.split() for line in result.stdout.splitlines() if line.startswith("a "))
    assert row[2] == isolation


def test_verbose_prints_the_whole_traceback_of_an_error(shop):
    """`check --verbose` prints the traceback of an error with our frames, and then the line as without it."""
    shop(REFUSED["retry=3"][0])
    result = run("check", "shop_table:app", "--verbose")
    assert result.exit_code == 1
    assert "Traceback (most recent call last)" in result.stderr
    assert "job_options.py" in result.stderr
    assert "millstream: shop_table: `a`: `retry` is a Retry" in result.stderr


def test_verbose_prints_all_of_each_handler(shop):
    """`check --verbose` prints options, payload, result and place of each handler."""
    code = "async def charge(cents: int = 5) -> dict[str, int]:\n    '''Charge it.'''"
    shop(f"@app.job('order.charge', timeout=30)\n{code}")
    result = run("check", "shop_table:app", "--verbose")
    assert result.exit_code == 0, result.output
    words = " ".join(result.stdout.split())
    for said in ("type order.charge", "Charge it.", "timeout 30 s", "runs in loop", "defined at shop_table.py:6"):
        assert said in words
    assert "payload integer | null result {string: integer}" in words
