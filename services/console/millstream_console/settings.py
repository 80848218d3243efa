"""Settings of the console."""

import re
from collections.abc import Sequence
from typing import Annotated
from urllib.parse import urlsplit

from msgspec import Meta

from millstream.outgoing import Network, parse_networks
from millstream_contracts import did_you_mean, limits
from millstream_runtime import CidrNetwork, ListenPort, ProcessSettings, Secret, Url, is_loopback, mask_url

HostName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$")]
Origin = Annotated[str, Meta(pattern=r"^https?://[A-Za-z0-9.*-]{1,253}(:[0-9]{1,5})?$")]

# No URL: such scopes are for access tokens, which the console does not use.
OidcScope = Annotated[str, Meta(pattern=r"^[A-Za-z0-9._:-]{1,200}$", description="a scope such as groups")]

MaskedName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9 ._-]{1,64}$", description="a key such as api_key")]

MASKED: tuple[str, ...] = (
    "password",
    "passwd",
    "passphrase",
    "secret",
    "secrets",
    "token",
    "api_key",
    "apikey",
    "access_key",
    "private_key",
    "authorization",
    "credential",
    "credentials",
    "cookie",
    "cvv",
    "cvc",
)

ISSUE_PLACES = ("fingerprint", "type", "error", "message", "place", "count")

LOG_PLACES = ("job_id", "trace_id", "type")

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})


class ConsoleSettings(ProcessSettings, frozen=True, kw_only=True):
    """Settings of the console."""

    url: Url = "http://127.0.0.1:8080"
    """The address of ingest."""
    console_host: str = "127.0.0.1"
    """The address to listen on; 0.0.0.0 means all addresses. People sign in where ingest asks for credentials; where
    it does not, all who reach the console may do all that it can."""
    console_port: ListenPort = 8090
    """The port to listen on."""
    console_path: Annotated[str, Meta(pattern=r"^(/[A-Za-z0-9._~-]+)*$", max_length=200)] = ""
    """The path that a proxy has the console under, such as `/millstream`, without a slash at its end. The proxy leaves
    it in the path of requests."""
    console_hosts: tuple[HostName, ...] = ()
    """The host names that requests may be for, so that no other web site can lead a browser here. Empty: any, and only
    those of this machine where the console listens on a loopback address."""
    console_frame_ancestors: tuple[Origin, ...] = ()
    """The origins, such as `https://grafana.example.com`, that may show pages with `?embed=1` in a frame. Empty:
    none."""
    console_api_url: Annotated[str, Meta(pattern=r"^$|^https?://[^\s/?#@]+(/[^\s?#]*)?$", max_length=2_000)] = ""
    """The address of ingest for people, where it is another one than for the console: what is copied from pages, such
    as a `curl`, goes there. Empty: MILLSTREAM_URL."""
    console_trace_url: Annotated[str, Meta(pattern=r"^$|^https?://[^\s{}]+\{trace_id\}[^\s{}]*$", max_length=2_000)] = (
        ""
    )
    """Where a trace is shown, such as `https://tempo.example.com/trace/{trace_id}`: ids of traces lead there. Empty:
    they are only shown."""
    console_issue_url: Annotated[str, Meta(pattern=r"^$|^https?://[^\s{}]+\{[^\s]+$", max_length=2_000)] = ""
    """Where an issue about a group of dead jobs is opened or found, such as
    `https://example.com/new?title={type}:+{error}&body={message}`. The places `{fingerprint}`, `{type}`, `{error}`,
    `{message}`, `{place}` and `{count}` are filled in. Empty: no link."""
    console_log_url: Annotated[str, Meta(pattern=r"^$|^https?://[^\s{}]+\{[^\s]+$", max_length=2_000)] = ""
    """Where all log lines of a job are shown, such as `https://logs.example.com/search?q={job_id}`. The places
    `{job_id}`, `{trace_id}` and `{type}` are filled in. Empty: no link."""
    console_masked: tuple[MaskedName, ...] = MASKED
    """The keys of payloads, results and patches whose values pages show as dots: those with the words of one of these
    names, so `api_key` hides `apiKey` and `stripe-api-key` too. A comma alone: all is shown. The API is another
    matter."""
    console_refresh_s: Annotated[float, Meta(ge=0.5, le=60.0)] = 2.0
    """How often what pages show is read anew while they are open, whatever their number. What takes long is read less
    often."""

    oidc_issuer: Annotated[str, Meta(pattern=r"^$|^https?://[^\s?#]+$", max_length=512)] = ""
    """The OpenID provider at which people sign in beside keys, as its ID tokens name it: see [OpenID
    Connect](security/openid-connect.md). Empty: none."""
    oidc_client_id: Annotated[str, Meta(max_length=512)] = ""
    """The client id of the console at the provider."""
    oidc_client_secret: Secret | None = None
    """The secret of the client; better given as a file. Unset: the console is a public client."""
    oidc_origin: Annotated[str, Meta(pattern=r"^$|^https?://[A-Za-z0-9.\[\]:-]{1,259}$")] = ""
    """The origin under which browsers reach the console, such as `https://jobs.example.com`. The provider leads back to
    `/sign-in/openid/callback` under it, behind MILLSTREAM_CONSOLE_PATH."""
    oidc_name: Annotated[str, Meta(max_length=64)] = ""
    """What people call the provider, for `Sign in with …`. Empty: its host name."""
    oidc_scopes: tuple[OidcScope, ...] = ("openid", "profile", "email")
    """The scopes that are asked for: those that have the provider put names and groups into the ID token."""
    oidc_networks: tuple[CidrNetwork, ...] = ()
    """The private networks in which the provider may lie, such as `10.0.0.0/8`. Empty: it has public addresses."""
    oidc_session_s: Annotated[float, Meta(ge=limits.MIN_API_KEY_TTL_S, le=limits.SESSION_TTL_S)] = limits.SESSION_TTL_S
    """How long a session lasts that was opened there. What the provider takes from a person counts at the next
    sign-in."""

    def __post_init__(self) -> None:
        """Refuse what could not be meant. Raises: ValueError."""
        _check_openid(self)
        _check_places("ISSUE", self.console_issue_url, ISSUE_PLACES)
        _check_places("LOG", self.console_log_url, LOG_PLACES)

    @property
    def provider_name(self) -> str:
        """Return what people call the OpenID provider."""
        return self.oidc_name or (urlsplit(self.oidc_issuer).hostname or "")

    @property
    def provider_networks(self) -> tuple[Network, ...]:
        """Return the private networks in which the OpenID provider may lie."""
        return parse_networks(self.oidc_networks)

    @property
    def shown_url(self) -> str:
        """Return the address of ingest without a password, as pages may show it."""
        return mask_url(self.url)

    @property
    def people_url(self) -> str:
        """Return the address of ingest for people, without a slash at its end."""
        return (self.console_api_url or self.shown_url).rstrip("/")

    @property
    def allowed_hosts(self) -> frozenset[str] | None:
        """Return the host names that requests may be for; None where any will do."""
        if self.console_hosts:
            return frozenset(host.lower() for host in self.console_hosts) | LOOPBACK_NAMES
        return LOOPBACK_NAMES if is_loopback(self.console_host) else None


