"""What takes submissions in, for tests of the parts behind it."""

from millstream_streams import Broker
from millstream_submission import Admission, Intake, TypeCatalogue, UnknownTypes
from millstream_telemetry import MetricRegistry


def intake_of(broker: Broker, catalogue: TypeCatalogue | None = None, unknown_types: UnknownTypes = "accept") -> Intake:
    """Return an intake that knows what is registered in a broker's Redis."""
    known = catalogue or TypeCatalogue(broker.registry, MetricRegistry())
    return Intake(known, Admission(unknown_types), broker.templates, clock=broker.clock.now_s)
