"""Reads the users of deploy/redis/users.acl, and writes the file for a server with passwords that tests know."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec import Struct
from topologies.nodes import Access

USERS = Path(__file__).parents[1] / "deploy" / "redis" / "users.acl"
SENTINEL_USERS = USERS.with_name("sentinel-users.acl")
PLACEHOLDER = "#" + 64 * "0"
ADMIN_ACCESS = Access(username="admin", password="secret-of-admin")
"""The user with all rights, on servers of tests only."""


class Grants(Struct, frozen=True):
    """The rights of a user."""

    commands: set[str]
    keys: set[str]
    channels: set[str]
    other: list[str]
    """All other rules, in their order."""


def grants_of(path: Path = USERS) -> dict[str, Grants]:
    """Return the users of a file, by name."""
    rows = [line.split() for line in path.read_text().splitlines() if line]
    return {name: _grants(rules) for _, name, *rules in rows}


def _grants(rules: list[str]) -> Grants:
    return Grants(
        commands={rule[1:] for rule in rules if rule.startswith("+")},
        keys={rule[1:] for rule in rules if rule.startswith("~")},
        channels={rule[1:] for rule in rules if rule.startswith("&")},
        other=[rule for rule in rules if rule[0] not in "+~&"],
    )


def password_of(user: str) -> str:
    """Return the password that a test gives a user."""
    return f"secret-of-{user}"


def as_user(url: str, user: str) -> str:
    """Return an address with a user in it."""
    return url.replace("://", f"://{user}:{password_of(user)}@", 1)


def write_users(
    path: Path,
    *,
    namespace: str = "ms",
    source: Path = USERS,
    more: Mapping[str, str] = {},
    others: Sequence[str] = (),
) -> Path:
    """Write the file as an operator does: password digests, a namespace, and an administrator.

    `more` are rules for some of the users, `others` are lines for users that the file does not have.
    """
    lines = []
    for line in [*source.read_text().splitlines(), *others]:
        words = line.replace("~ms:", f"~{namespace}:").replace("&ms:", f"&{namespace}:").split()
        if words:
            digest = hashlib.sha256(password_of(words[1]).encode()).hexdigest()
            words = [f"#{digest}" if word == PLACEHOLDER else word for word in words]
            lines.append(" ".join([*words, more.get(words[1], "")]))
    lines.append(f"user {ADMIN_ACCESS.username} on >{ADMIN_ACCESS.password} ~* &* +@all")
    path.write_text("\n".join(lines) + "\n")
    return path
