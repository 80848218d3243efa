"""Runs a service with one broken script, which the checker must notice: `python -m chaos.sabotage BUG worker ...`.

The product has no switch for this: the script is exchanged in the memory of the process.
"""

import sys

from msgspec import Struct
from streams.planting import Bug

from millstream_cli.main import main
from millstream_streams.store import script_runner


class Sabotage(Struct, frozen=True, kw_only=True):
    """A bug in a script, and the promise that it breaks."""

    bug: Bug
    promise: str
    """The promise whose rules have to complain of it."""
    words: str
    """The words that one of their complaints has to contain."""


BUGS = {
    "accepted-and-forgotten": Sabotage(
        bug=Bug(
            "enqueue", "accepted-and-forgotten", "if string.find(id, 'chaos.slow', 1, true) then return 1 end\n{line}"
        ),
        promise="1",
        words="was accepted and is nowhere",
    ),
    "key-not-remembered": Sabotage(
        bug=Bug("enqueue", "never-remembered", "do return nil end"),
        promise="1",
        words="was answered with different jobs",
    ),
    "retry-lost-before-due": Sabotage(
        bug=Bug("commit", "not-in-due"),
        promise="1",
        words="never ended: it is scheduled",
    ),
    "recovery-skips-a-stream": Sabotage(
        bug=Bug("recover", "stream-skipped", "local cursor = index == 2 and '' or ARGV[5 + index]"),
        promise="1",
        words="never ended: it is running",
    ),
    "commit-without-fence": Sabotage(
        bug=Bug("commit", "no-fence", "local is_ours = state == 'running'"),
        promise="2",
        words="a zombie was let in",
    ),
    "lease-of-others-is-taken": Sabotage(
        bug=Bug("recover", "lease-of-others", "{line}\nlease_ms = '0'"),
        promise="3",
        words="nothing had happened to that worker",
    ),
    "one-parent-suffices": Sabotage(
        bug=Bug("resolve", "first-parent-suffices"),
        promise="dependencies",
        words="had ended",
    ),
    "one-edge-suffices": Sabotage(
        bug=Bug("workflows/note", "first-edge-suffices"),
        promise="scenario",
        words="had ended",
    ),
    "one-member-suffices": Sabotage(
        bug=Bug("batches/note", "completes-while-open", "if true then"),
        promise="scenario",
        words="began before all members had ended",
    ),
    "limit-not-counted": Sabotage(
        bug=Bug("claim", "unlimited"),
        promise="scenario",
        words="ran at once, and the limit is",
    ),
    "place-not-freed": Sabotage(
        bug=Bug("commit", "slot-leaks"),
        promise="places",
        words=": 1}, and streams hold {}",
    ),
    "quota-not-counted": Sabotage(
        bug=Bug("claim", "beyond-its-quota"),
        promise="scenario",
        words="ran at once, and its quota is",
    ),
    "key-has-two-jobs": Sabotage(
        bug=Bug("enqueue", "two-holders", "if true then return nil end"),
        promise="scenario",
        words="got the key",
    ),
    "key-stays": Sabotage(
        bug=Bug("commit", "key-stays"),
        promise="places",
        words="its key is not free",
    ),
    "ack-without-delete": Sabotage(
        bug=Bug("commit", "ack-without-delete"),
        promise="places",
        words="it belongs at [] and stands at [('ready:",
    ),
    "hand-back-burns-a-crash": Sabotage(
        bug=Bug("hand_back", "costs-a-crash", "{line}\nredis.call('HSET', key, 'crashes', '1')"),
        promise="events",
        words="tell of 0 crashes, and Redis of 1",
    ),
}


if __name__ == "__main__":
    bug_name = sys.argv.pop(1)
    script_runner.load_script = BUGS[bug_name].bug.load
    main()
