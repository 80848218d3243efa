"""Types of settings that several Structs share: allowed values, and their description for people."""

from typing import Annotated

from msgspec import Meta

_ADDRESS = {"is_address": True}
"""Marks addresses: shown without credentials, and not at all when they cannot be parsed."""

HOUR_S = 3_600.0
DAY_S = 24 * HOUR_S

Port = Annotated[int, Meta(ge=1, le=65_535, description="a port from 1 to 65535")]
ListenPort = Annotated[
    int, Meta(ge=0, le=65_535, description="a port from 0 to 65535, where 0 takes a free one and the log says which")
]
Url = Annotated[
    str,
    Meta(pattern=r"^https?://[^\s/]+", description="an address such as http://127.0.0.1:8080", extra=_ADDRESS),
]
# Only the scheme is checked here: `millstream_streams` parses the rest and has its own errors.
RedisUrl = Annotated[
    str,
    Meta(
        pattern=r"^rediss?(\+sentinel|\+cluster)?://\S+$",
        description="an address such as redis://127.0.0.1:6379/0, redis+sentinel://... or redis+cluster://...",
        extra=_ADDRESS,
    ),
]
# Only the scheme is checked here: `millstream_history` parses the rest.
HistoryUrl = Annotated[
    str,
    Meta(
        pattern=r"^postgres(ql)?://\S+$",
        description="an address such as postgresql://user:password@host/name",
        extra=_ADDRESS,
    ),
]
Namespace = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$", description="a short word of a-z, 0-9 and `-`")]
CidrNetwork = Annotated[
    str, Meta(pattern=r"^[0-9A-Fa-f.:]+(/\d{1,3})?$", description="a network such as 10.0.0.0/8 or fd00::/8")
]
