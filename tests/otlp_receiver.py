"""A real OTLP receiver for tests: services in any process export their spans to it, and it shows the trees.

with OtlpReceiver() as receiver:
    process = start(..., env=os.environ | receiver.environment())
    receiver.wait_until(lambda: len(receiver.trace(trace_id)) == 5, "all spans have arrived")
    print(receiver.drawing(trace_id))
"""

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

import grpc
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    TraceServiceServicer,
    add_TraceServiceServicer_to_server,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status


@dataclass(frozen=True)
class ReceivedSpan:
    """One span as it was received. Ids are lower-case hex, as in a traceparent."""

    service: str
    name: str
    kind: str
    """`SERVER`, `PRODUCER`, `CONSUMER`, `INTERNAL` or `CLIENT`."""
    trace_id: str
    span_id: str
    parent_id: str
    links: list[tuple[str, str]]
    """(trace id, span id) of each."""
    status: str
    """`UNSET`, `OK` or `ERROR`."""
    status_message: str
    attributes: dict[str, Any]
    events: list[tuple[str, dict[str, Any]]]
    start_ns: int
    end_ns: int


@dataclass
class SpanNode:
    """A span with the spans below it, in the order in which they started."""

    span: ReceivedSpan
    children: list["SpanNode"] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Name of the span."""
        return self.span.name

    def names(self) -> tuple[str, list[Any]]:
        """Return the tree as nested (name, [children])."""
        return self.name, [child.names() for child in self.children]

    def walk(self) -> Iterable["SpanNode"]:
        """Yield this node and all below it, parents first."""
        yield self
        for child in self.children:
            yield from child.walk()


_STOP_S = 30


class OtlpReceiver(TraceServiceServicer):
    """Listens on 127.0.0.1, on a free port, and keeps every span; a context manager.

    `protocol` is `grpc` or `http/protobuf`.
    """

    def __init__(self, protocol: str = "grpc") -> None:
        self.protocol = protocol
        self.spans: list[ReceivedSpan] = []
        self._changed = threading.Condition()
        self._close, self._port = self._serve_grpc() if protocol == "grpc" else self._serve_http()

    @property
    def endpoint(self) -> str:
        """Value for OTEL_EXPORTER_OTLP_ENDPOINT."""
        return f"http://127.0.0.1:{self._port}"

    def environment(self, sampler: str = "parentbased_always_on") -> dict[str, str]:
        """Return the OTEL_* variables with which a process exports here, soon, and with this sampler."""
        return {
            "OTEL_EXPORTER_OTLP_ENDPOINT": self.endpoint,
            "OTEL_EXPORTER_OTLP_PROTOCOL": self.protocol,
            "OTEL_TRACES_SAMPLER": sampler,
            "OTEL_BSP_SCHEDULE_DELAY": "100",
        }

    def trace(self, trace_id: str) -> list[ReceivedSpan]:
        """Return the spans of one trace that have arrived, in the order in which they started."""
        with self._changed:
            found = [span for span in self.spans if span.trace_id == trace_id]
        return sorted(found, key=lambda span: span.start_ns)

    def tree(self, trace_id: str) -> list[SpanNode]:
        """Return the roots of one trace: spans without a parent, or whose parent has not arrived."""
        nodes = {span.span_id: SpanNode(span) for span in self.trace(trace_id)}
        roots = []
        for node in nodes.values():
            parent = nodes.get(node.span.parent_id)
            (roots if parent is None else parent.children).append(node)
        return roots

    def drawing(self, trace_id: str) -> str:
        """Return one trace as an indented list, for the message of a failed assertion."""
        lines: list[str] = []

        def draw(node: SpanNode, depth: int) -> None:
            span = node.span
            links = "".join(f" -> {span_id}" for _, span_id in span.links)
            lines.append(f"{'  ' * depth}{span.kind} {span.name} [{span.span_id}] {span.status}{links}")
            for child in node.children:
                draw(child, depth + 1)

        for root in self.tree(trace_id):
            draw(root, 0)
        return "\n".join(lines)

    def wait_until(self, predicate: Callable[[], bool], description: str, timeout_s: float = 15.0) -> None:
        """Block until the predicate is true, which is checked whenever spans arrive.

        Raises: AssertionError with the description and the spans that had arrived.
        """
        with self._changed:
            if not self._changed.wait_for(predicate, timeout_s):
                arrived = sorted({span.name for span in self.spans})
                raise AssertionError(f"not within {timeout_s:g} s: {description}; arrived: {arrived}")

    def Export(self, request: ExportTraceServiceRequest, context: object) -> ExportTraceServiceResponse:  # noqa: N802
        """Receive the spans of an exporter."""
        received = list(_read(request))
        with self._changed:
            self.spans.extend(received)
            self._changed.notify_all()
        return ExportTraceServiceResponse()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def _serve_grpc(self) -> tuple[Callable[[], None], int]:
        pool = ThreadPoolExecutor(2, thread_name_prefix="otlp-receiver")
        server = grpc.server(pool)
        add_TraceServiceServicer_to_server(self, server)
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()

        def close() -> None:
            server.stop(grace=None).wait(_STOP_S)
            pool.shutdown()

        return close, port

    def _serve_http(self) -> tuple[Callable[[], None], int]:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                answer = receiver.Export(ExportTraceServiceRequest.FromString(body), None)
                self.send_response(200 if self.path == "/v1/traces" else 404)
                self.send_header("Content-Type", "application/x-protobuf")
                self.end_headers()
                self.wfile.write(answer.SerializeToString())

            def log_message(self, format: str, *args: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()

        def close() -> None:
            server.shutdown()
            thread.join()
            server.server_close()

        return close, server.server_address[1]


def _read(request: ExportTraceServiceRequest) -> Iterable[ReceivedSpan]:
    for batch in request.resource_spans:
        service = _attributes(batch.resource.attributes).get("service.name", "")
        for scope in batch.scope_spans:
            for span in scope.spans:
                yield _read_span(service, span)


def _read_span(service: str, span: Span) -> ReceivedSpan:
    return ReceivedSpan(
        service=service,
        name=span.name,
        kind=Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        links=[(link.trace_id.hex(), link.span_id.hex()) for link in span.links],
        status=Status.StatusCode.Name(span.status.code).removeprefix("STATUS_CODE_"),
        status_message=span.status.message,
        attributes=_attributes(span.attributes),
        events=[(event.name, _attributes(event.attributes)) for event in span.events],
        start_ns=span.start_time_unix_nano,
        end_ns=span.end_time_unix_nano,
    )


def _attributes(pairs: Iterable[KeyValue]) -> dict[str, Any]:
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(item) for item in value.array_value.values]
    return getattr(value, kind) if kind else None
