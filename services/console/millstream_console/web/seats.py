"""The sessions that people look at the console with: each has a client of its own, and acts with no other rights.

The console has no key. What a request of a person asks of ingest goes there with the session of that person, so no
defect of the console can show a person more than the session allows.
"""

import time
from collections.abc import Callable
from hashlib import sha256

from millstream import AccessError, Client, UnavailableError
from millstream_console.live.hub import UNAUTHENTICATED
from millstream_console.live.view import Reader
from millstream_contracts import PrincipalInfo, Scope

MOST_SEATS = 1_000
"""Sessions that are remembered; of another one it is asked anew who it is."""

KNOWN_FOR_S = 2.0
"""How long it is taken for granted who a session is: then a page that asks nothing else notices that it has ended."""


class SignInNeededError(Exception):
    """Ingest asks for credentials, and the request has none, or a session that has ended."""


class Seat:
    """One session, or what everyone shares where ingest asks for no credentials."""

    def __init__(self, client: Client, reader: Reader, principal: PrincipalInfo) -> None:
        self.client = client
        self.reader = reader
        self.principal = principal
        self.checked_at = time.monotonic()

    @property
    def is_open(self) -> bool:
        """Whether ingest asks for no credentials."""
        return self.principal.key_id is None and self.principal.subject is None

    def may(self, scope: Scope | str) -> bool:
        """Return whether the session allows what a route of ingest needs."""
        return scope in self.principal.scopes


OpenClient = Callable[[str], Client]
"""Returns a client with a token, or one without for an empty one. Raises: ValueError for what is no token."""

MakeReader = Callable[[Client, str, PrincipalInfo], Reader]
"""Returns what reads pages with a client; the text tells readers apart."""


class Seats:
    """The seats by the tokens of their sessions; the one that was used the longest ago goes first."""

    def __init__(self, open_client: OpenClient, make_reader: MakeReader) -> None:
        self.open_client = open_client
        self._make_reader = make_reader
        self._seats: dict[str, Seat] = {}

    async def of(self, token: str) -> Seat:
        """Return the seat of a session. Raises: SignInNeededError, ApiError."""
        key = sha256(token.encode()).hexdigest() if token else ""
        seat = self._seats.pop(key, None)
        if seat is None or time.monotonic() - seat.checked_at >= KNOWN_FOR_S:
            seat = await self._checked(key, token, seat)
        self._seats[key] = seat
        while len(self._seats) > MOST_SEATS:
            del self._seats[next(iter(self._seats))]
        return seat

    def forget(self, token: str) -> None:
        """Forget a session that was ended."""
        self._seats.pop(sha256(token.encode()).hexdigest(), None)

    async def _checked(self, key: str, token: str, seat: Seat | None) -> Seat:
        try:
            client = seat.client if seat else self.open_client(token)
            principal = await client.principal()
        except ValueError:
            raise SignInNeededError from None
        except UnavailableError:
            if seat is None:
                raise
            return seat  # what the page asks for tells that ingest is away
        except AccessError as error:
            if error.problem.status == UNAUTHENTICATED:
                raise SignInNeededError from error
            raise
        if seat is None or seat.principal.scopes != principal.scopes:
            return Seat(client, self._make_reader(client, key, principal), principal)
        seat.principal, seat.checked_at = principal, time.monotonic()
        return seat
