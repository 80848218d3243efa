"""What every service runs on: settings, duties, stop signals, health, and the admin server."""

from millstream_runtime.admin import AdminServer, serve_admin
from millstream_runtime.duties import Duty, DutyResult, DutyRunner
from millstream_runtime.duty_service import run_duties
from millstream_runtime.errors import AdminBindError, ServiceStartError, SettingsError
from millstream_runtime.failure_log import FailureLog
from millstream_runtime.health import Health, HealthCheck, HealthOverview, HealthReport, Pulse
from millstream_runtime.settings.masking import NO_ADDRESS, mask_path, mask_text, mask_url
from millstream_runtime.settings.reader import read_settings, variables_of
from millstream_runtime.settings.secret import Secret
from millstream_runtime.standard_streams import hold_standard_streams
from millstream_runtime.stopping import (
    STACK_SIGNALS,
    StopOrders,
    heed_stop_signals,
    ignore_late_signals,
    prepare_signals,
    stop_signals,
)
from millstream_runtime.wake import Wake

__all__ = [
    "NO_ADDRESS",
    "STACK_SIGNALS",
    "AdminBindError",
    "AdminServer",
    "Duty",
    "DutyResult",
    "DutyRunner",
    "FailureLog",
    "Health",
    "HealthCheck",
    "HealthOverview",
    "HealthReport",
    "Pulse",
    "Secret",
    "ServiceStartError",
    "SettingsError",
    "StopOrders",
    "Wake",
    "heed_stop_signals",
    "hold_standard_streams",
    "ignore_late_signals",
    "mask_path",
    "mask_text",
    "mask_url",
    "prepare_signals",
    "read_settings",
    "run_duties",
    "serve_admin",
    "stop_signals",
    "variables_of",
]
