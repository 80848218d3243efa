"""The address of a client is that of its connection, or what a trusted proxy says, whatever the client writes."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millstream_ingest.access.client_address import MAX_HOPS, ClientAddresses, ProxyHeader
from millstream_ingest.http.headers import read_headers
from millstream_ingest.settings import IngestSettings
from millstream_webhooks import parse_networks

PROXY = "10.0.0.1"
PROXIES = ("10.0.0.0/8", "fd00::/8")


def address(
    *values: str, peer: str = PROXY, proxies: Sequence[str] = PROXIES, header: ProxyHeader = "x-forwarded-for"
) -> str:
    """Return the address of a request whose header is there once for each value."""
    raw = [(header.encode(), value.encode("latin-1")) for value in values]
    addresses = ClientAddresses(parse_networks(proxies), header)
    return addresses.of({"client": (peer, 1)}, read_headers(raw))


@pytest.mark.parametrize(
    ("values", "client"),
    [
        (["203.0.113.9"], "203.0.113.9"),
        (["6.6.6.6, 203.0.113.9"], "203.0.113.9"),
        (["6.6.6.6", "203.0.113.9"], "203.0.113.9"),
        (["203.0.113.9, 10.0.0.7, 10.0.0.8"], "203.0.113.9"),
        (["6.6.6.6, 203.0.113.9, 10.0.0.7"], "203.0.113.9"),
        (["  203.0.113.9\t"], "203.0.113.9"),
        (["203.0.113.9:4711"], "203.0.113.9"),
        (["[2001:db8::9]:4711"], "2001:db8::9"),
        (["2001:db8::9"], "2001:db8::9"),
        (["[2001:DB8::9]"], "2001:db8::9"),
        (["fe80::1%eth0"], "fe80::1"),
        (["::ffff:203.0.113.9"], "203.0.113.9"),
        (["6.6.6.6, ::ffff:10.0.0.7"], "6.6.6.6"),
        (["10.0.0.7"], "10.0.0.7"),
        (["6.6.6.6, unknown"], PROXY),
        (["6.6.6.6, unknown, 10.0.0.7"], "10.0.0.7"),
        (["6.6.6.6,"], PROXY),
        (["6.6.6.6, 203.0.113.9 extra"], PROXY),
        (["6.6.6.6, 203.0.113.9;for=1"], PROXY),
        (["6.6.6.6, 203.0.113.999"], PROXY),
        (["6.6.6.6, 0xCB.0.113.9"], PROXY),
        (["6.6.6.6, [203.0.113.9]"], PROXY),
        (["6.6.6.6, \xe9"], PROXY),
        ([""], PROXY),
        ([], PROXY),
    ],
)
def test_address_is_the_rightmost_that_is_no_trusted_proxy(values: list[str], client: str):
    """Entries are read from the right; what no proxy can have written leaves the last proxy that is known."""
    assert address(*values) == client


@pytest.mark.parametrize(
    ("values", "client"),
    [
        (["for=203.0.113.9"], "203.0.113.9"),
        (["for=6.6.6.6, for=203.0.113.9;proto=https;by=10.0.0.1"], "203.0.113.9"),
        (["for=6.6.6.6", "For=203.0.113.9"], "203.0.113.9"),
        (['for="[2001:db8::9]:4711"'], "2001:db8::9"),
        (['for="203.0.113.9:80"'], "203.0.113.9"),
        (['for="6.6.6.6', "for=203.0.113.9"], "203.0.113.9"),
        (['host="a, for=6.6.6.6"'], PROXY),
        (['for=203.0.113.9;host="x, for=6.6.6.6"'], PROXY),
        (["for=203.0.113.9;for=6.6.6.6"], PROXY),
        (["for=_hidden"], PROXY),
        (["for=unknown"], PROXY),
        (["203.0.113.9"], PROXY),
        (["by=6.6.6.6"], PROXY),
        (["xfor=6.6.6.6"], PROXY),
    ],
)
def test_forwarded_is_read_by_its_grammar(values: list[str], client: str):
    """`Forwarded` is read from the right too, and an entry that breaks the grammar is not read by halves."""
    assert address(*values, header="forwarded") == client


def test_headers_of_others_are_never_read():
    """Without trusted proxies, from another address, and in a header that the proxies do not write, all is ignored."""
    assert address("6.6.6.6", proxies=()) == PROXY
    assert address("6.6.6.6", peer="198.51.100.4") == "198.51.100.4"
    addresses = ClientAddresses(parse_networks(PROXIES))
    assert addresses.of({"client": (PROXY, 1)}, {b"forwarded": b"for=6.6.6.6", b"x-real-ip": b"6.6.6.6"}) == PROXY
    assert addresses.of({"client": None}, {b"x-forwarded-for": b"6.6.6.6"}) == ""


def test_walk_is_bounded():
    """No more than `MAX_HOPS` entries are read, however many proxies a header claims."""
    assert address(", ".join(["6.6.6.6", *["10.0.0.7"] * MAX_HOPS])) == "10.0.0.7"
    assert address(", ".join(["6.6.6.6", *["10.0.0.7"] * (MAX_HOPS - 1)])) == "6.6.6.6"


@given(st.text(st.characters(max_codepoint=255)), st.sampled_from(["x-forwarded-for", "forwarded"]))
def test_what_a_client_writes_never_changes_what_its_proxy_appends(text: str, header: ProxyHeader):
    """Whatever stands left of the entry of the proxy, the address is that of this entry."""
    own = "203.0.113.9" if header == "x-forwarded-for" else "for=203.0.113.9"
    assert address(text, own, header=header) == "203.0.113.9"
    assert address(f"{text}, {own}", header=header) == "203.0.113.9"


def test_networks_of_proxies_are_checked_at_the_start():
    """A network that is none stops the start and names the variable."""
    with pytest.raises(ValueError, match="MILLSTREAM_TRUSTED_PROXIES"):
        IngestSettings(trusted_proxies=("10.0.0.0/99",))
