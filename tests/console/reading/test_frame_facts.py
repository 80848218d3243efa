"""The numbers beside the navigation are those of the API, and the last known ones while it is away."""

import pytest
from console.seeding import dead_jobs
from ingest.serving import Ingest

from millstream import Client, UnavailableError
from millstream_console.reading import frame_facts
from millstream_console.reading.frame_facts import FrameReader
from millstream_contracts import Problem
from millstream_streams import Broker


async def refuse(client: Client) -> None:
    """Answer as a client whose API is away."""
    raise UnavailableError(Problem(type="about:blank", title="No answer", status=0))


async def test_numbers_are_kept_while_the_api_is_away(
    ingest: Ingest, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a history dead jobs count all the same; an API that does not answer does not make them none."""
    monkeypatch.setattr(frame_facts, "KEEP_S", 0.0)
    await dead_jobs(broker, None, 3)
    async with Client(str(ingest.http.base_url), retry_for_s=0.0) as client:
        reader = FrameReader(client)
        assert (await reader.read()).dead == 3
        monkeypatch.setattr(Client, "queues", refuse)
        assert (await reader.read()).dead == 3
