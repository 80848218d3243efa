"""Errors of webhooks.

WebhookError             a call cannot be made as it is asked for
├── AddressError         its URL leads where calls may not go
└── SealError            it asks for a signature that its submitter may not ask for
"""


class WebhookError(Exception):
    """A call cannot be made as it is asked for; its text says why."""


class AddressError(WebhookError):
    """A URL leads where calls may not go."""


class SealError(WebhookError):
    """A call asks for the signature of an endpoint, and was not submitted by the dispatcher or by ingest."""
