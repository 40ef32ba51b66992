"""What the database itself keeps from the service, whatever a handler forgets."""

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from api import db
from tests.cbi import appealing, events, overlap_rights, rechecking
from tests.cbi.events import amended
from tests.cbi.profiled import a_profile, profiled
from tests.cbi.working import a_file_taken_in, jobs_of_both_ends
from tests.cbi.world import (
    ALFA,
    STAFF_ROLES,
    add_partners,
    again,
    approved,
    count,
    enrolled_families,
    family,
    judged,
    opened,
    programme_of,
    registered,
    released,
    staff,
    withdraw,
)
from tests.conftest import PARTNER_A, PARTNER_B

# What a partner may see of what it shares with another.
SHARED = {
    "dedup.match_case",
    "dedup.case_pair",
    "dedup.scoring",
    "dedup.assignment",
    "dedup.judgement",
    "dedup.decision",
}
CHANGES = {
    ("cbi.api_key", "UPDATE", "revoked_at"),
    ("cbi.data_key", "DELETE", ""),
    ("cbi.entitlement", "UPDATE", "cancelled_at"),
    ("cbi.entitlement", "UPDATE", "cancelled_because"),
    ("cbi.entitlement", "UPDATE", "cancelled_by"),
    ("cbi.enrolment", "UPDATE", "closed_at"),
    *(("cbi.job_lease", "UPDATE", column) for column in ("worker_id", "held_until", "takes")),
    ("cbi.job_lease", "DELETE", ""),
    *events.BY_EVENT,
    ("cbi.import_key", "DELETE", ""),
    ("cbi.refused_attempt", "DELETE", ""),
}
# No payment failed in the story that the others are told with.
# Nobody asked rules or entered caps either.
NOTHING_FAILED = {"cbi.score", "cbi.uit_value", "cbi.instrument_cap"}
NOTHING_FAILED |= {"cbi.uit_approval", "cbi.cap_approval"}
NOTHING_FAILED |= {"cbi.grant_agreement", "cbi.grant_version", "cbi.grant_approval"}
NOTHING_FAILED |= {"cbi.round_grant", "cbi.eligibility_answer", "cbi.eligibility_override"}
NOTHING_FAILED |= {"cbi.expiry", "cbi.expiry_confirmation", "cbi.followup"} | {
    f"cbi.followup_{what}" for what in ("payment", "left_out", "step", "file", "check_page")
}
OF_OURS = "n.nspname IN ('cbi', 'dedup', 'ledger')"


async def rows(conn, query: str) -> set[tuple]:
    return {tuple(row) for row in await conn.execute(text(query))}


async def table_names(conn) -> list[str]:
    found = await rows(
        conn,
        "SELECT n.nspname || '.' || c.relname FROM pg_class c"
        f" JOIN pg_namespace n ON n.oid = c.relnamespace WHERE {OF_OURS} AND c.relkind = 'r'",
    )
    return sorted(name for (name,) in found)


async def test_every_table_has_row_level_security_that_its_owner_is_under_too(conn):
    found = await rows(
        conn,
        "SELECT n.nspname || '.' || c.relname FROM pg_class c"
        f" JOIN pg_namespace n ON n.oid = c.relnamespace WHERE {OF_OURS} AND c.relkind = 'r'"
        " AND NOT (c.relrowsecurity AND c.relforcerowsecurity)",
    )
    assert found == set()
    assert len(await table_names(conn)) > 30


async def test_every_view_shows_what_its_reader_may_see(conn):
    views = await rows(
        conn,
        "SELECT n.nspname || '.' || c.relname, c.reloptions::text FROM pg_class c"
        f" JOIN pg_namespace n ON n.oid = c.relnamespace WHERE {OF_OURS}"
        " AND c.relkind IN ('v', 'm')",
    )
    assert {options for _, options in views} == {"{security_invoker=true}"}
    assert ("dedup.case_standing", "{security_invoker=true}") in views


async def test_the_service_owns_nothing_and_may_do_nothing_special(conn):
    assert (
        await rows(conn, "SELECT oid FROM pg_class WHERE relowner = to_regrole('cbi_app')::oid")
        == set()
    )
    for catalogue, owner in (
        ("pg_proc", "proowner"),
        ("pg_namespace", "nspowner"),
        ("pg_type", "typowner"),
        ("pg_database", "datdba"),
    ):
        query = f"SELECT oid FROM {catalogue} WHERE {owner} = to_regrole('cbi_app')::oid"
        assert await rows(conn, query) == set()
    assert await rows(
        conn,
        "SELECT rolsuper, rolbypassrls, rolcreaterole, rolcreatedb, rolreplication FROM pg_roles"
        " WHERE rolname IN ('cbi_app', 'cbi_door')",
    ) == {(False, False, False, False, False)}
    assert (
        await rows(
            conn, "SELECT roleid FROM pg_auth_members WHERE member = to_regrole('cbi_app')::oid"
        )
        == set()
    )
    for schema in ("cbi", "dedup", "ledger", "public", "cbi_meta"):
        allowed = await conn.scalar(
            text("SELECT has_schema_privilege('cbi_app', :schema, 'CREATE')"), {"schema": schema}
        )
        assert not allowed


