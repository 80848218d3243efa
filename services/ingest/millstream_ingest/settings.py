"""Settings of ingest."""

from typing import Annotated, Literal

from msgspec import Meta

from millstream_contracts import ApiBurst, ApiRate, RequestLimits, limits
from millstream_ingest.jwt_issuers import JwtIssuer, parse_issuers
from millstream_runtime import CidrNetwork, HistorySettings, ListenPort, is_loopback
from millstream_submission import UnknownTypes
from millstream_webhooks import Network, parse_networks


class IngestSettings(HistorySettings, frozen=True, kw_only=True):
    """Settings of the HTTP API."""

    host: str = "127.0.0.1"
    """The address to listen on; 0.0.0.0 means all addresses."""
    port: ListenPort = 8080
    """The port to listen on."""
    auth: Literal["off", "required"] | None = None
    """Whether requests need a key: see [authentication](security/authentication.md). With `off` every request may do
    everything. Unset: `off`, and an address that other machines reach is refused."""
    key_submissions_per_s: ApiRate | None = None
    """How many jobs a second a key may submit that has no limit of its own: see [rate
    limits](security/rate-limits.md). Unset: as many as it likes."""
    key_submissions_burst: ApiBurst | None = None
    """How many of them may come at once. Unset: those of one second."""
    key_requests_per_s: ApiRate | None = None
    """How many other requests a second such a key may make."""
    jwt_issuers: Annotated[str, Meta(min_length=2, description="a JSON list of issuers")] | None = None
    """The issuers whose tokens (JWT) are taken beside keys, and what their claims grant: see
    [authentication](security/authentication.md#tokens-of-an-identity-provider). Better given as a file."""
    trusted_proxies: tuple[CidrNetwork, ...] = ()
    """The networks of the proxies whose word ingest takes for the address of a client: see
    [authentication](security/authentication.md#behind-a-proxy). Empty: a client has the address that it connects from.
    """
    proxy_header: Literal["x-forwarded-for", "forwarded"] = "x-forwarded-for"
    """The header in which these proxies say it; the other one is never read."""
    max_body_bytes: Annotated[int, Meta(ge=1_024, le=limits.MAX_BODY_BYTES)] = limits.MAX_BODY_BYTES
    """The largest request with one job; more is a 413."""
    max_batch_body_bytes: Annotated[int, Meta(ge=1_024, le=limits.MAX_BATCH_BODY_BYTES)] = limits.MAX_BATCH_BODY_BYTES
    """The largest request with many jobs."""
    max_backlog_jobs: Annotated[int, Meta(ge=limits.MAX_BATCH_JOBS, le=1_000_000)] = 20_000
    """Most jobs that wait for Redis in memory; above that, requests are refused with 503."""
    unknown_types: UnknownTypes = "refuse"
    """Whether a job type that no worker has registered is refused, once any type is registered. [ADR
    2](adr/0002-unknown-job-types.md) has the reasons for the default."""
    redis_timeout_s: Annotated[float, Meta(ge=0.05, le=60.0)] = 0.9
    """How long a request may take in Redis, which may accept connections and stay silent; then it is refused with 503.
    Set it higher where Redis is far away or its disk is slow."""
    history_timeout_s: Annotated[float, Meta(ge=0.05, le=60.0)] = 0.8
    """How long a read of the history may take before the request that needs it is answered without the history, or
    with 503. A search, which then shows what it has found, looks for 0.8 s, and for this long where this is longer."""
    max_listeners: Annotated[int, Meta(ge=0, le=100_000)] = 5_000
    """Most clients that follow events live over this process; further ones are refused with 503."""
    drain_s: Annotated[float, Meta(ge=0.0, le=300.0)] = 1.0
    """How long the port stays open after SIGTERM while readiness fails, so that load balancers stop sending requests
    first. Set it above the period of their probe."""

    def __post_init__(self) -> None:
        """Refuse to be open to others by accident. Raises: ValueError."""
        super().__post_init__()
        try:
            has_issuers = bool(self.issuers)
        except ValueError as error:
            raise ValueError(f"MILLSTREAM_JWT_ISSUERS: {error}") from None
        try:
            self.proxies  # noqa: B018 - to see whether they can be read
        except ValueError as error:
            raise ValueError(f"MILLSTREAM_TRUSTED_PROXIES: {error}") from None
        if has_issuers and not self.asks_for_keys:
            raise ValueError(
                "MILLSTREAM_JWT_ISSUERS is set, and no token is looked at without MILLSTREAM_AUTH=required"
            )
        if self.auth is None and not is_loopback(self.host):
            raise ValueError(
                "MILLSTREAM_AUTH is not set, and ingest would listen on an address that other machines reach: set it "
                "to `required`, and make a first key with `millstream keys bootstrap`; or to `off`, where everyone who "
                "reaches the address may do everything"
            )

        if self.key_limits != RequestLimits() and not self.asks_for_keys:
            raise ValueError(
                "limits of keys are set (MILLSTREAM_KEY_…), and no request has a key without MILLSTREAM_AUTH=required"
            )
        if self.key_submissions_burst and not self.key_submissions_per_s:
            raise ValueError("MILLSTREAM_KEY_SUBMISSIONS_BURST is set, and MILLSTREAM_KEY_SUBMISSIONS_PER_S is not")

    @property
    def key_limits(self) -> RequestLimits:
        """Return the limits of keys that have none of their own."""
        return RequestLimits(
            submissions_per_s=self.key_submissions_per_s,
            burst=self.key_submissions_burst,
            requests_per_s=self.key_requests_per_s,
        )

    @property
    def issuers(self) -> tuple[JwtIssuer, ...]:
        """Return the issuers whose tokens are taken."""
        return parse_issuers(self.jwt_issuers) if self.jwt_issuers else ()

    @property
    def proxies(self) -> tuple[Network, ...]:
        """Return the networks of trusted proxies."""
        return parse_networks(self.trusted_proxies)

    @property
    def asks_for_keys(self) -> bool:
        """Return whether requests need a key."""
        return self.auth == "required"
