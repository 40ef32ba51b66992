"""Attacks as each role of the database: what none of them may, and the little that each may."""

from uuid import UUID, uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from api import db
from tests.conftest import PARTNER_A, actor
from tests.ledger.books import BANK, DONOR, attempt, ended, fund, opened, posted, step, tried
from tests.ledger.test_append_only import EXPECTED, columns

ROLES = ("cbi_app", "cbi_door", "cbi_book", "cbi_owner")
PAYMENT = UUID(int=1 << 64)
INSERTS = {
    "transfer": (
        "INSERT INTO ledger.transfer (transfer_id, entry_id, partner_id, kind, debit_account,"
        " credit_account, currency, amount_minor, effective_on, posted_at, actor_id)"
        f" VALUES (uuidv7(), uuidv7(), '{PARTNER_A}', 'adjust', '{BANK.account_id}',"
        f" '{DONOR.account_id}', 'PEN', 5, '2026-03-01', now(), uuidv7())"
    ),
    "delta": (
        "INSERT INTO ledger.delta (account_id, batch_id, booked_on, effective_on, partner_id,"
        f" debit_minor, credit_minor, posted_at) VALUES ('{BANK.account_id}', uuidv7(),"
        f" '2026-03-01', '2026-03-01', '{PARTNER_A}', 1, 0, now())"
    ),
    "snapshot": (
        "INSERT INTO ledger.snapshot (account_id, below, partner_id, debit_minor, credit_minor)"
        f" VALUES ('{BANK.account_id}', 1, '{PARTNER_A}', 9, 0)"
    ),
    "outcome": (
        "INSERT INTO ledger.outcome (payment_id, attempt_no, partner_id, outcome, reason,"
        f" decided_at) VALUES ('{PAYMENT}', 2, '{PARTNER_A}', 'post', '', now())"
    ),
    "leaf": (
        "INSERT INTO ledger.leaf (leaf_no, sealed_id, salt, leaf_hash)"
        " VALUES (0, uuidv7(), substring(sha256('s') FOR 16), sha256('l'))"
    ),
    "checkpoint": (
        "INSERT INTO ledger.checkpoint (size, root, peaks, note, sealed_at)"
        " VALUES (1, sha256(''), sha256(''), '', now())"
    ),
}
# What a role may add at all; for everything else it lacks the right, or a rule lets nothing by.
MAY_ADD = {"cbi_app": {"transfer"}, "cbi_book": {"delta", "snapshot"}}


@pytest.fixture
async def books(owner_conn):
    """A history of every kind, and a connection that may become any role."""
    await db.set_facts(owner_conn, actor())
    await opened(owner_conn, grant=100)
    await tried(owner_conn, attempt(PAYMENT, 10))
    await posted(owner_conn, step("reserve", PAYMENT, 10))
    await ended(owner_conn, PAYMENT, "void")
    await posted(owner_conn, step("void", PAYMENT, 10), fund(1, uuid4()))
    await owner_conn.execute(text("SET CONSTRAINTS ALL IMMEDIATE"))
    return owner_conn


async def done_as(conn, role: str, statement: str) -> str:
    """Return how many rows a role changed, or why it could not."""
    saved = await conn.begin_nested()
    try:
        await conn.execute(text(f"SET LOCAL ROLE {role}"))
        rows = (await conn.execute(text(statement))).rowcount
    except DBAPIError as error:
        return str(error.orig)
    else:
        return f"{rows} rows"
    finally:
        await saved.rollback()


@pytest.mark.parametrize("role", ROLES)
async def test_no_role_changes_or_removes_a_row(books, role):
    for table in sorted(EXPECTED):
        column = await columns(books, table)
        for statement in (
            f"UPDATE ledger.{table} SET {column} = {column}",
            f"DELETE FROM ledger.{table}",
            f"TRUNCATE ledger.{table} CASCADE",
        ):
            said = await done_as(books, role, statement)
            # The owner sees no row of its own tables, and where it does not look it is stopped.
            assert "denied" in said or "append-only" in said or said == "0 rows", statement


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("table", sorted(INSERTS))
async def test_a_role_adds_only_what_is_its_own_to_add(books, role, table):
    said = await done_as(books, role, INSERTS[table])
    if table in MAY_ADD.get(role, set()):
        assert said == "1 rows"
    elif role == "cbi_app" and table == "outcome":
        assert "outcome_of_attempt" in said
    else:
        assert "denied" in said or "row-level security" in said, said


@pytest.mark.parametrize("role", ["cbi_app", "cbi_door", "cbi_book"])
async def test_no_role_that_serves_takes_the_protections_away(books, role):
    for statement in (
        "ALTER TABLE ledger.transfer DISABLE TRIGGER transfer_booked",
        "ALTER TABLE ledger.transfer DROP CONSTRAINT transfer_attempt_once",
        "ALTER TABLE ledger.transfer NO FORCE ROW LEVEL SECURITY",
        "DROP TABLE ledger.leaf",
        "CREATE OR REPLACE FUNCTION ledger.deltas_max() RETURNS integer LANGUAGE sql RETURN 1",
        "SET LOCAL session_replication_role = replica",
        "SET LOCAL ROLE cbi_owner",
    ):
        become = f"SET SESSION AUTHORIZATION {role}"
        await books.execute(text("SAVEPOINT before"))
        await books.execute(text(become))
        with pytest.raises(DBAPIError, match=r"owner|permission denied"):
            await books.execute(text(statement))
        await books.execute(text("ROLLBACK TO SAVEPOINT before"))


@pytest.mark.parametrize("role", ["cbi_door", "cbi_book", "cbi_owner"])
async def test_who_owns_something_can_not_log_in(owner_conn, role):
    found = await owner_conn.scalar(
        text("SELECT rolcanlogin OR rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = :role"),
        {"role": role},
    )
    assert found is False
