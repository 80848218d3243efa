"""Schedules over the API: checked, stored, shown, steered, and run again for the past."""
