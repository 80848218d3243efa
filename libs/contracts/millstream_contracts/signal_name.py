"""The names of signals: they are those of job types."""

import re

from millstream_contracts.ids import NAME_PATTERN

is_signal_name = re.compile(NAME_PATTERN).fullmatch
"""Matches a text that can be the name of a signal."""
