"""Settings of the console."""

import ipaddress
from typing import Annotated

from msgspec import Meta

from millstream_runtime import ListenPort, ProcessSettings, Url, mask_url

HostName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$")]
Origin = Annotated[str, Meta(pattern=r"^https?://[A-Za-z0-9.*-]{1,253}(:[0-9]{1,5})?$")]

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})


class ConsoleSettings(ProcessSettings, frozen=True, kw_only=True):
    """Settings of the console."""

    url: Url = "http://127.0.0.1:8080"
    """The address of ingest."""
    console_host: str = "127.0.0.1"
    """The address to listen on; 0.0.0.0 means all addresses. There is no sign-in: all who reach the console may do all
    that it can."""
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
    console_trace_url: Annotated[str, Meta(pattern=r"^$|^https?://[^\s{}]+\{trace_id\}[^\s{}]*$", max_length=2_000)] = (
        ""
    )
    """Where a trace is shown, such as `https://tempo.example.com/trace/{trace_id}`: ids of traces lead there. Empty:
    they are only shown."""
    console_refresh_s: Annotated[float, Meta(ge=0.5, le=60.0)] = 2.0
    """How often what pages show is read anew while they are open, whatever their number. What takes long is read less
    often."""

    @property
    def shown_url(self) -> str:
        """Return the address of ingest without a password, as pages may show it."""
        return mask_url(self.url)

    @property
    def allowed_hosts(self) -> frozenset[str] | None:
        """Return the host names that requests may be for; None where any will do."""
        if self.console_hosts:
            return frozenset(host.lower() for host in self.console_hosts) | LOOPBACK_NAMES
        return LOOPBACK_NAMES if _is_loopback(self.console_host) else None


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
