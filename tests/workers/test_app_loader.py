"""Finding the apps that users name."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from millstream import App, HandlerError
from millstream_workers.app_loader import load_app, merge_apps
from millstream_workers.errors import AppLoadError


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Yield the folder that a user stands in; what is imported from it is forgotten at the end."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path[:])
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def write(folder: Path, name: str, text: str) -> None:
    """Write a module."""
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)


def test_an_app_is_found_by_module_and_attribute(folder: Path) -> None:
    """Also in a package, and also where the package is called like one of ours without the brand."""
    write(folder, "shop_a.py", "from millstream import App\napp = App('shop')\n")
    write(folder, "workers_b/jobs.py", "from millstream import App\nother = App('b')\n")
    assert load_app("shop_a:app").name == "shop"
    assert load_app("workers_b.jobs:other").name == "b"


def test_user_code_comes_last_on_the_path(folder: Path) -> None:
    """A user's `queue.py` or `redis/` must not hide a package that we import."""
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
    """It is read in a terminal."""
    write(folder, "shop_d.py", "from millstream import App\napp = App('shop')\nnumber = 1\n")
    with pytest.raises(AppLoadError) as caught:
        load_app(ref)
    assert hint in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_handler_that_cannot_be_registered_is_told_with_its_module(folder: Path) -> None:
    """The mistake is the user's, and its place matters."""
    write(
        folder,
        "shop_e.py",
        "from millstream import App\napp = App('shop')\n\n@app.job('a')\nasync def a(x) -> None: ...\n",
    )
    with pytest.raises(AppLoadError, match=r"shop_e.*needs a type annotation"):
        load_app("shop_e:app")


def test_an_import_that_fails_inside_of_the_module_names_what_is_missing(folder: Path) -> None:
    """Not the app is missing but what it imports."""
    write(folder, "shop_f.py", "import a_package_that_is_missing\n")
    with pytest.raises(AppLoadError, match="a_package_that_is_missing"):
        load_app("shop_f:app")


def test_merged_apps_keep_their_handlers_and_refuse_a_type_twice() -> None:
    """Each handler still belongs to the app whose lifespan it needs."""
    one, two = App("one"), App("two")

    @one.job("a")
    async def a() -> None: ...

    @two.job("b")
    async def b() -> None: ...

    merged = merge_apps([one, two])
    assert {name: handler.app for name, handler in merged.handlers.items()} == {"a": one, "b": two}

    @two.job("a")
    async def again() -> None: ...

    with pytest.raises(HandlerError, match="`a` is in both"):
        merge_apps([one, two])
