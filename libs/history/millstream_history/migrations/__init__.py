"""How the tables came to be: one module per change, in order.

A revision is four digits and one more than the one before it: by that an older release tells that tables are newer.
What a change must leave to the release before it stands in docs/adr/0019.
"""
