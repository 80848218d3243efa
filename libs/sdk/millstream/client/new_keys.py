"""Keys of the API as the calls of clients describe them."""

from collections.abc import Iterable
from enum import StrEnum
from typing import TypeVar

from millstream.seconds import Seconds, in_seconds
from millstream_contracts import KeyRotation, NewApiKey, NewSession, RequestLimits, Role, Scope, did_you_mean

Word = TypeVar("Word", bound=StrEnum)


def new_key(
    name: str,
    role: Role | str | None,
    scopes: Iterable[Scope | str] | None,
    expires_in: Seconds | None,
    *,
    tenant: str | None = None,
    types: Iterable[str] = (),
    networks: Iterable[str] = (),
    limits: RequestLimits | None = None,
) -> NewApiKey:
    """Return a key to be made. Raises: TypeError, ValueError."""
    for words, kind in ((scopes, "scopes"), (types, "types"), (networks, "networks")):
        if isinstance(words, str):
            raise TypeError(f"{kind} are a list; one text would be taken for a list of letters")
    return NewApiKey(
        name=name,
        role=None if role is None else _word(Role, role),
        scopes=None if scopes is None else [_word(Scope, scope) for scope in scopes],
        expires_in_s=None if expires_in is None else in_seconds(expires_in),
        tenant=tenant,
        types=list(types),
        networks=list(networks),
        limits=limits,
    )


def key_rotation(overlap: Seconds | None) -> KeyRotation:
    """Return how a key gives way to its successor."""
    return KeyRotation() if overlap is None else KeyRotation(overlap_s=in_seconds(overlap))


def new_session(expires_in: Seconds | None, nonce_secret: str | None = None) -> NewSession:
    """Return a session to be opened."""
    if expires_in is None:
        return NewSession(nonce_secret=nonce_secret)
    return NewSession(expires_in_s=in_seconds(expires_in), nonce_secret=nonce_secret)


def _word(kind: type[Word], word: str) -> Word:
    try:
        return kind(word)
    except ValueError:
        raise ValueError(f"there is no {kind.__name__.lower()} `{word}`{did_you_mean(word, list(kind))}") from None
