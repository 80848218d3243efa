"""A key moves in the tables of `top`, opens the jobs of a row, or changes what is shown."""

import pytest
from cli.top.snapshots import snapshot

from millstream_cli.top.view import Table, View


def pressed(*keys: str, jobs: int = 5) -> View:
    """Return a view in which some keys were pressed."""
    view = View()
    for key in keys:
        view.press(key, snapshot(), jobs)
    return view


@pytest.mark.parametrize(
    ("keys", "row"),
    [
        ((), 0),
        (("j",), 1),
        (("j", "k", "k"), 0),
        (("down", "down", "down", "down"), 2),
        (("end",), 2),
        (("end", "home"), 0),
    ],
)
def test_the_selection_stays_in_its_table(keys: tuple[str, ...], row: int) -> None:
    """Keys move the selection by a row, ten rows, or to an end, and not out of the table."""
    view = pressed(*keys)
    assert view.at(snapshot(), view.table) == row


def test_each_table_keeps_its_selection() -> None:
    """Tab goes through the tables, and each keeps its own selected row."""
    view = pressed("j", "tab", "j", "tab", "tab")
    assert view.table is Table.QUEUES
    assert [view.at(snapshot(), table) for table in Table] == [1, 1, 0]


def test_a_table_that_has_become_shorter_has_its_last_row_selected() -> None:
    """A selection beyond the end of a table is that of its last row."""
    view = pressed("end")
    assert view.at(snapshot(queues=1), Table.QUEUES) == 0


@pytest.mark.parametrize(
    ("keys", "type", "q"),
    [
        (("j", "enter"), "t.1", None),
        (("j", "end", "enter", "escape", "home", "enter"), "t.0", None),
        (("tab", "tab", "enter"), "t.0", 'type:t.0 fingerprint:"f1" state:dead since:1d'),
    ],
)
def test_a_row_leads_to_its_jobs(keys: tuple[str, ...], type: str, q: str | None) -> None:
    """Enter opens the jobs of the selected row, and Esc leaves them."""
    view = pressed(*keys)
    assert view.jobs is not None
    assert (view.jobs.type, view.jobs.q) == (type, q)
    view.press("j", snapshot(), 2)
    view.press("j", snapshot(), 2)
    assert view.job_at == 1
    view.press("escape", snapshot(), 2)
    assert view.jobs is None


def test_help_goes_with_any_key() -> None:
    """The list of keys is closed by the next key, which does nothing else."""
    view = pressed("?", "q")
    assert not (view.has_help)
    assert not (view.has_quit)
    assert pressed("q").has_quit
    assert pressed("p").is_paused
    assert not pressed("p", "p").is_paused


def test_keys_without_a_meaning_do_nothing() -> None:
    """A key without a meaning changes nothing, as does Enter in an empty table."""
    view = View()
    for key in ("x", "\x00", "enter", "j"):
        view.press(key, snapshot(queues=0), 0)
    assert view.jobs is None


def test_a_worker_leads_to_its_jobs_of_the_last_day() -> None:
    """The jobs of a worker are searched for in the last day alone: a search without a bound would take long."""
    view = pressed("tab", "j", "enter")
    assert view.jobs is not None
    worker = snapshot().workers[1].name
    assert (view.jobs.q, view.jobs.type) == (f'worker:"{worker}" since:1d', "")


@pytest.mark.parametrize(("keys", "at"), [(("page down",), 10), (("end", "page up"), 89), (("end",), 99)])
def test_pages_are_ten_rows(keys: tuple[str, ...], at: int) -> None:
    """A page is ten rows, of a table and of a page of jobs alike, which begins at its first row each time."""
    table, jobs = View(), pressed("enter", "j", "j", "escape", "enter", jobs=100)
    assert jobs.job_at == 0
    for key in keys:
        table.press(key, snapshot(queues=100), 0)
        jobs.press(key, snapshot(), 100)
    assert (table.at(snapshot(queues=100), Table.QUEUES), jobs.job_at) == (at, at)
