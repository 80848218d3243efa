"""Runs the jobs of the ledger by the executor of the workers, with stubs and faults where a test asks for them."""
