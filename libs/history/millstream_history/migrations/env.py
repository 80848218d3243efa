"""The script that alembic runs to change the tables; `migrating.py` gives it the connection."""

from alembic import context

from millstream_history.tables import METADATA

context.configure(connection=context.config.attributes["connection"], target_metadata=METADATA)
with context.begin_transaction():
    context.run_migrations()
