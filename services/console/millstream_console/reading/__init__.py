"""What several pages read of the API, and what they make of it: statistics, and what the history may be missing for."""
