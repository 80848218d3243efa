"""The guarded HTTP client: for calls to URLs that users name, and to those that only operators name."""

from millstream_webhooks import AddressError, Network, check_form, parse_networks

__all__ = ["AddressError", "Network", "check_form", "parse_networks"]
