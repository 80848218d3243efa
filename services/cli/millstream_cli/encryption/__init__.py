"""The commands about data keys, which look into Redis and at the key-encryption keys of this machine."""
