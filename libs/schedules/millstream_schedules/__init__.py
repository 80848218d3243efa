"""When schedules are due, and what is made up for. No I/O happens here."""

from millstream_schedules.catching_up import MAX_COUNTED, MAX_FIRED, CatchUp, missed
from millstream_schedules.described import clock_of, described, shown_expression, words_of
from millstream_schedules.errors import ScheduleError
from millstream_schedules.occasions import END_OF_TIME, EPOCH, offset_of, timing_of
from millstream_schedules.remarks import ClockChange, clock_change
from millstream_schedules.timing import Occasion, Timing
from millstream_schedules.zones import ZONE_DATA_VERSION, moment_of, zone_names, zone_of

__all__ = [
    "END_OF_TIME",
    "EPOCH",
    "MAX_COUNTED",
    "MAX_FIRED",
    "ZONE_DATA_VERSION",
    "CatchUp",
    "ClockChange",
    "Occasion",
    "ScheduleError",
    "Timing",
    "clock_change",
    "clock_of",
    "described",
    "missed",
    "moment_of",
    "offset_of",
    "shown_expression",
    "timing_of",
    "words_of",
    "zone_names",
    "zone_of",
]
