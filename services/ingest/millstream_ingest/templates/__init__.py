"""Templates that submissions are filled up from."""
