"""The URL of a history database is read as libpq reads it, and errors about it show no secret."""

import pytest

from millstream_history import HistoryUrlError, open_history
from millstream_history.connection.address import Address, parse_history_url
from millstream_history.connection.parameters import CHOICES, KNOWN, NUMBERS

SECRET = "hunter2"


@pytest.mark.parametrize(
    ("url", "hosts", "parameters"),
    [
        ("postgresql://", [(None, None)], {}),
        ("postgres://h", [("h", None)], {}),
        ("postgresql://u:p@h:6543/d", [("h", 6543)], {"user": "u", "password": "p", "dbname": "d"}),
        (
            "postgresql://u%40x:p%2F%3A%25%23@h/d%20e",
            [("h", None)],
            {"user": "u@x", "password": "p/:%#", "dbname": "d e"},
        ),
        ("postgresql://u:p@ss#1@h/d", [("h", None)], {"user": "u", "password": "p@ss#1", "dbname": "d"}),
        ("postgresql://u:p+w@h", [("h", None)], {"user": "u", "password": "p+w"}),
        ("postgresql://[::1]:5433/d", [("::1", 5433)], {"dbname": "d"}),
        ("postgresql://a,b:2,c/d", [("a", None), ("b", 2), ("c", None)], {"dbname": "d"}),
        ("postgresql://a,b/d?port=7", [("a", 7), ("b", 7)], {"dbname": "d"}),
        ("postgresql:///d?host=a,b&port=1,2", [("a", 1), ("b", 2)], {"dbname": "d"}),
        ("postgresql://%2Frun%2Fpg:7/d", [("/run/pg", 7)], {"dbname": "d"}),
        ("postgresql:///d?host=/run/pg", [("/run/pg", None)], {"dbname": "d"}),
        (
            "postgresql://a:1/x?host=b&port=2&user=u&password=p%26q&dbname=d",
            [("b", 2)],
            {"user": "u", "password": "p&q", "dbname": "d"},
        ),
        ("postgresql://h?sslmode=", [("h", None)], {}),
        ("postgresql://h?ssl=true", [("h", None)], {"sslmode": "require"}),
        ("postgresql://h?ssl=verify-full", [("h", None)], {"sslmode": "verify-full"}),
        ("postgresql://h?ssl=true&sslmode=verify-ca", [("h", None)], {"sslmode": "verify-ca"}),
        ("postgresql://h?connect_timeout=2147483647", [("h", None)], {"connect_timeout": "2147483647"}),
        ("postgresql://h?sslrootcert=system", [("h", None)], {"sslrootcert": "system", "sslmode": "verify-full"}),
        ("postgresql://h?options=-c%20work_mem%3D4MB", [("h", None)], {"options": "-c work_mem=4MB"}),
        ("postgresql://h?connect_timeout=-1&keepalives=0", [("h", None)], {"connect_timeout": "-1", "keepalives": "0"}),
    ],
)
def test_a_url_says_what_it_says_to_libpq(url: str, hosts: list, parameters: dict[str, str]) -> None:
    """Each part of a URL has the meaning that it has in libpq."""
    assert parse_history_url(url) == Address(tuple(hosts), parameters)


@pytest.mark.parametrize(
    ("url", "named"),
    [
        (f"mysql://u:{SECRET}@h/d", "postgresql://"),
        (SECRET, "postgresql://"),
        (f"postgresql+asyncpg://u:{SECRET}@h/d", "postgresql://"),
        (f"postgresql://u:{SECRET}/x@h/d", "%2F"),
        (f"postgresql://u:12/{SECRET}@h/d", "%2F"),
        (f"postgresql://u:{SECRET}?x@h/d", "%3F"),
        (f"postgresql://u:{SECRET}%@h/d", "%25"),
        (f"postgresql://u:{SECRET}%zz@h/d", "%25"),
        (f"postgresql://u:{SECRET}%00@h/d", "the password"),
        (f"postgresql://u:{SECRET}%ff@h/d", "the password"),
        (f"postgresql://h?{SECRET}", "name=value"),
        (f"postgresql://h:{SECRET}/d", "port"),
        ("postgresql://h:70000/d", "port"),
        ("postgresql://h:0/d", "port"),
        ("postgresql://a,b?port=1,2,3", "number of ports"),
        ("postgresql://a,,b", "empty host"),
        (f"postgresql://h?sslmod={SECRET}", "`sslmode`"),
        (f"postgresql://h?SSLMODE={SECRET}", "`SSLMODE`"),
        (f"postgresql://h?search_path={SECRET}", "options"),
        (f"postgresql://h?sslmode={SECRET}", "verify-full"),
        (f"postgresql://h?connect_timeout={SECRET}", "`connect_timeout`"),
        ("postgresql://h?connect_timeout=1.5", "`connect_timeout`"),
        ("postgresql://h?connect_timeout=99999999999", "`connect_timeout`"),
        ("postgresql://h?connect_timeout=2147483648", "`connect_timeout`"),
        ("postgresql://h?channel_binding=require", "channel binding"),
        ("postgresql://h?gssencmode=require", "GSSAPI"),
        ("postgresql://h?sslmode=require&sslrootcert=system", "verify-full"),
        ("postgresql://h?sslnegotiation=direct", "sslmode"),
        ("postgresql://h?hostaddr=127.0.0.1", "`hostaddr`, which is not supported"),
        ("postgresql://h?service=x", "`service`, which is not supported"),
        ("postgresql://h?prepared_statement_cache_size=0", "`prepared_statement_cache_size`"),
    ],
)
async def test_what_cannot_be_kept_is_refused_by_name_and_no_value_is_shown(url: str, named: str) -> None:
    """A parameter that cannot be honoured is refused by its name, and no value is shown."""
    with pytest.raises(HistoryUrlError) as caught:
        async with open_history(url):
            pass
    line = str(caught.value)
    assert named in line
    assert SECRET not in line
    assert len(line.splitlines()) == 1


@pytest.mark.parametrize("name", sorted(KNOWN - {"host", "port"}))
async def test_every_parameter_that_is_known_is_taken(name: str) -> None:
    """Every known parameter is accepted with its value."""
    value = CHOICES[name][-1] if name in CHOICES else "9" if name in NUMBERS else "x"
    extra = "&sslmode=require" if name == "sslnegotiation" else ""
    assert parse_history_url(f"postgresql://h?{name}={value}{extra}").get(name) == value


def test_an_address_shows_no_secret() -> None:
    """The text of an address shows no secret."""
    shown = repr(parse_history_url(f"postgresql://u:{SECRET}@h:1/d?sslpassword={SECRET}"))
    assert shown == "Address(h:1)"
