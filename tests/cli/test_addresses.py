"""The supervisor learns where its services listen."""

import pytest

from millstream_cli.addresses import Addresses
from millstream_cli.errors import NotReadyError

LINE = '{{"event":"{event}","host":"127.0.0.1","port":{port},"service":"x"}}'


async def test_addresses_are_complete_once_each_process_has_said_its_own() -> None:
    """Addresses are complete once ingest has logged `listening` and each other service `admin`."""
    addresses = Addresses(["ingest", "reaper"])
    addresses.hear("ingest", LINE.format(event="listening", port=1))
    addresses.hear("reaper", "Traceback (most recent call last):")
    with pytest.raises(NotReadyError, match="reaper has not said where it listens") as caught:
        await addresses.wait(within_s=0.0)
    assert "ingest" not in str(caught.value)
    addresses.hear("reaper", LINE.format(event="admin", port=2))
    found = await addresses.wait(within_s=1.0)
    assert {name: address.url for name, address in found.items()} == {
        "ingest": "http://127.0.0.1:1",
        "reaper": "http://127.0.0.1:2",
    }


async def test_a_process_that_was_started_again_counts_with_its_last_address() -> None:
    """A process that was started again counts with its last address."""
    addresses = Addresses(["reaper"])
    addresses.hear("reaper", LINE.format(event="admin", port=1))
    addresses.hear("reaper", LINE.format(event="admin", port=2))
    assert (await addresses.wait(within_s=1.0))["reaper"].port == 2
