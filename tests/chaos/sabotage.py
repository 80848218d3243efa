"""Runs a service with one script broken, to see whether the checker notices: `python -m chaos.sabotage BUG worker ...`.

The product has no switch for this: the script is exchanged in the memory of the process.
"""

import sys

from msgspec import Struct

from millstream_cli.main import main
from millstream_streams import store
from millstream_streams.scripting import Script, load_script


class Bug(Struct, frozen=True):
    """A mistake that somebody could make, and the promise that it breaks."""

    script: str
    right: str
    wrong: str
    promise: str
    """How the checker's complaint about it begins."""


BUGS = {
    "commit-without-fence": Bug("commit", "job[1] == 'running' and job[2] == token", "job[1] == 'running'", "2"),
    "ack-without-delete": Bug("commit", "redis.call('XDEL', ready[index], unpack(entries[index]))", "", "places"),
    "recovery-skips-a-stream": Bug("recover", "cursor == '' and ''", "(cursor == '' or index == 2) and ''", "1"),
    "retry-lost-before-due": Bug("commit", "redis.call('ZADD', due, int(run_at), id)", "", "1"),
    "hand-back-burns-a-crash": Bug(
        "hand_back",
        "'handbacks', int((tonumber(job[7]) or 0) + 1)",
        "'handbacks', int((tonumber(job[7]) or 0) + 1), 'crashes', '1'",
        "events",
    ),
    "lease-of-others-is-taken": Bug("recover", "'reaper', lease_ms,", "'reaper', 0,", "3"),
}


def load_sabotaged(name: str, wanted: str) -> Script:
    """Return a script, with the bug in it if it is the one that the bug is about."""
    bug, script = BUGS[name], load_script(wanted)
    if wanted != bug.script:
        return script
    assert bug.right in script.text, f"{bug.script}.lua has changed: mend this bug"
    # Under a name that the server does not know: it knows the right one by its own.
    return Script(name=wanted, text=script.text.replace(bug.right, bug.wrong), sha="0" * 40)


if __name__ == "__main__":
    bug_name = sys.argv.pop(1)
    store.load_script = lambda wanted: load_sabotaged(bug_name, wanted)
    main()
