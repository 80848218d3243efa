"""A folder that other accounts can enter, as the server's may be another one, and forked processes of other users."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from millstream_cli.errors import NoPostgresError
from millstream_cli.postgres.finder import PostgresPrograms, find_postgres


@pytest.fixture
def programs() -> PostgresPrograms:
    """Return the PostgreSQL of this machine."""
    try:
        return find_postgres()
    except NoPostgresError as error:
        pytest.skip(str(error))


@pytest.fixture
def data() -> Iterator[Path]:
    """Yield a folder that does not exist yet, with a space and a comma in its name, in one that is open to all."""
    # Those of pytest are closed to other accounts.
    folder = Path(tempfile.mkdtemp(prefix="millstream-test-"))
    folder.chmod(0o755)
    yield folder / "some data, here"
    shutil.rmtree(folder)


@pytest.fixture
def as_user() -> Callable[[int, Callable[[], str]], str]:
    """Return a function that runs another one as a user without a name, and returns its result."""
    if os.geteuid() != 0:
        pytest.skip("only root can run something as another user")

    def run(uid: int, work: Callable[[], str]) -> str:
        reading, writing = os.pipe()
        child = os.fork()
        if not child:
            try:
                os.setgroups([])
                os.setgid(uid)
                os.setuid(uid)
                os.write(writing, work().encode())
            finally:
                os._exit(0)
        os.close(writing)
        with os.fdopen(reading) as result:
            text = result.read()
        os.waitpid(child, 0)
        return text

    return run
