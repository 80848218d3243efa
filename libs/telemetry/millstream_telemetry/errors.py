"""Errors of telemetry.

TelemetryError
└── TracingConfigError    an OTEL_* variable has a value that nothing here understands
"""


class TelemetryError(Exception):
    """Anything that goes wrong in telemetry itself."""


class TracingConfigError(TelemetryError):
    """An OTEL_* variable has a value that nothing here understands."""

    def __init__(self, variable: str, value: str, known: str) -> None:
        self.variable = variable
        self.value = value
        super().__init__(f"{variable} is `{value}`; known: {known}")
