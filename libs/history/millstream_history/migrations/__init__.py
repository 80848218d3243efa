"""The migrations: one module per change, in order.

A revision has four digits and is one more than the one before it, so an older release recognises newer tables. The
rules for a change are in docs/adr/0019.
"""
