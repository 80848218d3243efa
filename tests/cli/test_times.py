"""The times of the command line have the magnitude that people and the processes below it count on."""

from millstream_cli import child, embedded, folder_lock, parent_watch, readiness, supervisor, system, worker_pool
from millstream_cli.child import ChildSpec
from millstream_cli.postgres import server
from millstream_cli.reloading import reloader
from millstream_cli.rendering import people_printer
from millstream_cli.top import command, feed
from millstream_workers.keeping.draining import STUBBORN_S
from millstream_workers.settings import WorkerSettings


def test_a_child_that_fails_is_started_again_soon_and_given_up_within_minutes() -> None:
    """Restarts begin within a second, are never more than a minute apart, and end where a child never starts well."""
    spec = ChildSpec(name="a", argv=("a",))
    pauses = [supervisor.backoff_s(number) for number in range(1, spec.restarts + 1)]
    assert pauses[0] <= 1.0
    assert 10.0 <= supervisor.backoff_s(100) <= 60.0
    assert 3 <= spec.restarts <= 10
    assert 5.0 <= sum(pauses) <= 60.0
    assert 5.0 <= spec.healthy_after_s <= 120.0
    assert spec.healthy_after_s > max(pauses)


def test_servers_have_some_seconds_to_start_and_to_end() -> None:
    """A server that says nothing is given up within two minutes, and a folder in use is waited for some seconds."""
    assert 5.0 <= embedded.PATIENCE_S <= 60.0
    assert 10.0 <= server.PATIENCE_S <= 120.0
    assert 1.0 <= folder_lock._WAIT_S <= 10.0
    assert 1.0 <= parent_watch.GRACE_S <= 10.0
    assert 0.2 <= parent_watch._POLL_S <= 2.0
    assert 3 <= embedded._PORT_TRIES <= 20
    assert 0.5 <= child._LAST_WORDS_S <= 5.0


def test_a_system_that_stops_gives_its_workers_the_usual_grace() -> None:
    """The time of a stage covers the grace and the clean-up of a worker as they are by default."""
    usual = WorkerSettings()
    assert usual.grace_s + usual.cleanup_s + STUBBORN_S <= system.STOP_GRACE_S
    assert system.STOP_GRACE_S <= 60.0
    assert 30.0 <= system.READY_WITHIN_S <= 180.0
    assert 2.0 <= worker_pool.LONGER_THAN_GRACE_S <= 15.0
    assert 1.0 <= readiness._ANSWER_S <= 10.0
    assert readiness._ASK_EVERY_S <= 0.5


def test_a_developer_waits_seconds_for_new_code() -> None:
    """A reload hands jobs back within some seconds, and gives up a check that hangs and a worker that keeps ending."""
    assert 1.0 <= reloader.DRAIN_S <= 5.0
    assert 10.0 <= reloader.CHECK_WITHIN_S <= 60.0
    assert 1 <= reloader.RESTARTS <= 5


def test_what_a_terminal_shows_is_fresh_and_can_be_read() -> None:
    """A key is heard within half a second, a screen is left within two, and a second has few lines of successes."""
    assert 0.05 <= command.KEYS_WITHIN_S <= 0.5
    assert feed.LEAVES_WITHIN_S <= 2.0
    assert 5 <= people_printer.SHOWN_SUCCESSES_A_SECOND <= 20
