"""How jobs change: keys, scripts, and one method for each transition."""
