"""The doors through which the service sees across organisations: their plans, reads and writes."""

from tests.cbi import appealing, events, overlap_rights
from tests.cbi.test_rls import OF_OURS, rows

PATH = '{"search_path=pg_catalog, pg_temp"}'
DOORS = {
    "cbi.find_key",
    "cbi.household_pages",
    "cbi.sealed_population",
    "cbi.sealed_persons",
    "cbi.sealed_households",
    "cbi.beneficiaries_of",
    "cbi.assisted",
    "cbi.households_around",
    "cbi.ties_between",
    "cbi.cases_not_joined",
    "cbi.place_families",
    "cbi.smaller_sizes",
    "dedup.add",
    "dedup.sharing",
    "dedup.open_cases",
    "ledger.leaf_hashes",
}
READ = {
    "cbi.actor": "actor_id handle partner_id",
    "cbi.api_key": "actor_id area digest expires_at prefix revoked_at roles",
    "cbi.consent": "channel given_on granted household_id kind language partner_id"
    " recorded_at text_version withdrawn_on",
    "cbi.data_key": "household_id kek_id wrapped",
    "cbi.eligibility_override": "decided_at household_id",
    "cbi.enrolment": "assistance_group closed_at household_id",
    "cbi.entitlement": "enrolment_id",
    "cbi.membership": "beneficiary_id case_id household_id membership_no partner_id since",
    "cbi.partner": "code partner_id",
    "cbi.reservation": "assistance expires_at household_id months partner_id programme_id"
    " reservation_id reserved_at reserved_by",
    "dedup.decision": "case_id decided_at decision_no supersedes verdict",
    "dedup.key_entry": "key person_id",
    "ledger.leaf": "leaf_hash leaf_no",
}
WRITTEN = {"cbi.bulk_access", "cbi.membership", "cbi.waiting_withdrawal", "dedup.key_entry"}


async def test_a_door_has_a_fixed_search_path_and_opens_for_the_service_only(conn):
    doors = await rows(
        conn,
        "SELECT n.nspname || '.' || p.proname, pg_get_userbyid(p.proowner), p.proconfig::text,"
        " has_function_privilege('public', p.oid, 'EXECUTE'),"
        " has_function_privilege('cbi_app', p.oid, 'EXECUTE')"
        f" FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE {OF_OURS}"
        " AND p.prosecdef",
    )
    # Their plan is kept: making one takes longer than using it.
    planned = PATH.replace("}", ",plan_cache_mode=force_generic_plan}")
    kept = {"cbi.sealed_persons", "cbi.sealed_households", "dedup.sharing"}
    # And one finds by indexes, whatever the planner believes of tables that grow fast.
    by_index = "enable_hashjoin=off,enable_mergejoin=off,enable_seqscan=off"
    settings = dict.fromkeys(kept, planned)
    settings |= dict.fromkeys(appealing.BY_INDEX, PATH.replace("}", f",{by_index}}}"))
    settings["cbi.promises_since"] = PATH.replace("}", ",enable_nestloop=off}")
    settings["cbi.earlier_held"] = PATH.replace("}", f",{by_index}}}")
    settings["cbi.assisted"] = PATH.replace("}", f",{by_index},jit=off}}")
    names = DOORS | appealing.DOORS | events.DOORS | overlap_rights.DOORS
    # One stays behind the others: it would tell a family's other registrations.
    # And nobody calls a trigger.
    hidden = {"cbi.households_of", "cbi.give_up_ended"} | appealing.TRIGGERS
    behind = {(name, "cbi_door", settings.get(name, PATH), False, False) for name in hidden}
    # Nobody calls the one that books: it is a trigger.
    plans = f"{by_index},enable_bitmapscan=off}}"
    book = ("ledger.book", "cbi_book", planned.replace("}", f",{plans}"), False, False)
    assert doors == {
        (name, "cbi_door", settings.get(name, PATH), False, True) for name in names
    } | behind | {book} | overlap_rights.triggers(PATH)


async def test_the_doors_read_only_the_columns_they_hand_out(conn):
    found = await rows(
        conn,
        "SELECT n.nspname || '.' || c.relname, string_agg(a.attname, ' ' ORDER BY a.attname)"
        " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        f" JOIN pg_attribute a ON a.attrelid = c.oid WHERE {OF_OURS} AND c.relkind = 'r'"
        " AND a.attnum > 0 AND has_column_privilege('cbi_door', c.oid, a.attnum, 'SELECT')"
        " GROUP BY 1",
    )
    may: dict[str, set[str]] = {}
    for part in (READ, appealing.DOORS_READ, events.READ_BY_DOORS, overlap_rights.READ):
        for table, columns in part.items():
            may.setdefault(table, set()).update(columns.split())
    assert {table: set(columns.split()) for table, columns in found} == may
    writes = await rows(
        conn,
        "SELECT n.nspname || '.' || c.relname FROM pg_class c"
        f" JOIN pg_namespace n ON n.oid = c.relnamespace WHERE {OF_OURS} AND c.relkind = 'r'"
        " AND has_table_privilege('cbi_door', c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE')",
    )
    written = WRITTEN | appealing.DOORS_WRITE | events.WRITTEN_BY_DOORS | overlap_rights.WRITTEN
    assert {name for (name,) in writes} == written
