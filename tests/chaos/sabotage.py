"""Runs a service with one script broken, to see whether the checker notices: `python -m chaos.sabotage BUG worker ...`.

The product has no switch for this: the script is exchanged in the memory of the process.
"""

import sys

from msgspec import Struct

from millstream_cli.main import main
from millstream_streams.store import job_store
from millstream_streams.store.scripting import Script, load_script


class Bug(Struct, frozen=True, kw_only=True):
    """A mistake that a change could bring, and the promise that it breaks."""

    script: str
    right: str
    wrong: str
    promise: str
    """Whose rules have to complain of it."""
    words: str
    """What one of their complaints has to say."""


BUGS = {
    "accepted-and-forgotten": Bug(
        script="enqueue",
        right="-- One HSET for the common case, not make_ready's second one.",
        wrong="if string.find(id, 'chaos.slow', 1, true) then return 1 end",
        promise="1",
        words="was accepted and is nowhere",
    ),
    "key-not-remembered": Bug(
        script="enqueue",
        right="if not record then return nil end",
        wrong="if record or not record then return nil end",
        promise="1",
        words="was answered with different jobs",
    ),
    "retry-lost-before-due": Bug(
        script="commit",
        right="redis.call('ZADD', due, int(run_at), id)",
        wrong="",
        promise="1",
        words="never ended: it is scheduled",
    ),
    "recovery-skips-a-stream": Bug(
        script="recover",
        right="cursor == '' and ''",
        wrong="(cursor == '' or index == 2) and ''",
        promise="1",
        words="never ended: it is running",
    ),
    "commit-without-fence": Bug(
        script="commit",
        right="job[1] == 'running' and job[2] == token",
        wrong="job[1] == 'running'",
        promise="2",
        words="a zombie was let in",
    ),
    "lease-of-others-is-taken": Bug(
        script="recover",
        right="'reaper', lease_ms,",
        wrong="'reaper', 0,",
        promise="3",
        words="nothing had happened to that worker",
    ),
    "ack-without-delete": Bug(
        script="commit",
        right="redis.call('XDEL', ready[index], unpack(entries[index]))",
        wrong="",
        promise="places",
        words="it belongs at [] and stands at [('ready:",
    ),
    "hand-back-burns-a-crash": Bug(
        script="hand_back",
        right="'handbacks', int(",
        wrong="'crashes', '1', 'handbacks', int(",
        promise="events",
        words="tell of 0 crashes, and Redis of 1",
    ),
}


def load_sabotaged(name: str, wanted: str) -> Script:
    """Return a script, with the bug in it if it is the one that the bug is about."""
    bug, script = BUGS[name], load_script(wanted)
    if wanted != bug.script:
        return script
    assert bug.right in script.text, f"{bug.script}.lua has changed: mend the bug {name}"
    # Under a name that the server does not know: it knows the right one by its own.
    return Script(name=wanted, text=script.text.replace(bug.right, bug.wrong), sha="0" * 40)


if __name__ == "__main__":
    bug_name = sys.argv.pop(1)
    job_store.load_script = lambda wanted: load_sabotaged(bug_name, wanted)
    main()
