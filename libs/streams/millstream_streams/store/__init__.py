"""Changes jobs: keys, scripts, and one method for each transition."""
