"""Names the tests of the store that do not run on every server, by module or test, with the reason."""

from redis_servers import RedisSource, Servers

_TESTS_OF_TESTS = "it tests the tests, and one server shows whether they can fail"
_TEXT = "it is about text that is refused before a server sees it"
_NAMES_SINGLE = "it expects a single server, and the cluster and Sentinel have such a test of their own"
_PROXY = "its proxy stands before one server, and answers here come from others"
_OURS = "it is about what scripts say, and every server does what they say"
_ASKS_ONE = "it asks one server who listens, and each of a cluster knows only its own listeners"

ONCE = {
    "test_connections.test_a_broker_and_all_that_it_opened_leave_no_connection": "it asks one server for its clients",
    "test_hints_of_scripts": _OURS,
    "test_second_lives": _OURS,
    "test_mutations": _TESTS_OF_TESTS,
    "test_unique_machine.test_random_transitions_find_what_breaks_unique_keys": _TESTS_OF_TESTS,
    "test_listing.test_a_forged_cursor_is_refused": _TEXT,
}
"""Tests that run on the default server alone."""

NOT_ON = {
    "sentinel": {
        "test_capabilities.test_probe_tells_what_the_server_says": _NAMES_SINGLE,
        "test_lost_answers": _PROXY,
        "test_pipelined.test_a_lost_connection_is_told_to_all_and_made_anew": _PROXY,
        "test_pipelined.test_connections_are_of_redis_py_s_making": "it takes the URL of a single server apart",
    },
    "cluster": {
        "test_capabilities.test_probe_tells_what_the_server_says": _NAMES_SINGLE,
        "test_lost_answers": _PROXY,
        "test_pipelined": "a cluster's own client is used there",
        "test_cancel.test_cancel_hints_at_the_worker": _ASKS_ONE,
        "test_hints.test_a_gap_is_told_once_the_server_listens": _ASKS_ONE,
        "test_watch.test_settled_hints_come_for_watched_jobs_only": _ASKS_ONE,
        "test_hints.test_a_listener_waits_longer_after_each_failure_and_begins_anew_once_it_listens": (
            "it cuts the connections of one server"
        ),
        "test_hints.test_listening_goes_on_when_its_connection_is_cut": "it cuts the connections of one server",
        "test_faults.test_scripts_are_sent_again_when_the_server_forgot_them": (
            "it asks every server for the script, and only that of the queue has it; test_cluster has its own"
        ),
        "test_reading.test_a_blocking_read_is_never_cut_by_its_own_socket": "a cluster has a pool for each node",
        "test_reading.test_interrupt_ends_the_read_that_is_under_way": "on a cluster a read ends by itself",
    },
}
"""Tests that do not run on some servers, by mode."""

EVERY_PROGRAM = {"test_capabilities", "test_failover", "test_least_rights", "test_moving_slots", "test_rights"}
"""Modules that start servers of their own, of every program, since the replies to scripts differ between programs."""


def servers_of(module: str, test: str, servers: Servers) -> list[RedisSource]:
    """Return the servers on which a test runs."""
    own_name = module.rpartition(".")[2]
    names = {own_name, f"{own_name}.{test}"}
    if names & ONCE.keys():
        return [servers.default]
    return [one for one in servers.every.values() if not names & NOT_ON.get(one.mode, {}).keys()]


def is_for_every_program(module: str) -> bool:
    """Return whether the tests of a module start a server of every installed kind themselves."""
    return module.rpartition(".")[2] in EVERY_PROGRAM
