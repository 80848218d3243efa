"""The libpq parameters that the address of a history database may have, and their values.

A parameter that the driver cannot honour is refused, because a connection that is less safe than the one asked for is
worse than none.
"""

from collections.abc import Mapping

from millstream_contracts import did_you_mean
from millstream_history.errors import HistoryUrlError

SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_TLS_VERSIONS = ("TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3")
_SWITCH = ("0", "1")

FREE = frozenset(
    {
        *("host", "port", "dbname", "user", "password", "passfile", "options"),
        *("application_name", "fallback_application_name"),
        *("sslrootcert", "sslcert", "sslkey", "sslpassword", "sslcrl"),
    }
)
"""Parameters that may have any value."""

CHOICES: Mapping[str, tuple[str, ...]] = {
    "sslmode": SSL_MODES,
    "sslnegotiation": ("postgres", "direct"),
    "ssl_min_protocol_version": _TLS_VERSIONS,
    "ssl_max_protocol_version": _TLS_VERSIONS,
    "sslcompression": _SWITCH,
    "sslsni": ("1",),
    "sslcertmode": ("allow",),
    "channel_binding": ("disable", "prefer"),
    "gssencmode": ("disable", "prefer"),
    "target_session_attrs": ("any", "read-write", "read-only", "primary", "standby", "prefer-standby"),
    "load_balance_hosts": ("disable",),
    "client_encoding": ("auto", "utf8", "UTF8", "utf-8", "UTF-8"),
    "keepalives": _SWITCH,
}
"""Parameters and the values that are kept, some of them by doing nothing."""

_UNKEPT: Mapping[str, str] = {
    "channel_binding": "the driver has no channel binding; `sslmode=verify-full` refuses a server that is another",
    "gssencmode": "the driver has no GSSAPI encryption",
    "sslsni": "the driver always names the host in its TLS greeting",
    "sslcertmode": "the driver sends the client's certificate when the server asks for one",
    "load_balance_hosts": "hosts are tried in the order of the list",
}
"""Why the other values are not."""

NUMBERS = frozenset(
    {"connect_timeout", "keepalives_idle", "keepalives_interval", "keepalives_count", "tcp_user_timeout"}
)
"""Parameters that are whole numbers."""

_UNSUPPORTED = frozenset(
    {
        *("hostaddr", "service", "servicefile", "replication", "require_auth", "requirepeer", "requiressl"),
        *("sslcrldir", "sslkeylogfile", "krbsrvname", "gsslib", "gssdelegation", "scram_client_key"),
        *("scram_server_key", "min_protocol_version", "max_protocol_version"),
    }
)
"""Parameters of libpq that the driver knows nothing of."""

KNOWN = FREE | CHOICES.keys() | NUMBERS

_LARGEST = 2**31 - 1


def check_parameters(found: Mapping[str, str]) -> dict[str, str]:
    """Return the parameters, those of JDBC under libpq's names. Raises: HistoryUrlError, with the first wrong name."""
    parameters = dict(found)
    if (ssl := parameters.pop("ssl", None)) is not None:
        parameters.setdefault("sslmode", "require" if ssl == "true" else ssl)
    for name, value in parameters.items():
        _check(name, value)
    _check_tls(parameters)
    return parameters


def _check(name: str, value: str) -> None:
    if name in _UNSUPPORTED:
        raise HistoryUrlError(f"the history URL has `{name}`, which is not supported")
    if name not in KNOWN:
        hint = did_you_mean(name, KNOWN) or "; settings of the server go into `options=-c%20name%3Dvalue`"
        raise HistoryUrlError(f"`{name}` in the history URL is no parameter of libpq{hint}")
    if name in CHOICES and value not in CHOICES[name]:
        why = f": {_UNKEPT[name]}" if name in _UNKEPT else ""
        raise HistoryUrlError(f"`{name}` in the history URL must be {' or '.join(CHOICES[name])}{why}")
    if name in NUMBERS and not _is_number(value):
        raise HistoryUrlError(f"`{name}` in the history URL must be a whole number")


def _is_number(text: str) -> bool:
    digits = text.removeprefix("-")
    return digits.isascii() and digits.isdecimal() and len(digits) <= 10 and abs(int(text)) <= _LARGEST


def _check_tls(parameters: dict[str, str]) -> None:
    """Check the TLS parameters against each other, as libpq does."""
    by_system = parameters.get("sslrootcert") == "system"
    mode = parameters.get("sslmode", "verify-full" if by_system else "prefer")
    # The authorities of the system vouch for every server on the internet: only its name tells whose it is.
    if by_system and mode != "verify-full":
        raise HistoryUrlError("`sslmode` in the history URL must be verify-full where `sslrootcert` is system")
    if parameters.get("sslnegotiation") == "direct" and SSL_MODES.index(mode) < SSL_MODES.index("require"):
        raise HistoryUrlError("`sslnegotiation=direct` in the history URL needs an `sslmode` of require or more")
    if by_system:
        parameters["sslmode"] = mode
