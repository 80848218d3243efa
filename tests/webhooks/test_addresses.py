"""Which addresses calls may go to."""

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millstream_webhooks import AddressError, check_url, judge, parse_networks

REFUSED = [
    "0.0.0.0", "10.1.2.3", "100.64.0.1", "127.0.0.1", "169.254.169.254", "172.16.0.1", "192.0.0.8", "192.0.2.1",
    "192.88.99.1", "192.168.1.1", "198.18.0.1", "203.0.113.9", "224.0.0.1", "239.255.255.250", "240.0.0.1",
    "255.255.255.255",
    "::", "::1", "::7f00:1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::1", "100::1", "2001::1", "2001:db8::1", "2002:7f00:1::", "2002:a00:1::1", "3fff::1", "5f00::1",
    "fc00::1", "fd12::1", "fe80::1", "fec0::1", "ff02::1",
]  # fmt: skip

PUBLIC = ["8.8.8.8", "1.1.1.1", "2606:4700:4700::1111", "64:ff9b::808:808", "::ffff:8.8.8.8", "2002:808:808::1"]


@pytest.mark.parametrize("text", REFUSED)
def test_judge_refuses_an_address_that_is_not_public(text: str) -> None:
    """No call goes to an address that is not public, nor to one of IPv6 that leads to such a one."""
    assert judge(ip_address(text))


@pytest.mark.parametrize("text", PUBLIC)
def test_judge_allows_a_public_address(text: str) -> None:
    """Calls may go to public addresses, also where an address of IPv6 leads to one of IPv4."""
    assert judge(ip_address(text)) is None


def test_judge_allows_the_networks_that_an_operator_names() -> None:
    """A network of the settings is allowed in each of its forms, and no other with it."""
    allowed = parse_networks(["10.0.0.0/8", "fd00::/8"])
    assert judge(ip_address("10.9.9.9"), allowed) is None
    assert judge(ip_address("::ffff:10.9.9.9"), allowed) is None
    assert judge(ip_address("fd00::1"), allowed) is None
    assert judge(ip_address("127.0.0.1"), allowed)


@given(st.ip_addresses(v=4))
def test_judge_sees_an_ipv4_address_in_each_form_of_ipv6(address: object) -> None:
    """An IPv4 address is judged alike in each form in which IPv6 has it."""
    number = int(ip_address(str(address)))
    plain = judge(ip_address(str(address))) is None
    for form in ((0xFFFF << 32) | number, (0x64FF9B << 96) | number, (0x2002 << 112) | (number << 80)):
        assert (judge(ip_address(form.to_bytes(16, "big"))) is None) == plain


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("ftp://example.org/", "no address of a receiver"),
        ("https:///path", "no address of a receiver"),
        ("example.org/hook", "no address of a receiver"),
        ("http://[::1", "cannot be read"),
        ("https://a:b@example.org/", "holds credentials"),
        ("http://127.0.0.1:8080/", "no public address"),
        ("http://[::ffff:127.0.0.1]/", "no public address"),
        ("http://localhost:8080/", "no public address"),
        ("http://localhost./", "no public address"),
        ("https://example.org/" + "a" * 2048, "the limit is 2048"),
    ],
)
def test_check_url_refuses_what_shows_without_dns(url: str, why: str) -> None:
    """A URL that can lead to no receiver is refused before anything is resolved, with the reason."""
    with pytest.raises(AddressError, match=why):
        check_url(url)


def test_check_url_names_the_setting_that_would_allow_the_address() -> None:
    """The refusal of a private address says how an operator allows its network."""
    with pytest.raises(AddressError, match="MILLSTREAM_OUTGOING_NETWORKS"):
        check_url("http://10.0.0.1/")
    with pytest.raises(AddressError, match=r"; MINE names the private"):
        check_url("http://10.0.0.1/", setting="MINE")
    assert check_url("http://localhost:1/#x", parse_networks(["127.0.0.0/8"])).fragment == ""


def test_parse_networks_names_the_text_that_is_none() -> None:
    """A network that cannot be read is named."""
    with pytest.raises(ValueError, match=r"`10\.0\.0\.1/8` is no network"):
        parse_networks(["10.0.0.1/8"])
