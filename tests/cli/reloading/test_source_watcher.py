"""The watcher of source tells source from caches, dependencies and temporary files, and misses no change."""

import sys
from pathlib import Path

import anyio
import pytest

from millstream_cli.reloading.source_watcher import SourceWatcher, watcher_of


@pytest.mark.parametrize("name", ["shop.py", "shop/jobs.py", "a/b/c.py", "page.html", ".env", "tests/test_shop.py"])
def test_source_counts(tmp_path: Path, name: str) -> None:
    """Files that a pattern matches count, in the folder and below it."""
    assert SourceWatcher((tmp_path,), ("*.py", "*.html", ".env")).is_source(tmp_path / name)


@pytest.mark.parametrize(
    "name",
    [
        *("notes.txt", "shop.pyc", "shop", "shop.py~", "4913", ".shop.py.swp", ".#shop.py", "#shop.py#"),
        *("flycheck_shop.py", "shop.py___jb_tmp___", ".hidden.py"),
        *(".venv/a.py", "venv/a.py", "env/lib/python3.12/site-packages/a.py", "node_modules/a.py"),
        *("shop/__pycache__/a.py", ".git/a.py", ".mypy_cache/3.12/a.py"),
    ],
)
def test_what_is_no_source_does_not_count(tmp_path: Path, name: str) -> None:
    """Other files, temporary files of editors, caches, virtual environments and hidden folders do not count."""
    assert not SourceWatcher((tmp_path,), ("*.py", "*.html")).is_source(tmp_path / name)


def test_a_project_in_a_hidden_folder_has_source(tmp_path: Path) -> None:
    """Only what is below the watched folder decides, and not where that folder is."""
    folder = tmp_path / ".venv" / "node_modules"
    assert SourceWatcher((folder,), ("*.py",)).is_source(folder / "shop.py")


def test_packages_of_apps_are_watched_where_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Besides the folder of the command these are packages elsewhere, and folders of modules, but nothing installed."""
    for name in ("here/shop", "src/mail", "lib/python3.12/site-packages/installed", "modules"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "src/mail/__init__.py").touch()
    (tmp_path / "lib/python3.12/site-packages/installed/__init__.py").touch()
    (tmp_path / "modules/alone.py").touch()
    paths = [str(tmp_path / name) for name in ("here", "src", "lib/python3.12/site-packages", "modules")]
    monkeypatch.setattr(sys, "path", [*paths, *sys.path])
    apps = ("shop.jobs:app", "mail.jobs:app", "installed.jobs:app", "alone:app", "nowhere:app")
    watcher = watcher_of(apps, ("*.py",), tmp_path / "here")
    assert watcher.folders == (tmp_path / "here", tmp_path / "modules", tmp_path / "src/mail")


async def test_changes_that_come_while_nothing_waits_are_the_next_one(tmp_path: Path) -> None:
    """Changes during a check or a restart are yielded together afterwards, and none is lost."""
    await (anyio.Path(tmp_path) / "first.py").write_text("")
    changes = SourceWatcher((tmp_path,), ("*.py",)).changes()
    seen: list[Path] = []
    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:

            async def touch() -> None:
                # The first look may come before the folder is watched.
                while not seen:
                    (tmp_path / "first.py").write_text("1")
                    await anyio.sleep(0.1)

            tasks.start_soon(touch)
            seen = await anext(changes)
        (tmp_path / "second.py").write_text("2")
        (tmp_path / "third.py").write_text("3")
        while len(seen) < 3:
            seen = sorted({*seen, *await anext(changes)})
    assert [path.name for path in seen] == ["first.py", "second.py", "third.py"]
