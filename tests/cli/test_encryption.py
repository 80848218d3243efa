"""`millstream encryption` shows data keys, makes new ones, and wraps them anew."""

import base64
from pathlib import Path
from typing import Any

import msgspec
import pytest
from anyio import to_thread
from cli.commands import run

from millstream_codec import Codec, Keyring, keys_of_text
from millstream_streams import Broker, open_broker

OLD = "kek1:" + base64.b64encode(b"1" * 32).decode()
NEW = "kek2:" + base64.b64encode(b"2" * 32).decode()


@pytest.fixture
def at(redis_url: str, namespace: str) -> dict[str, str]:
    """Return the environment of an operator with one key."""
    return {
        "MILLSTREAM_REDIS_URL": redis_url,
        "MILLSTREAM_NAMESPACE": namespace,
        "MILLSTREAM_ENCRYPTION_KEYS": OLD,
    }


async def call(*words: str, **environ: str) -> Any:
    """Run a command in a thread."""
    return await to_thread.run_sync(lambda: run("encryption", *words, **environ))


async def states(at: dict[str, str]) -> dict[str, tuple[str, str]]:
    """Return the state of each data key, and by what it is wrapped."""
    done = await call("status", "--json", **at)
    return {one["key"]: (one["state"], one["wrapped_by"]) for one in msgspec.json.decode(done.stdout)}


async def test_keys_are_made_shown_and_wrapped_anew(broker: Broker, at: dict[str, str]) -> None:
    """A rotation makes a key and keeps the earlier; after a rewrap the new key-encryption key opens both."""
    assert "no data keys" in (await call("status", **at)).stdout
    first = msgspec.json.decode((await call("rotate", "--json", **at)).stdout)["default"]
    second = msgspec.json.decode((await call("rotate", "--json", **at)).stdout)["default"]
    assert await states(at) == {first: ("kept", "kek1"), second: ("current", "kek1")}
    done = await call("rewrap", **{**at, "MILLSTREAM_ENCRYPTION_KEYS": f"{NEW},{OLD}"})
    assert done.exit_code == 0, done.stderr
    assert "2 data keys rewrapped" in done.stdout
    after = {**at, "MILLSTREAM_ENCRYPTION_KEYS": NEW}
    assert await states(after) == {first: ("kept", "kek2"), second: ("current", "kek2")}


async def test_a_rotation_without_a_tenant_is_one_of_every_tenant(broker: Broker, at: dict[str, str]) -> None:
    """Without `--tenant` every tenant with a data key gets a new one, and so does the default tenant."""
    assert msgspec.json.decode((await call("rotate", "--tenant", "acme", "--json", **at)).stdout).keys() == {"acme"}
    every = msgspec.json.decode((await call("rotate", "--json", **at)).stdout)
    assert every.keys() == {"acme", "default"}
    listed = msgspec.json.decode((await call("status", "--json", **at)).stdout)
    found = {(one["tenant"], one["state"]) for one in listed}
    assert found == {("acme", "kept"), ("acme", "current"), ("default", "current")}


async def test_lost_keys_are_told(broker: Broker, at: dict[str, str]) -> None:
    """Data keys whose key-encryption key is not here are named, and end the command with status 1."""
    made = msgspec.json.decode((await call("rotate", "--json", **at)).stdout)["default"]
    blind = {**at, "MILLSTREAM_ENCRYPTION_KEYS": NEW}
    done = await call("status", **blind)
    assert done.exit_code == 1
    assert "1 of 1 data keys cannot be opened" in done.stderr
    done = await call("rewrap", **blind)
    assert done.exit_code == 1
    assert f"default {made}" in done.stderr
    assert await states(at) == {made: ("current", "kek1")}


async def test_keys_of_a_folder_are_taken(broker: Broker, at: dict[str, str], tmp_path: Path) -> None:
    """The keys may be files; what is written with them is read with the same keys from elsewhere."""
    (tmp_path / "kek1.key").write_text(OLD.partition(":")[2])
    del at["MILLSTREAM_ENCRYPTION_KEYS"]
    done = await call("rotate", **at, MILLSTREAM_ENCRYPTION_KEYS_FOLDER=str(tmp_path))
    assert done.exit_code == 0, done.stderr
    codec = Codec(keyring=Keyring(keys_of_text(OLD)))
    async with open_broker(at["MILLSTREAM_REDIS_URL"], namespace=broker.keys.namespace, codec=codec) as ours:
        assert codec.keyring is not None
        assert (await codec.keyring.current("default")).kid in {one.kid async for one in ours.data_keys.all()}


async def test_without_keys_nothing_is_done(at: dict[str, str]) -> None:
    """Without keys the command says which setting is missing, and of a wrong one it quotes nothing."""
    del at["MILLSTREAM_ENCRYPTION_KEYS"]
    done = await call("status", **at)
    assert done.exit_code != 0
    assert "MILLSTREAM_ENCRYPTION_KEYS" in done.stderr
    wrong = await call("status", **at, MILLSTREAM_ENCRYPTION_KEYS="kek1:canary")
    assert wrong.exit_code != 0
    assert "expected 32 random bytes" in wrong.stderr
    assert "canary" not in wrong.stderr
