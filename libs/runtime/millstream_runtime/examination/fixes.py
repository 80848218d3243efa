"""The commands that mend what an examination has found, where there is one."""

FIXES = (
    ("maxmemory-policy is `", "CONFIG SET maxmemory-policy noeviction"),
    ("appendonly is off", "CONFIG SET appendonly yes"),
    ("hash-max-listpack-value is ", "CONFIG SET hash-max-listpack-value 1024"),
    ("stream-node-max-entries is ", "CONFIG SET stream-node-max-entries 16"),
    ("appendfsync is no", "CONFIG SET appendfsync everysec"),
    ("min-replicas-to-write is 0", "CONFIG SET min-replicas-to-write 1"),
    ("`millstream migrate`", "millstream migrate"),
)
"""What a finding says, and the command. Those of Redis last until its restart: its configuration file keeps them."""


def fix_for(line: str) -> str:
    """Return the command that mends a finding; an empty text where it takes more than one."""
    return next((command for words, command in FIXES if words in line), "")
