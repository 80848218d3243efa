"""The OpenID provider at which people sign in: what the console asks of it, and what it does not believe.

The console reads no ID token. It hands the token to ingest, which knows the keys of the provider and decides.

Source: OpenID Connect Core 1.0, section 3.1; RFC 6749, sections 2.3.1 and 4.1; RFC 7636 (PKCE); RFC 9207 (`iss`).
"""

import base64
import re
import time
from collections.abc import Mapping
from hashlib import sha256
from urllib.parse import quote_plus, urlencode

import anyio
import msgspec
import structlog
from msgspec import Struct

from millstream.outgoing import AddressError
from millstream.outgoing.guarded_client import Answer, GuardedClient, NoAnswerError
from millstream_console.settings import ConsoleSettings
from millstream_console.web.openid.attempt import Attempt
from millstream_console.web.openid.errors import DeniedError, ProviderAwayError, StrayAnswerError
from millstream_console.web.openid.metadata import WELL_KNOWN, ProviderMetadata, read_metadata, with_query
from millstream_contracts import nonce_of, one_line
from millstream_runtime import FailureLog

CALLBACK = "/sign-in/openid/callback"
READ_EVERY_S = 300.0
READ_AGAIN_EVERY_S = 5.0
"""After a failure: people who wait click again, and the provider is not asked each time."""
ASK_WITHIN_S = 5.0

_FORM = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
_CODE = re.compile(r"[a-z_]{1,40}")
_MAX_TOLD_CHARS = 200

DENIALS: Mapping[str, str] = {
    "access_denied": "it was cancelled there, or you may not use this application",
    "login_required": "it could not sign you in",
    "interaction_required": "it could not sign you in without asking you",
    "consent_required": "it needs your consent",
    "temporarily_unavailable": "it is overloaded or being maintained",
    "server_error": "it has failed",
}
"""The codes of refusals that people can do something about, in words."""


class _Tokens(Struct, frozen=True):
    """The answer to a code. The access token is of no use here, and is not read."""

    id_token: str


class _Refusal(Struct, frozen=True):
    """The answer to a code that is refused."""

    error: str = ""


