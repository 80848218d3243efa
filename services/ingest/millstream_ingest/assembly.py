"""What the routes work with: everything is made once, by `service.open_parts`, and handed in here."""

from msgspec import Struct

from millstream_ingest.http.body_reader import BodyReader
from millstream_ingest.http.refusal_log import RefusalLog
from millstream_ingest.inspection.dead_letters import DeadDesk
from millstream_ingest.inspection.jobs import JobLister
from millstream_ingest.inspection.queues import QueueSurveyor
from millstream_ingest.inspection.waiting import SettledWaiter
from millstream_ingest.redis_watch import RedisWatch
from millstream_ingest.settings import IngestSettings
from millstream_ingest.submission.batch import BatchIntake
from millstream_ingest.submission.single import Intake
from millstream_runtime import HealthReport
from millstream_streams import Broker
from millstream_submission import TypeCatalogue
from millstream_telemetry import IngestMetrics, JobTracer, MetricRegistry


class Parts(Struct, frozen=True, kw_only=True):
    """The working parts of one ingest process."""

    config: IngestSettings
    broker: Broker
    body_reader: BodyReader
    intake: Intake
    batches: BatchIntake
    lister: JobLister
    dead: DeadDesk
    surveyor: QueueSurveyor
    catalogue: TypeCatalogue
    waiter: SettledWaiter
    watch: RedisWatch
    refusals: RefusalLog
    tracer: JobTracer
    metrics: IngestMetrics
    registry: MetricRegistry
    health: HealthReport
