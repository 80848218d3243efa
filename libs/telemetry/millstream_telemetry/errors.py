"""Errors of telemetry.

TelemetryError
├── TracingConfigError    an OTEL_* variable has a value that nothing here understands
└── AdminBindError        the port for health and metrics cannot be listened on
"""


class TelemetryError(Exception):
    """Anything that goes wrong in telemetry itself."""


class TracingConfigError(TelemetryError):
    """An OTEL_* variable has a value that nothing here understands."""

    def __init__(self, variable: str, value: str, known: str) -> None:
        self.variable = variable
        self.value = value
        super().__init__(f"{variable} is `{value}`; known: {known}")


class AdminBindError(TelemetryError):
    """The port for health and metrics cannot be listened on."""

    def __init__(self, host: str, port: int, reason: str) -> None:
        self.host = host
        self.port = port
        super().__init__(f"cannot listen on {host}:{port} for health and metrics: {reason}")
