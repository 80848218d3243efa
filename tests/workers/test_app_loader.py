"""The app loader finds the app that a user names."""

import sys
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest

from millstream import App, HandlerError
from millstream_workers.app_loader import load_app, merge_apps
from millstream_workers.errors import AppLoadError


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Yield a folder as the current one, and forget at the end the modules that were imported from it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path[:])
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def write(folder: Path, name: str, text: str) -> None:
    """Write a module file."""
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)


def test_an_app_is_found_by_module_and_attribute(folder: Path) -> None:
    """The loader finds an app in a module, in a package, and in a module named like one of our packages."""
    write(folder, "shop_a.py", "from millstream import App\napp = App('shop')\n")
    write(folder, "workers_b/jobs.py", "from millstream import App\nother = App('b')\n")
    assert load_app("shop_a:app").name == "shop"
    assert load_app("workers_b.jobs:other").name == "b"


def test_user_code_comes_last_on_the_path(folder: Path) -> None:
    """A user's `queue.py` or `redis/` hides none of our imports, because user code comes last on the path."""
    write(folder, "shop_c.py", "from millstream import App\napp = App('shop')\n")
    before = sys.path[:]
    load_app("shop_c:app")
    load_app("shop_c:app")
    assert sys.path == [*before, str(folder)]


@pytest.mark.parametrize(
    ("ref", "hint"),
    [
        ("shop_d", "module:attribute"),
        (":app", "module:attribute"),
        ("shop_d:", "module:attribute"),
        ("", "module:attribute"),
        ("nowhere_at_all:app", "nowhere_at_all"),
        ("shop_d.nowhere:app", "shop_d"),
        ("shop_d:nothing", "no such attribute"),
        ("shop_d:number", "is no millstream.App"),
        ("shop_d:App", "is no millstream.App"),
        (".shop_d:app", ".shop_d"),
        ("shop_d.py:app", "shop_d"),
        ("shop_d:app:more", "no such attribute"),
    ],
)
def test_a_wrong_reference_is_told_in_one_line(folder: Path, ref: str, hint: str) -> None:
    """The error about a wrong reference to an app is one line, because it is read in a terminal."""
    write(folder, "shop_d.py", "from millstream import App\napp = App('shop')\nnumber = 1\n")
    with pytest.raises(AppLoadError) as caught:
        load_app(ref)
    assert hint in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_handler_that_cannot_be_registered_is_told_with_its_module(folder: Path) -> None:
    """The error about a handler that cannot be registered names the module, where the user has to mend it."""
    write(
        folder,
        "shop_e.py",
        "from millstream import App\napp = App('shop')\n\n@app.job('a')\nasync def a(x) -> None: ...\n",
    )
    with pytest.raises(AppLoadError, match=r"shop_e.*needs a type annotation"):
        load_app("shop_e:app")


def test_an_import_that_fails_inside_of_the_module_names_what_is_missing(folder: Path) -> None:
    """When an import inside the user's module fails, the error names the missing import and not the app."""
    write(folder, "shop_f.py", "import a_package_that_is_missing\n")
    with pytest.raises(AppLoadError, match="a_package_that_is_missing"):
        load_app("shop_f:app")


def test_merged_apps_keep_their_handlers_and_refuse_a_type_twice() -> None:
    """Merged apps keep each handler with the app whose lifespan it needs, and refuse a type that two of them handle."""
    one, two = App("one", lifespan=nullcontext), App("two", lifespan=nullcontext)

    @one.job("a")
    async def a() -> None: ...

    @two.job("b")
    async def b() -> None: ...

    merged = merge_apps([one, two])
    assert {name: merged.state_app(name) for name in merged.handlers} == {"a": one, "b": two}

    @two.job("a")
    async def again() -> None: ...

    with pytest.raises(HandlerError, match="`a` is in both"):
        merge_apps([one, two])