async def test_the_service_changes_these_columns_and_nothing_else(conn):
    found = set()
    for table in await table_names(conn):
        for what in ("UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER"):
            if await conn.scalar(
                text("SELECT has_table_privilege('cbi_app', CAST(:table AS text), :what)"),
                {"table": table, "what": what},
            ):
                found.add((table, what, ""))
    found |= await rows(
        conn,
        "SELECT n.nspname || '.' || c.relname, 'UPDATE', a.attname FROM pg_class c"
        " JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid"
        f" WHERE {OF_OURS} AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped"
        " AND has_column_privilege('cbi_app', c.oid, a.attnum, 'UPDATE')",
    )
    assert found == CHANGES | rechecking.CHANGES


async def test_every_trigger_fires_even_for_a_replica(conn):
    found = await rows(
        conn,
        "SELECT n.nspname || '.' || c.relname, t.tgname FROM pg_trigger t"
        " JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace"
        f" WHERE {OF_OURS} AND NOT t.tgisinternal AND t.tgenabled <> 'A'",
    )
    assert found == set()


async def test_a_table_the_service_can_not_change_is_append_only_for_everybody(conn):
    guarded = await rows(
        conn,
        "SELECT n.nspname || '.' || c.relname FROM pg_trigger t"
        " JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace"
        f" WHERE {OF_OURS} AND t.tgname = 'append_only_row'",
    )
    changing = {table for table, *_ in CHANGES} - {"cbi.enrolment"}
    changing |= rechecking.CHANGING
    # These have no history to keep safe yet: whoever owns the database may mend or move them.
    living = {"cbi.partner", "cbi.actor", "cbi.enrolment", "dedup.key_entry", "cbi.retained"}
    living |= overlap_rights.LIVING | appealing.LIVING
    # Doors destroy what is in it.
    living |= {"cbi.appeal_key"}
    assert {name for (name,) in guarded} == set(await table_names(conn)) - changing - living


async def test_what_belongs_to_a_case_is_looked_up_by_its_case(conn):
    through_case = await rows(
        conn,
        "SELECT tablename, qual FROM pg_policies"
        " WHERE cmd = 'SELECT' AND qual LIKE '%FROM dedup.match_case%'",
    )
    tables_of_case = {"case_pair", "scoring", "judgement", "decision", "assignment"}
    assert {table for table, _ in through_case} == tables_of_case
    # Else the planner may read all cases for each question.
    assert all("OFFSET 0" in qual for _, qual in through_case)


async def busy(conn) -> None:
    """Partner A has something in every table."""
    await add_partners(conn)
    needy = family(60)
    needy["persons"][0]["specific_needs"] = ["gbv_survivor"]
    mine = await registered(conn, needy)
    needy["persons"][0]["preferred_name"] = "Yaqui"
    await amended(conn, mine.household_id, needy)
    theirs = await registered(conn, again(family(60)))
    await scored_and_asked(conn, theirs.flags[0].case_id)
    await jobs_of_both_ends(conn)
    await a_file_taken_in(conn)
    await judged(conn, theirs.flags[0].case_id, "different", PARTNER_A)
    programme = await programme_of(conn)
    await profiled(conn, programme, a_profile())
    *_, left_out = await enrolled_families(conn, programme, 3)
    round_id = (await opened(conn, programme)).round_id
    await withdraw(conn, left_out)
    await approved(conn, round_id)
    await released(conn, round_id)
    await db.set_facts(conn, db.SYSTEM)
    facts = {"actor": ALFA.actor_id, "partner": PARTNER_A}
    for statement in (
        "INSERT INTO cbi.actor VALUES (:actor, :partner, 'ana', now())",
        """INSERT INTO cbi.api_key VALUES (uuidv7(), 'p', sha256(''), :actor, ARRAY['admin'], '',
           now(), now())""",
    ):
        await conn.execute(text(statement), facts)
    await db.set_facts(conn, ALFA)
    await rechecking.checked_by_hand(conn, ALFA.actor_id)
    await appealing.a_whole_appeal(conn)
    await conn.execute(
        text("INSERT INTO cbi.answer VALUES (:actor, 'k', 'r', '', 200, '', now())"),
        {"actor": ALFA.actor_id},
    )
    await conn.execute(
        text("INSERT INTO cbi.console_end VALUES (uuidv7(), :partner, :actor, now())"), facts
    )


async def scored_and_asked(conn, case_id) -> None:
    await db.set_facts(conn, ALFA)
    facts = {"case": case_id, "who": ALFA.actor_id, "partner": PARTNER_A}
    for statement in (
        """INSERT INTO dedup.scoring (case_id, model_id, strength_bits, scored_at, scored_by)
           VALUES (:case, 'm', 1, now(), :who)""",
        """INSERT INTO dedup.assignment (case_id, partner_id, assigned_by, assigned_at)
           VALUES (:case, :partner, :who, now())""",
    ):
        await conn.execute(text(statement), facts)