class OpenIdProvider:
    """An OpenID provider. It belongs to one event loop."""

    def __init__(self, settings: ConsoleSettings) -> None:
        self._settings = settings
        self._client = GuardedClient(
            settings.provider_networks, within_s=ASK_WITHIN_S, setting="MILLSTREAM_OIDC_NETWORKS"
        )
        self._failures = FailureLog(f"OpenID provider {settings.oidc_issuer}")
        self._reading = anyio.Lock()
        self._metadata: ProviderMetadata | None = None
        self._read_again_at = 0.0
        self.callback_url = f"{settings.oidc_origin}{settings.console_path}{CALLBACK}"

    @property
    def name(self) -> str:
        """Return what people call the provider."""
        return self._settings.provider_name

    @property
    def issuer(self) -> str:
        """Return the issuer of its ID tokens."""
        return self._settings.oidc_issuer

    @property
    def is_plain(self) -> bool:
        """Whether browsers reach the console over plain http, on this machine."""
        return self._settings.oidc_origin.startswith("http://")

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def sign_in_url(self, attempt: Attempt) -> str:
        """Return where a browser signs in. Raises: ProviderAwayError."""
        metadata = await self._known()
        challenge = base64.urlsafe_b64encode(sha256(attempt.code_verifier.encode()).digest()).rstrip(b"=").decode()
        return with_query(
            metadata.authorization_endpoint,
            response_type="code",
            client_id=self._settings.oidc_client_id,
            redirect_uri=self.callback_url,
            scope=" ".join(self._settings.oidc_scopes),
            state=attempt.state,
            nonce=nonce_of(attempt.nonce_secret),
            code_challenge=challenge,
            code_challenge_method="S256",
        )

    async def sign_out_url(self) -> str | None:
        """Return where a browser signs out at the provider too; None where there is no such place, or none is known."""
        try:
            end = (await self._known()).end_session_endpoint
        except ProviderAwayError:
            return None
        back = f"{self._settings.oidc_origin}{self._settings.console_path}/sign-in"
        # Without `id_token_hint`, because the console keeps no ID token: the provider asks the person.
        return end and with_query(end, client_id=self._settings.oidc_client_id, post_logout_redirect_uri=back)

    async def id_token(self, attempt: Attempt, answer: Mapping[str, str]) -> str:
        """Return the ID token for an answer of the provider, which belongs to an attempt.

        Raises: StrayAnswerError, for the answer of another issuer; DeniedError, ProviderAwayError.
        """
        metadata = await self._known()
        issuer = answer.get("iss")
        if issuer != metadata.issuer and (issuer is not None or metadata.names_issuer):
            raise StrayAnswerError("the answer is not of the provider that was asked")
        if "error" in answer:
            raise DeniedError(_told(answer["error"], answer.get("error_description", "")))
        code = answer.get("code", "")
        if not code:
            raise DeniedError("it has sent neither a code nor an error")
        return await self._exchange(metadata, code, attempt.code_verifier)

    async def _exchange(self, metadata: ProviderMetadata, code: str, verifier: str) -> str:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.callback_url,
            "code_verifier": verifier,
        }
        headers = dict(_FORM)
        client_id, secret = self._settings.oidc_client_id, self._settings.oidc_client_secret
        if secret is not None and metadata.takes_basic:
            pair = f"{quote_plus(client_id)}:{quote_plus(secret.reveal())}"
            headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        else:
            form["client_id"] = client_id
            if secret is not None:
                form["client_secret"] = secret.reveal()
        try:
            answer = await self._client.post(metadata.token_endpoint, urlencode(form).encode(), headers)
        except (AddressError, NoAnswerError) as error:
            self._failures.failed(ProviderAwayError(one_line(error)))
            raise ProviderAwayError("it does not answer") from None
        return _id_token_in(answer)

    async def _known(self) -> ProviderMetadata:
        """Return the metadata, which is read anew before it is old. Raises: ProviderAwayError."""
        async with self._reading:
            if time.monotonic() >= self._read_again_at:
                await self._read()
        if self._metadata is None:
            raise ProviderAwayError("it does not answer, or not as a provider does")
        return self._metadata

    async def _read(self) -> None:
        try:
            answer = await self._client.get(self.issuer.rstrip("/") + WELL_KNOWN, {"Accept": "application/json"})
            self._metadata = read_metadata(_whole(answer), self.issuer)
        except (AddressError, NoAnswerError, ValueError) as error:
            # What was read before goes on: where the provider does what changes seldom.
            self._failures.failed(ProviderAwayError(one_line(error)))
            self._read_again_at = time.monotonic() + READ_AGAIN_EVERY_S
        else:
            self._failures.succeeded()
            self._read_again_at = time.monotonic() + READ_EVERY_S


def _whole(answer: Answer) -> bytes:
    if answer.status != 200:
        raise ValueError(f"it answers with {answer.status}")
    if answer.is_cut:
        raise ValueError(f"its answer has more than {len(answer.body):,} bytes")
    return answer.body


def _id_token_in(answer: Answer) -> str:
    """Return the ID token of an answer. Raises: DeniedError, ProviderAwayError."""
    try:
        if answer.status == 200 and not answer.is_cut:
            return msgspec.json.decode(answer.body, type=_Tokens).id_token
        refused = msgspec.json.decode(answer.body, type=_Refusal).error
    except (msgspec.DecodeError, UnicodeError):
        refused = ""
    if refused == "invalid_grant":
        raise DeniedError("the code was used already or has expired: begin again")
    # The fault is the operator's, who reads the log.
    shown = refused if _CODE.fullmatch(refused) else "no reason"
    structlog.get_logger().error("OpenID provider gives no ID token", status=answer.status, error=shown)
    raise ProviderAwayError("it gives the console no ID token; the log of the console says more")


def _told(code: str, description: str) -> str:
    """Return a refusal in words: by its code, and in the words of the provider, bounded."""
    known = DENIALS.get(code) or (f"its reason is `{code}`" if _CODE.fullmatch(code) else "it gives no reason")
    return f"{known}. It says: “{description[:_MAX_TOLD_CHARS]}”" if description else known
