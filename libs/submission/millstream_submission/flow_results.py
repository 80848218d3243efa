"""Results of encrypted jobs in workflows: encrypted for the workflow, so that each of its nodes may take them.

A value opens for the job alone that it was encrypted for. So dispatchers encrypt a result anew when they tell its
workflow of it, and open it when they start a node that refers to it, whose job is stored encrypted then.
"""

from collections.abc import Mapping

import msgspec
from msgspec import Raw
from msgspec.structs import replace

from millstream_codec import RESULT, Codec, CodecError, Place, is_sealed
from millstream_contracts import Coding, Tenant
from millstream_streams import FlowNews

_ENCRYPTED = Coding(encrypt=True)
_ARRAYS = frozenset({*range(0x90, 0xA0), 0xDC, 0xDD})
"""The first bytes of MessagePack arrays."""

_decode_members = msgspec.msgpack.Decoder(list[Raw]).decode
_encode = msgspec.msgpack.Encoder().encode


async def sealed_for_workflow(codec: Codec, tenant: Tenant, news: FlowNews) -> FlowNews:
    """Return news with its result encrypted for the workflow, where it is encrypted for the job.

    Where the key is not there it stays as it is, and a node that refers to it is refused. Raises:
    StoreUnavailableError, StoreError.
    """
    if not is_sealed(news.result):
        return news
    try:
        value = await codec.read(news.result, Place(tenant, news.job_id, RESULT))
        await codec.prepare(tenant, [_ENCRYPTED])
    except CodecError:
        return news
    return replace(news, result=codec.write(value, _ENCRYPTED, Place(tenant, news.flow, RESULT)))


async def opened_results(
    codec: Codec, tenant: Tenant, workflow: str, results: Mapping[str, bytes]
) -> dict[str, bytes] | None:
    """Return the results of nodes by name, those that are encrypted decrypted; None where none is encrypted.

    Raises: CodecError; StoreUnavailableError, StoreError.
    """
    place = Place(tenant, workflow, RESULT)
    opened: dict[str, bytes] = {}
    for name, result in results.items():
        if is_sealed(result):
            opened[name] = await codec.read(result, place)
        elif (members := _members(result)) is not None:
            plain = [Raw(await codec.read(bytes(one), place)) if is_sealed(one) else one for one in members]
            opened[name] = _encode(plain)
    return {**results, **opened} if opened else None


def is_any_sealed(results: Mapping[str, bytes]) -> bool:
    """Return whether one of the results is encrypted, or one of an item of a node with `map`."""
    return any(is_sealed(result) or _members(result) is not None for result in results.values())


def _members(result: bytes) -> list[Raw] | None:
    """Return the results of the items of a node with `map`, if one of them is encrypted; None for all else."""
    if not result or result[0] not in _ARRAYS:
        return None
    members = _decode_members(result)
    return members if any(map(is_sealed, members)) else None
