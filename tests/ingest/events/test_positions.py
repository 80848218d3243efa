"""The reader reads the queues that are asked for, each from the moment on at which it was first asked for."""

from millstream_contracts import DEFAULT_TENANT, JobType, Queue, Tenant
from millstream_ingest.events.positions import Positions, is_in

MAIL, REPORT = Queue(DEFAULT_TENANT, JobType("email.send")), Queue(DEFAULT_TENANT, JobType("report"), 3)
FOREIGN = Queue(Tenant("other"), JobType("email.send"))
ALL = [MAIL, REPORT, FOREIGN]


def test_only_queues_in_a_scope_are_read() -> None:
    """A scope is a tenant, a type of it, or one queue."""
    positions = Positions()
    positions.want((DEFAULT_TENANT, "report", 3), 5)
    positions.arrange(ALL)
    assert positions.by_queue == {REPORT: "5-0"}
    positions.want((DEFAULT_TENANT,), 7)
    positions.arrange(ALL)
    assert positions.by_queue == {REPORT: "5-0", MAIL: "7-0"}
    assert [is_in(queue, (DEFAULT_TENANT, "email.send")) for queue in ALL] == [True, False, False]


def test_a_queue_that_is_read_goes_on_where_it_is() -> None:
    """A further reader moves no position, neither back nor forth."""
    positions = Positions()
    positions.want((DEFAULT_TENANT,), 5)
    positions.arrange(ALL)
    positions.move(MAIL, "9-1")
    positions.want((DEFAULT_TENANT, "email.send"), 20)
    positions.arrange(ALL)
    assert positions.by_queue[MAIL] == "9-1"


def test_what_the_last_reader_leaves_is_not_read() -> None:
    """A scope is read while one of those who asked for it is there, and later anew."""
    positions = Positions()
    positions.want((DEFAULT_TENANT,), 5)
    positions.want((DEFAULT_TENANT,), 6)
    positions.unwant((DEFAULT_TENANT,))
    positions.arrange(ALL)
    assert positions.by_queue.keys() == {MAIL, REPORT}
    positions.unwant((DEFAULT_TENANT,))
    positions.arrange(ALL)
    assert (positions.by_queue, positions.scopes) == ({}, {})
    positions.want((DEFAULT_TENANT,), 50)
    positions.arrange(ALL)
    assert positions.by_queue[MAIL] == "50-0"
