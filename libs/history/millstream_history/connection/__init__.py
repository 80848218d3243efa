"""How PostgreSQL is reached: addresses and libpq's parameters, connections, and what their failures mean."""
