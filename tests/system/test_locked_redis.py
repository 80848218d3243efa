"""The whole system works on a Redis whose ports speak TLS alone and ask for client certificate and password."""

from pathlib import Path

import pytest
from system.running import running_system, settled, started
from topologies.locked import LOCKED, PASSWORD, SENTINEL_PASSWORD, SENTINEL_USER, Keys, make_keys, require_tls
from written import whole_lines

from millstream_cli.redis_finder import RedisBinary
from millstream_contracts import JobState
from millstream_streams import RedisAddress


@pytest.fixture
def keys(redis_binary: RedisBinary, tmp_path: Path) -> Keys:
    """Return certificates for a server program that speaks TLS."""
    require_tls(redis_binary)
    return make_keys(tmp_path / "keys")


def environment_for(address: RedisAddress, folder: Path) -> dict[str, str]:
    """Return the variables of a deployment, in which certificates and passwords are files."""
    (folder / "redis-password").write_text(f"{PASSWORD}\n")
    environ = {
        "MILLSTREAM_REDIS_URL": address.text,
        "MILLSTREAM_REDIS_CA_FILE": str(address.tls_files.ca_file),
        "MILLSTREAM_REDIS_CERT_FILE": str(address.tls_files.cert_file),
        "MILLSTREAM_REDIS_KEY_FILE": str(address.tls_files.key_file),
        "MILLSTREAM_REDIS_PASSWORD_FILE": str(folder / "redis-password"),
    }
    if address.mode == "sentinel":
        (folder / "sentinel-password").write_text(f"{SENTINEL_PASSWORD}\n")
        environ["MILLSTREAM_SENTINEL_USERNAME"] = SENTINEL_USER
        environ["MILLSTREAM_SENTINEL_PASSWORD_FILE"] = str(folder / "sentinel-password")
    return environ


@pytest.mark.parametrize("mode", LOCKED)
async def test_every_service_encrypts_every_hop(
    mode: str, keys: Keys, redis_binary: RedisBinary, tmp_path: Path, folder: Path
) -> None:
    """Every connection of every service uses TLS: jobs run, wait, are retried and are cancelled."""
    with LOCKED[mode](tmp_path / "redis", redis_binary, keys) as address:
        environ = environment_for(address, tmp_path)
        with running_system(tmp_path, environ=environ, workers=1) as system:
            async with system.client() as client:
                jobs = [await client.submit("chore.now"), await client.submit("chore.now", delay=0.2)]
                jobs.append(await client.submit("demo.flaky"))
                ended = await settled(client, [job.id for job in jobs])
                assert {job.state for job in ended} == {JobState.SUCCEEDED}
                running = await client.submit("chore.gate", {"folder": str(folder)})
                await started(folder, 1)
                await client.cancel(running.id)
                (job,) = await settled(client, [running.id])
                assert job.state is JobState.CANCELLED
            assert system.restarts() == []
            said = "\n".join(whole_lines(system.log))
        assert PASSWORD not in said
        assert SENTINEL_PASSWORD not in said
