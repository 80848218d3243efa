"""The channels by which notices go: each makes a job of a built-in handler."""

from typing import Any, Protocol

from msgspec import Struct

from millstream import NewJob
from millstream_dispatcher.notices.notice import Notice
from millstream_webhooks import CALL_TYPE, CONTENT_TYPE, NOTICES, Salt, WebhookCall, WebhookKeys, sealed

TAG = "notice"
"""The tag of the jobs by which notices go."""


class Channel(Protocol):
    """A way to people."""

    @property
    def name(self) -> str:
        """The name under which notices are counted."""
        ...

    @property
    def job_type(self) -> str:
        """The job type that delivers notices. An incident of that type is told by the other channels."""
        ...

    def content(self, notice: Notice) -> bytes:
        """Return the submission that delivers a notice, in MessagePack."""
        ...


class EmailChannel(Struct, frozen=True):
    """Notices by mail."""

    to: tuple[str, ...]
    name: str = "email"
    job_type: str = "email.send"

    def content(self, notice: Notice) -> bytes:
        """Return the mail."""
        return _content(self.job_type, {"to": list(self.to), "subject": notice.subject, "text": notice.text})


class WebhookChannel(Struct, frozen=True):
    """Notices by a signed call."""

    url: str
    keys: WebhookKeys
    tenant: str
    name: str = "webhook"
    job_type: str = CALL_TYPE

    def content(self, notice: Notice) -> bytes:
        """Return the call, with a CloudEvent."""
        event = {
            "specversion": "1.0",
            "id": notice.key,
            "source": f"/millstream/{self.tenant}",
            "type": f"millstream.incident.{notice.kind}",
            "subject": notice.about or notice.rule,
            "datacontenttype": "application/json",
            "data": {"rule": notice.rule, "about": notice.about, "summary": notice.subject, "text": notice.text},
        }
        call = WebhookCall(
            url=self.url, body=event, content_type=CONTENT_TYPE, endpoint=NOTICES, salts=[Salt(self.tenant)]
        )
        return _content(self.job_type, sealed(call, self.keys))


class NotifyChannel(Struct, frozen=True):
    """Notices by whatever Apprise speaks, to the URLs that the workers have."""

    name: str = "notify"
    job_type: str = "notify.send"

    def content(self, notice: Notice) -> bytes:
        """Return the notification."""
        return _content(self.job_type, {"title": notice.subject, "body": notice.text})


def _content(job_type: str, payload: Any) -> bytes:
    return NewJob(job_type, payload, tags={TAG: "incident"}).content
