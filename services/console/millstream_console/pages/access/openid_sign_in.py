"""Signing in at the OpenID provider: to it, and back with its answer. The key stays the other way in."""

from litestar import Response, get
from litestar.exceptions import NotFoundException

from millstream import ApiError
from millstream.errors import describe
from millstream_console.pages.access.sign_in import sign_in_page
from millstream_console.web.door import Door, DoorRequest, RefusedError
from millstream_console.web.openid.attempt import Attempt, answered_attempt, attempt_cookie, new_attempt
from millstream_console.web.openid.errors import ProviderAwayError, SignInError, StrayAnswerError
from millstream_console.web.openid.provider import CALLBACK, OpenIdProvider

_UNAVAILABLE = 503
_FIELDS = ("code", "state", "iss", "error", "error_description")


@get("/sign-in/openid")
async def begin(door: Door) -> Response[bytes]:
    """Lead to the provider."""
    provider, to = _provider(door), door.way_back(door.visit.text("to"))
    if door.is_led_here:
        # Another site must not have people signed in unasked: they are shown the page that signs in.
        return door.visit.redirect(door.visit.at("/sign-in", to=to))
    attempt = new_attempt(to)
    try:
        leading = door.visit.redirect(await provider.sign_in_url(attempt))
    except ProviderAwayError as error:
        return _refused(door, error, to)
    leading.cookies.append(attempt_cookie(attempt, is_plain=provider.is_plain))
    return leading


@get(CALLBACK)
async def finish(door: Door) -> Response[bytes]:
    """Take the answer of the provider, and exchange its ID token for a session."""
    provider = _provider(door)
    answer = {name: value for name in _FIELDS if (value := door.visit.text(name))}
    try:
        attempt = answered_attempt(door.visit.request.cookies, answer.get("state", ""), is_plain=provider.is_plain)
    except StrayAnswerError as error:
        # The attempt of this browser stays: an answer that another site has sent must not end it.
        return _refused(door, error)
    try:
        id_token = await provider.id_token(attempt, answer)
    except SignInError as error:
        response = _refused(door, error, attempt.to)
    else:
        response = await _enter(door, provider, attempt, id_token)
    # An attempt is answered once, however that ends.
    response.cookies.append(attempt_cookie(None, is_plain=provider.is_plain))
    return response


async def _enter(door: DoorRequest, provider: OpenIdProvider, attempt: Attempt, id_token: str) -> Response[bytes]:
    try:
        session = await door.exchange_id_token(id_token, attempt.nonce_secret)
    except RefusedError as error:
        return sign_in_page(door, attempt.to, status=error.status, provider_fault=str(error))
    except ApiError as error:
        # Not the page that tries again by itself: the answer of the provider is good for once.
        return sign_in_page(door, attempt.to, status=_UNAVAILABLE, provider_fault=describe(error.problem))
    return await door.enter(session, attempt.to, is_plain=provider.is_plain)


def _provider(door: DoorRequest) -> OpenIdProvider:
    if door.provider is None:
        raise NotFoundException
    return door.provider


def _refused(door: DoorRequest, error: SignInError, to: str = "") -> Response[bytes]:
    door.count(error.outcome)
    return sign_in_page(door, to, status=error.status, provider_fault=str(error))


HANDLERS = (begin, finish)
