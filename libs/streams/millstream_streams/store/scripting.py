"""Loads the Lua scripts once, and sends them by content hash; each is one transition.

The header of a script names the parts that it needs, files of scripts/ whose names begin with `_`; they are put before
it. So a script contains only what it uses, and a feature adds a part of its own. A part may hold others, which are put
into its function, so that a script which does not call that function makes none of theirs.
"""

import hashlib
import re
from collections.abc import Awaitable, Callable, Sequence
from functools import cache, partial
from importlib.resources import files
from textwrap import indent
from typing import Any

from msgspec import Struct
from redis.asyncio.cluster import RedisCluster
from redis.exceptions import NoScriptError

Argument = str | bytes | int

_FOLDER = files("millstream_streams") / "scripts"

FLEET = "fleet/"
"""The prefix of the names of the registry's scripts."""

SCHEDULES = "schedules/"
"""The prefix of the names of the scripts about schedules."""

WORKFLOWS = "workflows/"
"""The prefix of the names of the scripts about workflows."""

BATCHES = "batches/"
"""The prefix of the names of the scripts about batches."""

ACCESS = "access/"
"""The prefix of the names of the scripts about keys of the API."""

AUDIT = "audit/"
"""The prefix of the names of the scripts about the audit trail."""

_NEEDS = re.compile(r"^-- Needs +(\w+(?: \w+)*)$", re.MULTILINE)
_HOLDS = re.compile(r"^( +)-- Holds +(\w+(?: \w+)*)$", re.MULTILINE)


class Script(Struct, frozen=True):
    """A script with the parts that it needs in front of it."""

    name: str
    text: str
    sha: str
    """The hash for EVALSHA. Two releases side by side each call their own."""


@cache
def load_script(name: str) -> Script:
    """Return a script of this package by the path of its file, without its suffix. Raises: FileNotFoundError."""
    own = read_source(name)
    return script_of(name, "\n".join([*(read_source(f"_{part}") for part in parts_of(own)), own]))


def script_of(name: str, text: str) -> Script:
    """Return a script with this text."""
    return Script(name=name, text=text, sha=hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())


def parts_of(source: str) -> list[str]:
    """Return the parts that a script names in the line `-- Needs` of its header, in their order."""
    found = _NEEDS.search(source)
    return found[1].split() if found else []


def read_source(name: str) -> str:
    """Return the text of one file of scripts/, by its path without its suffix. A part's name begins with `_`.

    Parts that it holds stand in place of the line that names them, as far to the right as that.
    """
    text = (_FOLDER / f"{name}.lua").read_text()
    return _HOLDS.sub(
        lambda found: "\n".join(indent(read_source(f"_{part}"), found[1]) for part in found[2].split()), text
    )


def held_parts(name: str) -> list[str]:
    """Return the parts that a part holds, in their order."""
    found = _HOLDS.search((_FOLDER / f"_{name}.lua").read_text())
    return found[2].split() if found else []


def script_names(folder: str = "") -> list[str]:
    """Return the names of all scripts about queues, or those of a folder, such as :data:`FLEET`."""
    names = (entry.name for entry in (_FOLDER / folder).iterdir())
    found = sorted(name.removesuffix(".lua") for name in names if not name.startswith("_") and name.endswith(".lua"))
    return [folder + name for name in found]


def packed(parts: Sequence[str | bytes]) -> bytes:
    """Return texts as a MessagePack array of strings; what is binary too, because cmsgpack knows no other type."""
    raw = [part.encode() if isinstance(part, str) else part for part in parts]
    return b"".join([b"\xdd", len(raw).to_bytes(4), *(b"\xdb" + len(one).to_bytes(4) + one for one in raw)])


async def run_script(
    client: Any, script: Script, keys: tuple[str, ...], arguments: list[Argument], *, then: tuple[Argument, ...] = ()
) -> Any:
    """Run a script, and send its text only when the server does not know it.

    A server forgets scripts at a restart or a failover. EVALSHA is sent alone, never in a pipeline: there a NOSCRIPT
    would arrive while the commands beside it are applied, and redis-py's cluster client refuses it.

    `then` is a command to be sent behind the script on the same connection; both are answered then, as a list.
    """
    if not then:
        return await _run(client.execute_command, script, keys, arguments)
    if isinstance(client, RedisCluster):
        return await _run(partial(client.execute_command, then=then), script, keys, arguments)
    async with client.client() as connection:
        reply = await _run(connection.execute_command, script, keys, arguments)
        return [reply, await connection.execute_command(*then)]


async def _run(
    execute: Callable[..., Awaitable[Any]], script: Script, keys: tuple[str, ...], arguments: list[Argument]
) -> Any:
    try:
        return await execute("EVALSHA", script.sha, len(keys), *keys, *arguments)
    except NoScriptError:
        return await execute("EVAL", script.text, len(keys), *keys, *arguments)
