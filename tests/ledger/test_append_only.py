"""What an attacker, or a mistake, tries on the ledger."""

from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from api import db
from tests.conftest import PARTNER_A, PARTNER_B, actor
from tests.ledger.books import attempt, opened, tried

TABLES = text("""
    SELECT table_name FROM information_schema.tables
    WHERE table_schema = 'ledger' AND table_type = 'BASE TABLE' ORDER BY table_name""")
EXPECTED = {
    "account", "allocation", "attempt", "break", "break_event", "checkpoint", "delta", "digest",
    "exchange", "freeze", "giveback", "leaf", "mark", "naming", "outcome", "payee", "period",
    "reconciliation", "reconciliation_end", "reconciliation_page", "rejected_line", "sighting",
    "snapshot", "statement", "statement_layout", "statement_line", "statement_piece", "transfer",
    "unmatching", "unread_file", "unread_piece",
}  # fmt: skip


async def refused(conn, statement: str) -> str:
    with pytest.raises(DBAPIError) as error:
        async with conn.begin_nested():
            await conn.execute(text(statement))
    return str(error.value.orig)


async def columns(conn, table: str) -> str:
    found = await conn.execute(
        text(
            "SELECT column_name FROM information_schema.columns WHERE table_schema = 'ledger'"
            " AND table_name = :table AND is_generated = 'NEVER' ORDER BY ordinal_position LIMIT 1"
        ),
        {"table": table},
    )
    return found.scalar_one()


async def test_the_service_may_change_nothing_in_any_table_of_the_ledger(conn, postgres):
    owner = db.connect(postgres.url("postgres"))
    async with owner.connect() as asking:
        tables = list((await asking.execute(TABLES)).scalars())
        first = {table: await columns(asking, table) for table in tables}
    await owner.dispose()
    assert set(tables) == EXPECTED
    for table in tables:
        for statement in (
            f"UPDATE ledger.{table} SET {first[table]} = {first[table]}",
            f"DELETE FROM ledger.{table}",
            f"TRUNCATE ledger.{table} CASCADE",
        ):
            assert "permission denied" in await refused(conn, statement), statement


async def test_not_even_a_superuser_changes_the_ledger_by_accident(owner_conn):
    await db.set_facts(owner_conn, actor())
    await opened(owner_conn, grant=100)
    await tried(owner_conn, attempt(uuid4(), 5))
    await owner_conn.execute(text("SET CONSTRAINTS ALL IMMEDIATE"))
    await owner_conn.execute(text("SET LOCAL session_replication_role = replica"))
    for table in ("account", "transfer", "delta", "attempt"):
        column = await columns(owner_conn, table)
        for statement in (
            f"UPDATE ledger.{table} SET {column} = {column}",
            f"DELETE FROM ledger.{table}",
        ):
            assert "append-only" in await refused(owner_conn, statement), statement
    for table in EXPECTED:
        assert "append-only" in await refused(owner_conn, f"TRUNCATE ledger.{table} CASCADE")


async def test_every_table_of_the_ledger_forces_row_level_security(owner_conn):
    found = await owner_conn.execute(
        text(
            "SELECT relname, relrowsecurity AND relforcerowsecurity AS forced,"
            " (SELECT count(*) FROM pg_trigger WHERE tgrelid = c.oid AND tgenabled = 'A'"
            "  AND tgname LIKE 'append_only%') AS always"
            " FROM pg_class c WHERE relnamespace = 'ledger'::regnamespace AND relkind = 'r'"
        )
    )
    assert {tuple(row) for row in found} == {(table, True, 2) for table in EXPECTED}


async def test_a_handler_that_forgets_its_filter_sees_nothing_foreign(conn):
    await opened(conn, grant=100)
    await tried(conn, attempt(uuid4(), 5))
    for table in ("account", "transfer", "delta", "attempt"):
        count = text(f"SELECT count(*) FROM ledger.{table}")
        await db.set_facts(conn, actor(PARTNER_A))
        assert (await conn.execute(count)).scalar_one() > 0
        await db.set_facts(conn, actor(PARTNER_B))
        assert (await conn.execute(count)).scalar_one() == 0
        await db.set_facts(conn, None)
        assert (await conn.execute(count)).scalar_one() == 0


async def test_nobody_writes_in_the_name_of_another_organisation(conn):
    statement = (
        "INSERT INTO ledger.account (account_id, partner_id, code, currency, normal)"
        f" VALUES ('{uuid4()}', '{PARTNER_B}', 'x', 'PEN', 'debit')"
    )
    assert "row-level security" in await refused(conn, statement)


async def test_the_service_cant_choose_when_its_transfers_were_written(conn):
    statement = "INSERT INTO ledger.transfer (transfer_id, xid) VALUES (gen_random_uuid(), '3')"
    assert "permission denied" in await refused(conn, statement)


async def test_only_a_sealer_writes_to_the_log(conn):
    statement = (
        "INSERT INTO ledger.leaf (leaf_no, sealed_id, salt, leaf_hash)"
        " VALUES (0, gen_random_uuid(), sha256('')::bytea, sha256(''))"
    )
    assert "row-level security" in await refused(conn, statement)


@pytest.mark.parametrize("table", ["delta", "snapshot"])
async def test_nothing_but_a_batch_of_transfers_moves_an_account(conn, table):
    statement = f"INSERT INTO ledger.{table} (account_id, partner_id) VALUES (NULL, '{PARTNER_A}')"
    assert "permission denied" in await refused(conn, statement)
