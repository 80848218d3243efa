"""Sends notices over the channels, at most a few an hour, and one digest in place of those that were held back.

Which notices went is noted in Redis under their keys, so that any number of dispatchers sends each once.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence

import structlog

from millstream_contracts import DEFAULT_TENANT
from millstream_dispatcher.notices.channels import Channel
from millstream_dispatcher.notices.notice import Notice, digest_of
from millstream_streams import Registry
from millstream_submission import SubmissionError, SystemSubmitter
from millstream_telemetry import NO_TRACE, NoticeMetrics

NOTICES_AN_HOUR = 20
"""The most notices that a channel gets in an hour."""

HOUR_MS = 3_600_000
_KEPT_HOURS = 25
"""For as long as keys of jobs are remembered, a note keeps its notice from being sent again."""

_SENT, _HELD = "sent", "held"


class NoticeDesk:
    """Submits the jobs by which notices go."""

    def __init__(
        self, registry: Registry, submitter: SystemSubmitter, channels: Sequence[Channel], metrics: NoticeMetrics
    ) -> None:
        self._registry = registry
        self._submitter = submitter
        self._channels = channels
        self._metrics = metrics
        self._log = structlog.get_logger().bind(duty="watchman")

    async def send(self, notice: Notice, now_ms: int) -> None:
        """Send a notice over each channel, or hold it back. Raises: StoreUnavailableError."""
        noted = await self._registry.noted_notices()
        hour = now_ms // HOUR_MS
        for channel in self._channels:
            field = f"{channel.name} {notice.key}"
            # What tells of mails that die must not be a mail.
            if field in noted or channel.job_type == notice.about:
                continue
            count = sum(one.startswith(f"{channel.name} ") and note == f"{hour} {_SENT}" for one, note in noted.items())
            if count < NOTICES_AN_HOUR:
                await self._submit(channel, notice)
                await self._note(field, f"{hour} {_SENT}", channel)
            else:
                await self._note(field, f"{hour} {_HELD}", channel)

    async def tidy(self, now_ms: int) -> None:
        """Send the digests of the hours that are over, and forget old notes. Raises: StoreUnavailableError."""
        noted = await self._registry.noted_notices()
        hour = now_ms // HOUR_MS
        held = Counter(_held(noted, hour))
        for (name, past), count in held.items():
            for channel in self._channels:
                if channel.name == name:
                    await self._submit(channel, digest_of(name, past, count))
        over = [field for field, note in noted.items() if _is_over(note, hour)]
        await self._registry.forget_notices(over)

    async def _submit(self, channel: Channel, notice: Notice) -> None:
        key = hashlib.blake2b(f"{channel.name}\0{notice.key}".encode(), digest_size=16).digest()
        try:
            built = await self._submitter.build(DEFAULT_TENANT, channel.content(notice), key, caller=NO_TRACE)
        except (SubmissionError, TypeError) as error:
            self._log.error("notice not sent", channel=channel.name, error=str(error), error_type="refused")
            return
        await self._submitter.store([built])

    async def _note(self, field: str, note: str, channel: Channel) -> None:
        await self._registry.note_notice(field, note)
        self._metrics.count_notice(channel.name, note.rpartition(" ")[2])


def _held(noted: Mapping[str, str], hour: int) -> list[tuple[str, int]]:
    """Return the channel and the hour of each notice that was held back in an hour that is over."""
    found = ((field.partition(" ")[0], *_read(note)) for field, note in noted.items())
    return [(name, past) for name, past, way in found if way == _HELD and past < hour]


def _is_over(note: str, hour: int) -> bool:
    past, way = _read(note)
    return past < hour if way == _HELD else past < hour - _KEPT_HOURS


def _read(note: str) -> tuple[int, str]:
    past, _, way = note.partition(" ")
    return (int(past) if past.isdigit() else 0), way
