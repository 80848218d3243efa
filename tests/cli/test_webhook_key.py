"""The key of webhooks of a system that `up` runs."""

import stat
from pathlib import Path

from millstream_cli.settings import load
from millstream_cli.webhook_key import with_webhook_key
from millstream_workers.settings import WorkerSettings


def test_key_is_made_once_and_is_readable_by_its_owner_alone(tmp_path: Path) -> None:
    """A folder keeps one key, so that the secrets of endpoints stay the same when the system is started again."""
    folder = tmp_path / "data"
    first, second = (with_webhook_key({}, folder) for _ in range(2))
    (path,) = folder.iterdir()
    assert first == second == {"MILLSTREAM_WEBHOOK_KEY_FILE": str(path)}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    key = load(WorkerSettings, first).webhook_key
    assert key is not None
    assert len(key.reveal()) == 64


def test_key_of_the_user_stays(tmp_path: Path) -> None:
    """A key that the environment names is used, and none is made beside it."""
    for environ in ({"MILLSTREAM_WEBHOOK_KEY": "k" * 32}, {"MILLSTREAM_WEBHOOK_KEY_FILE": "/run/key"}):
        assert with_webhook_key(environ, tmp_path) == environ
    assert list(tmp_path.iterdir()) == []
