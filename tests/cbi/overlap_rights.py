"""Who may do what with overlap rules and holds; test_rls.py compares the database with it."""

# Of what is promised to families now; what was is in enrolments, reservations and decisions.
LIVING = {"cbi.hold", "cbi.hold_pair"}
WRITTEN = LIVING
DOORS = {"cbi.held"}
# No rules were agreed in the story that the others are told with.
UNUSED = {"cbi.overlap_rules", "cbi.overlap_approval"}
TRIGGERS = {"check_holds", "follow_hold", "hold_enrolled", "release_closed"}
# What the doors read, column by column.
READ = {
    "cbi.hold": "assistance beneficiary_id enrolment_id held_at held_on hold_id household_id months"
    " partner_id promised reservation_id standing",
    "cbi.hold_pair": "beneficiary_id hold_id household_id months pair partner_id rules_version side"
    " standing",
    "cbi.overlap_approval": "actor_id at partner_id proposed_by version",
    "cbi.overlap_rules": "document effective_from partner_id proposed_at proposed_by sha256"
    " version",
}


def triggers(path: str) -> set[tuple]:
    """The security-definer functions that nobody calls: they hold families by themselves."""
    return {(f"cbi.{name}", "cbi_door", path, False, False) for name in TRIGGERS}
