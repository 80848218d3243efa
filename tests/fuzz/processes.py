"""An app for handler processes that receive garbage."""

from typing import Any

from millstream import App

app = App("processes")


@app.job("any", isolation="process")
def take_anything(payload: Any) -> Any:
    """Return the payload."""
    return payload
