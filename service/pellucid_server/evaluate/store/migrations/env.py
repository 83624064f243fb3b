"""Runs migrations on the connection, and in the transaction, of whoever asks."""

from alembic import context

from pellucid_server.evaluate.store.schema import VERSION_TABLE, metadata

OURS = frozenset(metadata.tables)

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    transactional_ddl=True,
    compare_server_default=True,
    include_name=lambda name, kind, _: kind != "table" or name in OURS,
)
with context.begin_transaction():
    context.run_migrations()
