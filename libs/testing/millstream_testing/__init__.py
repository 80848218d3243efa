"""The test kit: runs handlers in memory, by the code of the workers. `millstream.testing` has what users import.

This module imports nothing: pytest loads `millstream_testing.plugin` at each start.
"""