async def test_a_handler_that_forgets_its_partner_sees_nothing_foreign(conn):
    await busy(conn)
    seen = {}
    for name, who in (
        ("mine", staff(0, PARTNER_A, {"registrar", "finance", "admin", "auditor"})),
        # Everything a partner's staff may be, besides those who look over all partners.
        ("theirs", staff(0, PARTNER_B, STAFF_ROLES - {"coordinator"})),
        ("nobody's", None),
    ):
        await db.set_facts(conn, who)
        seen[name] = {
            table: await count(conn, table)
            for table in await table_names(conn)
            if await conn.scalar(
                text("SELECT has_table_privilege(:table, 'SELECT')"), {"table": table}
            )
        }
    empty = {table for table, found in seen["mine"].items() if not found}
    # No bank has answered and nothing is sealed in this story; one organisation judged alone.
    unused = {"statement", "statement_line", "rejected_line", "outcome", "giveback", "allocation"}
    unused |= {"unmatching", "naming", "break", "break_event", "sighting", "freeze"}
    unused |= {"reconciliation", "reconciliation_page", "reconciliation_end"}
    unused |= {"statement_layout", "statement_piece", "unread_file", "unread_piece"}
    # No model was learned, and no run made.
    no_run = {"cbi.bulk_access", "dedup.model", "dedup.model_activation"}
    no_run |= {"dedup.run", "dedup.run_step", "cbi.check_quota"}
    no_run |= overlap_rights.UNUSED
    assert no_run < empty
    assert (
        empty - no_run
        == {
            f"ledger.{table}"
            for table in unused
            | {"leaf", "mark", "checkpoint", "snapshot", "digest", "period", "exchange"}
        }
        | {"dedup.decision"}
        | appealing.WRITTEN_ONLY
        | NOTHING_FAILED
        | events.NOTHING_MOVED
    )
    for name in ("theirs", "nobody's"):
        assert {table for table, found in seen[name].items() if found} == {"cbi.partner"}
    assert set(seen["mine"]) >= SHARED


async def test_nobody_writes_rows_for_another_partner(conn):
    rules = await rows(
        conn,
        "SELECT n.nspname || '.' || c.relname, pg_get_expr(p.polwithcheck, p.polrelid)"
        " FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid"
        f" JOIN pg_namespace n ON n.oid = c.relnamespace WHERE {OF_OURS} AND p.polname = 'adding'",
    )
    assert {table for table, _ in rules} == set(await table_names(conn))
    by_role = {"cbi.partner", "cbi.actor", "cbi.api_key"}
    by_role |= {"ledger.leaf", "ledger.mark", "ledger.checkpoint"}
    # An answer belongs to a person, a decision to whoever may see its case.
    by_role |= {"cbi.answer", "dedup.decision"}
    # Added to through a door.
    closed = {table for table, rule in rules if rule == "false"}
    by_door = {"dedup.key_entry", "ledger.delta", "ledger.snapshot"} | events.HIDDEN
    assert closed == by_door | overlap_rights.CLOSED | appealing.CLOSED
    # Models are everybody's, runs and what they read are nobody's in particular.
    by_role |= {"dedup.model", "dedup.model_activation", "dedup.run", "dedup.run_step"}
    by_role |= {"cbi.bulk_access", "cbi.delivery_end"}
    assert {table for table, rule in rules if "cbi.partner_id()" not in rule} == by_role | closed
    assert all("has_role" in rule or "cbi.actor_id()" in rule for t, rule in rules if t in by_role)


async def test_a_key_that_was_revoked_stays_so(conn):
    await busy(conn)
    await db.set_facts(conn, db.SYSTEM)
    changed = []
    for moment in ("now()", "NULL", "now() + interval '1 day'"):
        done = await conn.execute(text(f"UPDATE cbi.api_key SET revoked_at = {moment}"))
        changed.append(done.rowcount)
    assert changed == [1, 0, 0]


@pytest.mark.parametrize("who", [ALFA, staff(0, PARTNER_A, {"auditor"}), None])
async def test_only_an_administrator_touches_keys(conn, who):
    await busy(conn)
    await db.set_facts(conn, who)
    assert await count(conn, "cbi.api_key") == 0
    assert (await conn.execute(text("UPDATE cbi.api_key SET revoked_at = now()"))).rowcount == 0
    with pytest.raises(DBAPIError, match="row-level security"):
        async with conn.begin_nested():
            await conn.execute(
                text(
                    "INSERT INTO cbi.api_key VALUES (uuidv7(), 'q', sha256(''), :actor,"
                    " ARRAY['admin'], '', now(), now())"
                ),
                {"actor": ALFA.actor_id},
            )
