"""What the program believes of the tables is what the migrations made."""

import pytest
from sqlalchemy import MetaData, text

from cbi import event_tables, file_tables, import_tables, job_tables, tables
from dedup.tables import metadata as of_dedup

assert event_tables.metadata is file_tables.metadata is tables.metadata
of_cbi = tables.metadata
BOTH = [of_cbi, of_dedup]
# These add theirs to the schema's.
assert {each.metadata for each in (file_tables, import_tables, job_tables)} == {of_cbi}
# The service reaches matching keys through doors only, and no module names their tables.
HIDDEN = {"key_entry"}


async def columns(conn, schema: str) -> set[tuple[str, str, str, bool]]:
    rows = await conn.execute(
        text(
            "SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), NOT a.attnotnull"
            " FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid"
            " WHERE c.relnamespace = to_regnamespace(:schema) AND c.relkind = 'r'"
            " AND a.attnum > 0 AND NOT a.attisdropped"
        ),
        {"schema": schema},
    )
    return {tuple(row) for row in rows}


def believed(metadata: MetaData, dialect) -> set[tuple[str, str, str, bool]]:
    return {
        (table.name, column.name, column.type.compile(dialect).lower(), bool(column.nullable))
        for table in metadata.tables.values()
        for column in table.columns
    }


@pytest.mark.parametrize("metadata", BOTH, ids=lambda metadata: metadata.schema)
async def test_tables_are_as_the_migrations_made_them(conn, metadata):
    written = believed(metadata, conn.dialect)
    named = {table for table, *_ in written}
    made = {row for row in await columns(conn, metadata.schema) if row[0] in named}
    hidden = HIDDEN if metadata is of_dedup else set()
    assert {table for table, *_ in await columns(conn, metadata.schema)} - named == hidden
    names = {"timestamp with time zone": "timestamp with time zone"}
    assert {(t, c, names.get(kind, kind), null) for t, c, kind, null in written} == made


@pytest.mark.parametrize("metadata", BOTH, ids=lambda metadata: metadata.schema)
async def test_primary_keys_are_as_the_migrations_made_them(conn, metadata):
    rows = await conn.execute(
        text(
            "SELECT c.relname, a.attname FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid"
            " JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = ANY (i.indkey)"
            " WHERE i.indisprimary AND c.relnamespace = to_regnamespace(:schema)"
        ),
        {"schema": metadata.schema},
    )
    made = {tuple(row) for row in rows}
    written = {
        (table.name, column.name)
        for table in metadata.tables.values()
        for column in table.primary_key
    }
    hidden = HIDDEN if metadata is of_dedup else set()
    assert {row for row in made if row[0] not in hidden} == written
