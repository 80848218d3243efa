"""What a client of the API may do, so that a page neither asks for nor offers what would be refused.

It is a courtesy to people: ingest checks each request by itself.
"""

from collections.abc import Iterable
from weakref import WeakKeyDictionary

from millstream import Client
from millstream_contracts import Scope

_scopes: "WeakKeyDictionary[Client, frozenset[Scope]]" = WeakKeyDictionary()


def note_rights(client: Client, scopes: Iterable[Scope]) -> None:
    """Keep what a client may do, as long as it is there."""
    _scopes[client] = frozenset(scopes)


def may(client: Client, scope: Scope) -> bool:
    """Return whether a client may do something; a client of which nothing is known may try."""
    known = _scopes.get(client)
    return known is None or scope in known
