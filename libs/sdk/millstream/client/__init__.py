"""Clients of the HTTP API.

A call is a flow (`flow.py`): a generator that yields requests, is sent responses, and does no I/O itself. `api.py`
has a flow for each call of the API, `retrier.py` repeats requests, `response_reader.py` decodes what came back. The two
clients run the flows over HTTP (`transport.py`); `sync_client.py` is generated from `async_client.py`.
"""

from millstream.client.async_client import Client
from millstream.client.sync_client import SyncClient

__all__ = ["Client", "SyncClient"]
