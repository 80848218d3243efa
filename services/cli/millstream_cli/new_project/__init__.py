"""`millstream new`: writes a project that runs, from the templates beside this module."""
