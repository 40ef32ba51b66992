"""Alembic environment: `api.db.migrate` hands over an open connection."""

from alembic import context

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=None,
    version_table="migration",
    version_table_schema="cbi_meta",
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