def _check_openid(settings: ConsoleSettings) -> None:
    """Raise ValueError for settings of the OpenID provider that contradict each other."""
    if not settings.oidc_issuer:
        if set_ones := [name for name in ("CLIENT_ID", "ORIGIN") if _openid(settings, name)]:
            raise ValueError(f"MILLSTREAM_OIDC_{set_ones[0]} is set, and MILLSTREAM_OIDC_ISSUER is not")
        return
    if missing := [name for name in ("CLIENT_ID", "ORIGIN") if not _openid(settings, name)]:
        raise ValueError(f"MILLSTREAM_OIDC_ISSUER is set, and MILLSTREAM_OIDC_{missing[0]} is not")
    _check_openid_addresses(settings)
    if "openid" not in settings.oidc_scopes:
        raise ValueError("MILLSTREAM_OIDC_SCOPES has no `openid`, without which there is no ID token")
    try:
        settings.provider_networks  # noqa: B018 - to see whether they can be read
    except ValueError as error:
        raise ValueError(f"MILLSTREAM_OIDC_NETWORKS: {error}") from None


def _openid(settings: ConsoleSettings, name: str) -> object:
    return getattr(settings, f"oidc_{name.lower()}")


def _check_openid_addresses(settings: ConsoleSettings) -> None:
    for name in ("ISSUER", "ORIGIN"):
        parsed = urlsplit(str(_openid(settings, name)))
        if parsed.scheme != "https" and not is_loopback(parsed.hostname or ""):
            raise ValueError(f"MILLSTREAM_OIDC_{name} begins with https://, unless it is on this machine")


def _check_places(name: str, pattern: str, known: Sequence[str]) -> None:
    """Raise ValueError for a pattern with a place that there is not."""
    for place in re.findall(r"\{([^{}]*)\}", pattern):
        if place not in known:
            near = did_you_mean(place, known)
            raise ValueError(f"MILLSTREAM_CONSOLE_{name}_URL: there is no place `{{{place}}}`{near}")
