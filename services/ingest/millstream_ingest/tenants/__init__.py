"""Tenants: made, changed, suspended and let go on by the operator; what each may have."""
