"""The endpoints of webhooks."""

from millstream_history.webhooks.endpoints import Endpoints, TooManyEndpointsError

__all__ = ["Endpoints", "TooManyEndpointsError"]
