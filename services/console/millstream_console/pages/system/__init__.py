"""The system: what was checked, and what mends what is wrong."""
