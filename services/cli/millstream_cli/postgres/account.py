"""Chooses the account of the embedded PostgreSQL, which refuses to run as root and to be set up without a name."""

import os
import pwd
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

from msgspec import Struct

from millstream_cli.errors import NoPostgresError

NAMES = ("postgres", "nobody")
"""The accounts that root takes for the server, in this order."""

# What the image of PostgreSQL uses for the same purpose.
_WRAPPERS = ("lib/*/libnss_wrapper.so", "usr/lib/*/libnss_wrapper.so", "usr/lib*/libnss_wrapper.so")


class Account(Struct, frozen=True):
    """The account that the programs run as."""

    uid: int
    gid: int
    name: str
    changes: bool = False
    """Whether it is another one than that of this process, which is root then."""
    wrapper: Path | None = None
    """The library that gives the account a name, where the system has none for it."""

    @property
    def ids(self) -> tuple[int, int]:
        """Return the numbers of the user and of the group."""
        return self.uid, self.gid

    def may_enter(self, folder: Path) -> bool:
        """Return whether the account can reach what is in a folder."""
        # Asked by a process of the account, because modes alone do not decide: there are access lists and namespaces.
        return not self.changes or self.run(["test", "-x", str(folder)]).returncode == 0

    def own(self, path: Path) -> None:
        """Give a file or folder to the account."""
        if self.changes:
            shutil.chown(path, self.uid, self.gid)

    def run(self, argv: Iterable[str]) -> "subprocess.CompletedProcess[bytes]":
        """Run a short command as the account."""
        return subprocess.run(  # noqa: S603
            list(argv),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            cwd="/",
            user=self.uid if self.changes else None,
            group=self.gid if self.changes else None,
            extra_groups=[] if self.changes else None,
        )

    def environ(self, environ: Mapping[str, str], names: Path) -> dict[str, str]:
        """Return the environment of the programs: without what configures another PostgreSQL, and with a name.

        `names` is where the files of the account's name may be written.
        """
        kept = {name: value for name, value in environ.items() if not name.startswith("PG")}
        return kept | self._naming(names) if self.wrapper else kept

    def _naming(self, names: Path) -> dict[str, str]:
        users, groups = names / "passwd", names / "group"
        users.write_text(f"{self.name}:x:{self.uid}:{self.gid}:::/bin/false\n")
        groups.write_text(f"{self.name}:x:{self.gid}:\n")
        return {"LD_PRELOAD": str(self.wrapper), "NSS_WRAPPER_PASSWD": str(users), "NSS_WRAPPER_GROUP": str(groups)}


def choose_account() -> Account:
    """Return the account for the server. Raises: NoPostgresError, when there is none that it would run as."""
    uid, gid = os.geteuid(), os.getegid()
    if uid == 0:
        return _account_for_root()
    try:
        return Account(uid, gid, pwd.getpwuid(uid).pw_name)
    except KeyError:
        wrapper = _find_wrapper()
    if wrapper is None:
        raise NoPostgresError(
            f"the user id {uid} has no name, and PostgreSQL is not set up without one: add it to /etc/passwd, or "
            "install libnss-wrapper"
        )
    return Account(uid, gid, "millstream", wrapper=wrapper)


def _account_for_root() -> Account:
    for name in NAMES:
        try:
            found = pwd.getpwnam(name)
        except KeyError:
            continue
        if found.pw_uid:
            return Account(found.pw_uid, found.pw_gid, name, changes=True)
    raise NoPostgresError(f"PostgreSQL does not run as root, and there is no account {' or '.join(NAMES)}")


def _find_wrapper() -> Path | None:
    return next((path for place in _WRAPPERS for path in Path("/").glob(place)), None)
