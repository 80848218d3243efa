"""How Redis is reached: addresses, TLS, connections of each topology, and what their failures mean."""
