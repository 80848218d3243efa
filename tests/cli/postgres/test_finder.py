"""The finder of PostgreSQL takes programs by what they say of themselves."""

from pathlib import Path

import pytest

from millstream_cli.errors import NoPostgresError
from millstream_cli.postgres.finder import find_postgres, installed


def programs_in(folder: Path, says: str, *, initdb: bool = True) -> Path:
    """Make a folder of programs that say this version."""
    folder.mkdir()
    for name in ("postgres", "initdb") if initdb else ("postgres",):
        (folder / name).write_text(f"#!/bin/sh\necho '{says}'\n")
        (folder / name).chmod(0o755)
    return folder


@pytest.mark.parametrize(
    ("says", "version", "major"),
    [
        ("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)", "15.18", 15),
        ("postgres (PostgreSQL) 18beta1", "18beta1", 18),
        ("postgres (PostgreSQL) 13.0", "13.0", 13),
    ],
)
def test_find_postgres_takes_programs_that_are_new_enough(tmp_path: Path, says: str, version: str, major: int) -> None:
    """The finder accepts PostgreSQL from 13 on."""
    folder = programs_in(tmp_path / "bin", says)
    found = find_postgres([folder])
    assert (found.folder, found.version, found.major) == (folder, version, major)


def test_find_postgres_passes_over_what_will_not_do_and_says_so(tmp_path: Path) -> None:
    """The error of the finder names each folder that it found, and what is wrong with it."""
    old = programs_in(tmp_path / "old", "postgres (PostgreSQL) 12.22")
    other = programs_in(tmp_path / "other", "something else")
    clients = programs_in(tmp_path / "clients", "postgres (PostgreSQL) 17.1", initdb=False)
    good = programs_in(tmp_path / "good", "postgres (PostgreSQL) 16.4")
    assert find_postgres([old, other, clients, good]).folder == good
    with pytest.raises(NoPostgresError, match="no PostgreSQL found: install it") as caught:
        find_postgres([old, other, clients])
    assert [said.split()[0] for said in caught.value.skipped] == [str(folder) for folder in (old, other, clients)]
    assert "\n" not in str(caught.value)


def test_installed_begins_with_the_server_on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server on PATH is preferred to those in the folders of a distribution, which follow by their majors."""
    folder = programs_in(tmp_path / "bin", "postgres (PostgreSQL) 14.1")
    monkeypatch.setenv("PATH", str(folder))
    first, *others = installed()
    assert first == folder
    majors = [int(path.parent.name.removeprefix("pgsql-")) for path in others]
    assert majors == sorted(majors, reverse=True)
