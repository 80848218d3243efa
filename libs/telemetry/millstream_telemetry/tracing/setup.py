"""Sets up the OpenTelemetry SDK from the standard OTEL_* variables, when they ask for traces.

Run once by each service's entry point. Without a variable that names an exporter or an endpoint nothing
is set up, and every span in Millstream costs next to nothing.
"""

import os
from importlib.metadata import entry_points, version

from opentelemetry import trace
from opentelemetry.environment_variables import OTEL_TRACES_EXPORTER
from opentelemetry.sdk.environment_variables import (
    OTEL_EXPORTER_OTLP_ENDPOINT,
    OTEL_EXPORTER_OTLP_PROTOCOL,
    OTEL_EXPORTER_OTLP_TRACES_ENDPOINT,
    OTEL_EXPORTER_OTLP_TRACES_PROTOCOL,
    OTEL_SDK_DISABLED,
    OTEL_TRACES_SAMPLER,
)
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio, Sampler

from millstream_telemetry.errors import TracingConfigError
from millstream_telemetry.tracing.sampling import RootIds

DEFAULT_SAMPLED_SHARE = 0.01
"""Share of new traces that is recorded when OTEL_TRACES_SAMPLER is unset. OpenTelemetry's own default is all
of them; at some 20 us a span and four spans a job, that would cost a busy worker more than its jobs do."""

_OTLP_EXPORTERS = {"grpc": "otlp_proto_grpc", "http/protobuf": "otlp_proto_http"}


def configure_tracing(service: str) -> trace.TracerProvider | None:
    """Make spans go where the OTEL_* variables say; None when they ask for none.

    The provider becomes the global one, so that the spans of user code nest in ours. It flushes and shuts
    down when the process exits. A provider that was installed before, as by an OpenTelemetry agent,
    is kept and returned.

    Raises: TracingConfigError.
    """
    if os.environ.get(OTEL_SDK_DISABLED, "").strip().lower() == "true":
        return None
    installed = trace.get_tracer_provider()
    if not isinstance(installed, trace.ProxyTracerProvider):
        return installed
    exporters = [_exporter(name) for name in _exporter_names()]
    if not exporters:
        return None
    provider = TracerProvider(sampler=_sampler(), resource=_resource(service), id_generator=RootIds())
    for exporter in exporters:
        provider.add_span_processor(BatchSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    return provider


def end_tracing(provider: object) -> None:
    """Export what has not been exported yet, for a process that is about to end without its exit handlers."""
    if isinstance(provider, TracerProvider):
        provider.shutdown()


def _exporter_names() -> list[str]:
    """Return what to export with; an endpoint alone means OTLP."""
    has_endpoint = any(
        os.environ.get(name) for name in (OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT)
    )
    wanted = os.environ.get(OTEL_TRACES_EXPORTER) or ("otlp" if has_endpoint else "none")
    names = [name.strip() for name in wanted.split(",")]
    return [name for name in names if name not in {"", "none"}]


def _exporter(name: str) -> SpanExporter:
    """Load an exporter by its entry point, so that a process without traces never imports gRPC."""
    plugin = _otlp_plugin() if name == "otlp" else name
    known = entry_points(group="opentelemetry_traces_exporter")
    if plugin not in known.names:
        raise TracingConfigError(OTEL_TRACES_EXPORTER, name, ", ".join(sorted({"otlp", "none", *known.names})))
    exporter: SpanExporter = known[plugin].load()()
    return exporter


def _otlp_plugin() -> str:
    for variable in (OTEL_EXPORTER_OTLP_TRACES_PROTOCOL, OTEL_EXPORTER_OTLP_PROTOCOL):
        protocol = os.environ.get(variable, "").strip()
        if protocol and protocol not in _OTLP_EXPORTERS:
            raise TracingConfigError(variable, protocol, ", ".join(_OTLP_EXPORTERS))
        if protocol:
            return _OTLP_EXPORTERS[protocol]
    return _OTLP_EXPORTERS["grpc"]


def _sampler() -> Sampler | None:
    """Return our default; None leaves the choice to the SDK, which reads OTEL_TRACES_SAMPLER."""
    return None if os.environ.get(OTEL_TRACES_SAMPLER) else ParentBasedTraceIdRatio(DEFAULT_SAMPLED_SHARE)


def _resource(service: str) -> Resource:
    resource = Resource.create()
    # What we pass to `create` would win over OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES.
    resource = Resource({SERVICE_VERSION: version("millstream")}).merge(resource)
    if str(resource.attributes.get(SERVICE_NAME, "")).startswith("unknown_service"):
        return resource.merge(Resource({SERVICE_NAME: f"millstream-{service}"}))
    return resource
