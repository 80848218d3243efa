"""A trace context is stored as strings."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millstream_telemetry import NO_TRACE, TraceContext, read_trace_context
from millstream_telemetry.tracing.trace_context import MAX_TRACESTATE_CHARS, trace_context_of

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SAMPLED = f"00-{TRACE}-{SPAN}-01"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        SAMPLED[:-1],
        SAMPLED.upper(),
        f"{SAMPLED}-more",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"ff-{TRACE}-{SPAN}-01",
        "00-" + "a" * 100_000,
    ],
)
def test_read_refuses_what_is_no_traceparent(text):
    """A malformed traceparent counts as none."""
    assert read_trace_context(text, "a=b") == NO_TRACE


def test_read_keeps_the_known_part_when_the_version_is_newer():
    """Of a traceparent of a later version the known part is kept."""
    assert read_trace_context(f"01-{TRACE}-{SPAN}-ff-extra") == TraceContext(f"00-{TRACE}-{SPAN}-03")


def test_read_keeps_tracestate_as_it_came():
    """The tracestate is kept unchanged."""
    assert read_trace_context(SAMPLED, "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE").tracestate == (
        "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"
    )


def test_read_drops_tracestate_that_is_too_long():
    """A tracestate that is too long is dropped, and the traceparent is kept."""
    state = f"a={'x' * 200},b={'x' * 200},c={'x' * 200}"

    assert len(state) > MAX_TRACESTATE_CHARS
    assert read_trace_context(SAMPLED, state) == TraceContext(SAMPLED)


@pytest.mark.parametrize(("flags", "sampled"), [("00", False), ("01", True), ("02", False), ("03", True)])
def test_is_sampled_reads_the_lowest_bit_of_the_flags(flags, sampled):
    """The sampled flag is the lowest bit, whatever the others are."""
    assert TraceContext(f"00-{TRACE}-{SPAN}-{flags}").is_sampled is sampled


def test_unsampled_takes_off_the_flag_alone():
    """An unsampled context keeps its ids."""
    assert TraceContext(SAMPLED, "a=b").unsampled() == TraceContext(f"00-{TRACE}-{SPAN}-00", "a=b")


@given(st.integers(1, 2**128 - 1), st.integers(1, 2**64 - 1), st.integers(0, 3))
def test_context_survives_the_way_through_a_span(trace_id, span_id, flags):
    """A context that becomes a span context and back is the same strings."""
    context = TraceContext(f"00-{trace_id:032x}-{span_id:016x}-{flags:02x}", "a=b")

    assert read_trace_context(context.traceparent, context.tracestate) == context
    assert trace_context_of(context.as_span().get_span_context()) == context
