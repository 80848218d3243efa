"""The numbers of the advisory locks: such as no other program takes in this database, and one for each purpose."""

MIGRATIONS = 0x6D696C6C
"""Tables are made and changed."""

DAYS = 0x6D696C6D
"""Partitions are made and dropped, and changes are added to the counts of dead jobs."""

AUDIT = 0x6D696C6F
"""Audit records get their places, and their months are made and dropped."""

ERASURES = 0x6D696C6E
"""Jobs are marked as erased. Each batch that is stored shares it."""
