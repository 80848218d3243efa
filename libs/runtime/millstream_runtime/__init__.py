"""What every service runs on: settings, duties, stop orders, health, the admin server, and `run_service`."""

from millstream_runtime.admin import AdminServer, serve_admin
from millstream_runtime.announcing import Announcement, announce, reachable, read_announcement
from millstream_runtime.coding import codec_of, provider_of
from millstream_runtime.duties import Duty, DutyResult, DutyRunner
from millstream_runtime.duty_service import run_duties
from millstream_runtime.errors import AdminBindError, BindError, ServiceStartError, SettingsError
from millstream_runtime.failure_log import FailureLog
from millstream_runtime.health import Health, HealthCheck, HealthOverview, HealthReport, Pulse
from millstream_runtime.heartbeat import beating
from millstream_runtime.loopback import is_loopback
from millstream_runtime.service import (
    Service,
    StoppedEarlyError,
    SuitableRedis,
    open_service,
    prepare_process,
    run_service,
    suitable_redis,
)
from millstream_runtime.settings.fields import (
    DAY_S,
    HOUR_S,
    CidrNetwork,
    HistoryUrl,
    ListenPort,
    Namespace,
    Port,
    RedisUrl,
    Url,
)
from millstream_runtime.settings.masking import NO_ADDRESS, mask_path, mask_text, mask_url
from millstream_runtime.settings.reader import read_settings, variables_of
from millstream_runtime.settings.secret import Secret, revealed
from millstream_runtime.settings.service_settings import (
    DemandSettings,
    HistorySettings,
    LeaseSettings,
    ProcessSettings,
    ServiceSettings,
    Settings,
    WebhookSettings,
)
from millstream_runtime.standard_streams import hold_standard_streams
from millstream_runtime.stopping import (
    STACK_SIGNALS,
    StopOrders,
    heed_stop_signals,
    ignore_late_signals,
    prepare_signals,
    stop_signals,
)
from millstream_runtime.unwrapping import single_error, unwrapped
from millstream_runtime.wake import Wake

__all__ = [
    "DAY_S",
    "HOUR_S",
    "NO_ADDRESS",
    "STACK_SIGNALS",
    "AdminBindError",
    "AdminServer",
    "Announcement",
    "BindError",
    "CidrNetwork",
    "DemandSettings",
    "Duty",
    "DutyResult",
    "DutyRunner",
    "FailureLog",
    "Health",
    "HealthCheck",
    "HealthOverview",
    "HealthReport",
    "HistorySettings",
    "HistoryUrl",
    "LeaseSettings",
    "ListenPort",
    "Namespace",
    "Port",
    "ProcessSettings",
    "Pulse",
    "RedisUrl",
    "Secret",
    "Service",
    "ServiceSettings",
    "ServiceStartError",
    "Settings",
    "SettingsError",
    "StopOrders",
    "StoppedEarlyError",
    "SuitableRedis",
    "Url",
    "Wake",
    "WebhookSettings",
    "announce",
    "beating",
    "codec_of",
    "heed_stop_signals",
    "hold_standard_streams",
    "ignore_late_signals",
    "is_loopback",
    "mask_path",
    "mask_text",
    "mask_url",
    "open_service",
    "prepare_process",
    "prepare_signals",
    "provider_of",
    "reachable",
    "read_announcement",
    "read_settings",
    "revealed",
    "run_duties",
    "run_service",
    "serve_admin",
    "single_error",
    "stop_signals",
    "suitable_redis",
    "unwrapped",
    "variables_of",
]
