"""Reads the errors of Redis about a missing right. Every version words them differently.

Source: acl.c, script.c and scripting.c of Redis 6.2, 7.0, 8.2 and Valkey 9.
"""

import re
from enum import StrEnum

from msgspec import Struct

from millstream_streams.connection.diagnosis import causes


class RightKind(StrEnum):
    """The kinds of ACL rules."""

    COMMAND = "command"
    KEY = "key"
    CHANNEL = "channel"


class Refusal(Struct, frozen=True):
    """A command, key or channel that was refused."""

    kind: RightKind
    command: str = ""
    """The name of the command, such as `xgroup|create`; empty where Redis omits it: 6.2 and 7.0 within scripts."""

    def __str__(self) -> str:
        """Return the missing right."""
        if self.command:
            return f"the right `+{self.command}`"
        return _UNNAMED[self.kind]


_UNNAMED = {
    RightKind.COMMAND: "the right to a command that a script calls (`millstream doctor --for` names it)",
    RightKind.KEY: "a key pattern (`~...`) for one of our keys",
    RightKind.CHANNEL: "a channel pattern (`&...`) for our hints",
}
_NAMED = re.compile(r"no permissions to run the '([^']+)' command")
# To a user at the top level, and to the user of a script on Redis 6.2 and 7.0.
_SIGNS = re.compile(r"no permissions to (?:run|access)|No permissions to access|The user executing the script can't")


def refusal_behind(error: Exception) -> Refusal | None:
    """Return the refusal behind this error, or None when the call failed for another reason.

    The client of a cluster puts the response of a node behind an error of its own.
    """
    return next((refusal for cause in causes(error) if (refusal := read_refusal(str(cause)))), None)


def read_refusal(text: str) -> Refusal | None:
    """Return the refusal in an error of Redis, or None when it is about something else."""
    if not _SIGNS.search(text):
        return None
    if named := _NAMED.search(text):
        return Refusal(RightKind.COMMAND, named[1])
    if "channel" in text:
        return Refusal(RightKind.CHANNEL)
    return Refusal(RightKind.KEY if "key" in text else RightKind.COMMAND)
