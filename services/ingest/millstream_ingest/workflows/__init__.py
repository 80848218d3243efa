"""Workflows over the API: checked, stored, shown, cancelled and run again."""
