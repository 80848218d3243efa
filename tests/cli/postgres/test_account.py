"""The account of the embedded PostgreSQL is none that the server would refuse."""

import os
import pwd
from pathlib import Path

import pytest

from millstream_cli.errors import NoPostgresError
from millstream_cli.postgres.account import NAMES, Account, choose_account

NAMELESS = 54_321


def test_root_takes_another_account(tmp_path: Path) -> None:
    """Root has the server run as `postgres` or `nobody`; any other user has it run as that user."""
    found = choose_account()
    if os.geteuid() == 0:
        assert found.name in NAMES
        assert found.uid == pwd.getpwnam(found.name).pw_uid != 0
        assert found.changes
    else:
        assert (found.uid, found.changes) == (os.geteuid(), False)


def test_a_user_without_a_name_is_told_what_to_do(as_user) -> None:
    """A user id without an entry in the system's list cannot set PostgreSQL up, and the error says what helps."""

    def choose() -> str:
        try:
            found = choose_account()
        except NoPostgresError as error:
            return str(error)
        return str(found.wrapper)

    said = as_user(NAMELESS, choose)
    assert "libnss_wrapper" in said or f"the user id {NAMELESS} has no name" in said


def test_an_account_that_changes_knows_what_it_may_enter(data: Path, tmp_path: Path) -> None:
    """A folder that the account cannot reach is noticed, wherever on the way to it the obstacle is."""
    if os.geteuid() != 0:
        pytest.skip("only root can run something as another user")
    account = Account(NAMELESS, NAMELESS, "nameless", changes=True)
    data.mkdir()
    closed = data / "closed"
    (closed / "inside").mkdir(parents=True)
    closed.chmod(0o700)
    assert account.may_enter(data)
    assert not account.may_enter(closed)
    assert not account.may_enter(closed / "inside")


def test_the_programs_do_not_see_what_configures_another_postgres(tmp_path: Path) -> None:
    """Variables such as PGPORT are for clients of another server."""
    account = Account(1, 1, "one")
    assert account.environ({"PGPORT": "1", "PGDATA": "/x", "PATH": "/bin"}, tmp_path) == {"PATH": "/bin"}


def test_a_wrapper_gets_the_name_of_the_account(tmp_path: Path) -> None:
    """The library that names the account reads the name from files in the given folder."""
    account = Account(NAMELESS, NAMELESS, "millstream", wrapper=Path("/lib/libnss_wrapper.so"))
    environ = account.environ({}, tmp_path)
    assert environ["LD_PRELOAD"] == "/lib/libnss_wrapper.so"
    assert Path(environ["NSS_WRAPPER_PASSWD"]).read_text().startswith(f"millstream:x:{NAMELESS}:{NAMELESS}:")
    assert Path(environ["NSS_WRAPPER_GROUP"]).read_text() == f"millstream:x:{NAMELESS}:\n"
