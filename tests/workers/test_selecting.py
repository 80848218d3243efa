"""A worker selects handlers and queues, and gets a name."""

import os

import pytest

from millstream import App
from millstream_contracts import Tenant
from millstream_streams import consumer_name
from millstream_workers.assembly import queues_of
from millstream_workers.errors import NoHandlersError
from millstream_workers.service import select_handlers


@pytest.fixture
def app() -> App:
    """Return an app with three types, one of them partitioned."""
    app = App("shop")

    @app.job("invoice.send")
    async def send() -> None: ...

    @app.job("invoice.print", partitions=3)
    async def print_it() -> None: ...

    @app.job("mail")
    async def mail() -> None: ...

    return app


@pytest.mark.parametrize(
    ("patterns", "types"),
    [
        (["*"], {"invoice.send", "invoice.print", "mail"}),
        (["invoice.*"], {"invoice.send", "invoice.print"}),
        (["mail", "invoice.s*"], {"invoice.send", "mail"}),
        (["mail", "*"], {"invoice.send", "invoice.print", "mail"}),
    ],
)
def test_handlers_are_selected_by_shell_patterns(app: App, patterns: list[str], types: set[str]) -> None:
    """A type that any of the shell patterns matches is selected once."""
    assert set(select_handlers(app, patterns)) == types


@pytest.mark.parametrize("patterns", [["male"], ["*", "male"], ["mail", "invoice.x*"]])
def test_a_pattern_without_a_handler_is_refused(app: App, patterns: list[str]) -> None:
    """A pattern that matches no handler is refused, because a misspelt type would have no worker."""
    with pytest.raises(NoHandlersError):
        select_handlers(app, patterns)


def test_a_misspelt_type_gets_a_suggestion(app: App) -> None:
    """The error about a misspelt type suggests the right one."""
    with pytest.raises(NoHandlersError, match="did you mean `mail`"):
        select_handlers(app, ["mial"])


def test_a_worker_serves_every_partition_of_its_types(app: App) -> None:
    """A worker serves every partition of its types, in its own tenant only."""
    queues = queues_of(Tenant("acme"), select_handlers(app, ["invoice.*"]))
    assert {queue.tag for queue in queues} == {
        "acme/invoice.send/00",
        "acme/invoice.print/00",
        "acme/invoice.print/01",
        "acme/invoice.print/02",
    }


def test_a_worker_has_a_new_name_at_each_start() -> None:
    """A worker has a new name at each start. A name that comes back, as that of a pod, would confuse recovery."""
    first, second = consumer_name(), consumer_name()
    assert first != second
    assert first.split(":")[-2] == str(os.getpid())
