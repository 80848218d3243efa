"""Decides sampling for a new trace before the SDK creates any span.

About 99 of 100 traces are not recorded. For each of them the SDK would create five objects and ask two samplers, a
seventh of what a submission costs.
"""

import random

from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

from millstream_telemetry.tracing.trace_context import NO_TRACE, TraceContext

# Flags of a trace that is not sampled and whose id is random, as the SDK sets them.
_FLAGS = "02"
_TRACE_BITS, _SPAN_BITS = 128, 64
_SPAN_MASK = (1 << _SPAN_BITS) - 1
_LIMIT = TraceIdRatioBased.TRACE_ID_LIMIT


class RootIds(RandomIdGenerator):
    """The id generator of a provider. A trace id can be put back; it is then the next one that is drawn."""

    def __init__(self) -> None:
        # `append` and `pop` are atomic, so no lock is needed.
        self._put_back: list[int] = []

    def draw(self) -> tuple[int, int]:
        """Return a new trace id and a new span id."""
        if not self._put_back:
            # Both ids in one draw: the SDK's two draws take twice as long.
            both = random.getrandbits(_TRACE_BITS + _SPAN_BITS)
            trace_id, span_id = both >> _SPAN_BITS, both & _SPAN_MASK
            if trace_id and span_id:
                return trace_id, span_id
        return self.generate_trace_id(), self.generate_span_id()

    def put_back(self, trace_id: int) -> None:
        """Make this trace id the next one that is drawn."""
        self._put_back.append(trace_id)

    def generate_trace_id(self) -> int:
        """Return a new trace id."""
        try:
            return self._put_back.pop() if self._put_back else super().generate_trace_id()
        except IndexError:  # another thread was faster
            return super().generate_trace_id()


class RootSampler:
    """Samples new traces as the sampler of a provider would."""

    def __init__(self, provider: object) -> None:
        sampler, ids = getattr(provider, "sampler", None), getattr(provider, "id_generator", None)
        # `_root` is private in the SDK; without it every trace goes through the SDK, which only takes longer.
        root = getattr(sampler, "_root", None) if isinstance(sampler, ParentBased) else None
        self._ids = ids if isinstance(ids, RootIds) and isinstance(root, TraceIdRatioBased) else None
        self._bound: int = getattr(root, "bound", 0)

    def is_unrecorded(self) -> bool:
        """Return whether the next new trace is not recorded; False where the SDK has to decide."""
        return self.unrecorded() is not NO_TRACE

    def unrecorded(self) -> TraceContext:
        """Return the context of a new trace that is not recorded; NO_TRACE where the SDK has to make a span."""
        ids = self._ids
        if ids is None:
            return NO_TRACE
        trace_id, span_id = ids.draw()
        if trace_id & _LIMIT < self._bound:
            # The SDK draws the same id, and so decides the same.
            ids.put_back(trace_id)
            return NO_TRACE
        return TraceContext(f"00-{trace_id:032x}-{span_id:016x}-{_FLAGS}")
