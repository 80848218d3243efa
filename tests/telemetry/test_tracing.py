"""Tracing is set up for a whole process, so each test here runs in a process of its own."""

import os
import subprocess
import sys
from importlib.metadata import version

import pytest
from otlp_receiver import OtlpReceiver

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"

SEND = f"""
from millstream_telemetry import JobTracer, configure_tracing
tracer = JobTracer(configure_tracing("ingest"))
with tracer.server("POST", "/v1/jobs", "00-{TRACE}-{SPAN}-01") as server:
    tracer.send("email.send", "email.send_001", server.context).stored()
"""

DESCRIBE = """
import sys
from opentelemetry import trace
from millstream_telemetry import configure_tracing
provider = configure_tracing("ingest")
is_global = provider is trace.get_tracer_provider()
told = provider and provider.resource.attributes
print(provider and (provider.sampler.get_description(), told["service.name"], told["service.version"], is_global))
print("grpc" in sys.modules)
print(type(getattr(provider, "id_generator", None)).__name__)
"""


def run(script, **environment):
    """Run a script in a process with only these OTEL_* variables, and return what it printed."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        env=inherited | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_spans_of_another_process_arrive_when_it_exits(protocol):
    """A process exports its last spans when it exits."""
    with OtlpReceiver(protocol) as receiver:
        run(SEND, **receiver.environment() | {"OTEL_BSP_SCHEDULE_DELAY": "60000"})

        receiver.wait_until(lambda: len(receiver.trace(TRACE)) == 2, "both spans have arrived")
        (root,) = receiver.tree(TRACE)
        assert root.names() == ("POST /v1/jobs", [("send email.send", [])])
        assert root.span.service == "millstream-ingest"


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"},
        {"OTEL_SDK_DISABLED": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"},
    ],
)
def test_nothing_is_set_up_unless_traces_are_asked_for(environment):
    """Without an endpoint or an exporter there is no provider, and gRPC is not imported."""
    assert run(DESCRIBE, **environment) == ["None", "False", "NoneType"]


def test_one_percent_is_recorded_when_no_sampler_is_named():
    """Without a sampler in the variables one percent of the traces is recorded."""
    described, _, ids = run(DESCRIBE, OTEL_TRACES_EXPORTER="console")

    assert "ParentBased{root:TraceIdRatioBased{0.01}" in described
    assert f"'millstream-ingest', '{version('millstream')}', True" in described
    assert ids == "RootIds", "without it every trace goes through the SDK"


def test_standard_variables_win_over_our_defaults():
    """The standard variables of OpenTelemetry win over our defaults."""
    described, *_ = run(
        DESCRIBE,
        OTEL_TRACES_EXPORTER="console",
        OTEL_TRACES_SAMPLER="traceidratio",
        OTEL_TRACES_SAMPLER_ARG="0.5",
        OTEL_SERVICE_NAME="shop",
        OTEL_RESOURCE_ATTRIBUTES="service.version=4.2",
    )

    assert described == "('TraceIdRatioBased{0.5}', 'shop', '4.2', True)"


def test_provider_of_an_agent_is_kept():
    """The provider of an OpenTelemetry agent is kept."""
    script = """
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
theirs = TracerProvider()
trace.set_tracer_provider(theirs)
from millstream_telemetry import configure_tracing
print(configure_tracing("ingest") is theirs)
"""
    assert run(script) == ["True"]


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        (
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_EXPORTER_OTLP_PROTOCOL": "smoke"},
            "OTEL_EXPORTER_OTLP_PROTOCOL is `smoke`; known: grpc, http/protobuf",
        ),
        (
            {
                "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:1",
                "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "smoke",
                "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
                "OTEL_TRACES_EXPORTER": "",
            },
            "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL is `smoke`; known: grpc, http/protobuf",
        ),
        ({"OTEL_TRACES_EXPORTER": "otpl"}, "OTEL_TRACES_EXPORTER is `otpl`; known: console, none, otlp"),
    ],
)
def test_wrong_value_stops_the_start_with_one_sentence(environment, sentence):
    """A wrong value of an OTEL_* variable stops the start with one sentence."""
    script = """
from millstream_telemetry import TracingConfigError, configure_tracing
try:
    configure_tracing("ingest")
except TracingConfigError as error:
    print(error)
"""
    (printed,) = run(script, **environment)
    assert printed.startswith(sentence)
