"""Makes plain data of what handlers and clients pass: what msgspec knows, paths, and models of pydantic."""

from functools import partial
from pathlib import PurePath
from typing import Any

import msgspec

from millstream.payloads.models import is_model, write_model


def _of_others(value: Any, *, is_result: bool) -> Any:
    kind = type(value)
    if kind is msgspec.Raw and not is_result:
        return msgspec.msgpack.decode(value)
    if issubclass(kind, PurePath):
        return str(value)
    if is_model(kind):
        return write_model(value, is_result=is_result)
    raise TypeError(f"Encoding objects of type {kind.__module__}.{kind.__qualname__} is unsupported")


# `partial` of a C function: a function around it would take as long as itself.
plain_payload = partial(
    msgspec.to_builtins,
    builtin_types=(bytes, bytearray, memoryview),
    str_keys=True,
    enc_hook=partial(_of_others, is_result=False),
)
"""Makes plain data of a payload, binary data left as it is. Raises: as :data:`plain_result`."""

plain_result = partial(
    msgspec.to_builtins, builtin_types=(bytes,), str_keys=True, enc_hook=partial(_of_others, is_result=True)
)
"""Makes plain data of a result, `bytes` left as they are.

Raises: TypeError, ValueError, OverflowError or RecursionError; what an attribute of a user's class raises.
"""
