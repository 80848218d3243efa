"""The templates that submissions are filled up from."""
