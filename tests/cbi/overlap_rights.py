"""Who may do what with overlap rules and holds; test_rls.py compares the database with it."""

# Of what is promised to families now; what was is in enrolments, reservations and decisions.
LIVING = {"cbi.hold", "cbi.hold_pair"}
WRITTEN = LIVING | {"cbi.conflict", "cbi.reservation_event"}
DOORS = {
    "cbi.conflicts_at",
    "cbi.earlier_held",
    "cbi.held",
    "cbi.own_conflicts",
    "cbi.promises_since",
    "cbi.waiting_at",
}
# Added to by triggers only.
CLOSED = LIVING | {"cbi.conflict"}
# No rules were agreed in the story that the others are told with.
UNUSED = {f"cbi.{name}" for name in ("overlap_rules", "overlap_approval")}
UNUSED |= {f"cbi.{name}" for name in ("reservation", "reservation_event")}
UNUSED |= {f"cbi.{name}" for name in ("waiting", "waiting_withdrawal")}
UNUSED |= {f"cbi.{name}" for name in ("conflict", "conflict_confirmation", "conflict_decision")}
UNUSED |= {"cbi.simulation"}
TRIGGERS = {"check_holds", "follow_hold", "hold_enrolled", "hold_reserved", "release_closed"}
TRIGGERS |= {
    "check_conflict_people",
    "hold_earlier",
    "release_earlier",
    "release_cancelled",
    "check_promised",
    "follow_decision",
    "follow_reservation",
    "note_conflicts",
}
# What the doors read, column by column.
READ = {
    "cbi.conflict": "case_id conflict_id earlier_hold earlier_partner later_hold later_partner"
    " opened_at",
    "cbi.conflict_confirmation": "actor_id at conflict_id decided_by decision_no partner_id",
    "cbi.conflict_decision": "actor_id at conflict_id decision decision_no ends is_alone"
    " partner_id reason",
    "cbi.enrolment": "assistance_group closed_at enrolment_id household_id partner_id programme_id",
    "cbi.entitlement": "amount_minor assistance_group cancelled_at currency enrolment_id"
    " household_id months round_id",
    "cbi.hold": "assistance before_hold beneficiary_id enrolment_id entitlement_id held_at held_on"
    " hold_id household_id months partner_id promised reservation_id standing",
    "cbi.hold_pair": "beneficiary_id hold_id household_id months pair partner_id rules_version side"
    " standing",
    "cbi.programme": "currency programme_id",
    "cbi.refused_attempt": "assistance at household_key months partner_id rules_version",
    "cbi.term": "content effective_from kind programme_id version",
    "cbi.term_approval": "kind programme_id version",
    "cbi.overlap_approval": "actor_id at partner_id proposed_by version",
    "cbi.overlap_rules": "document effective_from partner_id proposed_at proposed_by sha256"
    " version",
    "cbi.reservation_event": "actor_id at enrolment_id event_no expires_at kind partner_id"
    " reservation_id",
    "cbi.waiting": "assistance entered_by expires_at household_id partner_id since waiting_id",
    "cbi.waiting_withdrawal": "actor_id at partner_id waiting_id",
}


def triggers(path: str) -> set[tuple]:
    """The security-definer functions that nobody calls: they hold families by themselves."""
    by_index = path.replace("}", ",enable_hashjoin=off,enable_mergejoin=off,enable_seqscan=off}")
    return {
        (
            f"cbi.{name}",
            "cbi_door",
            by_index if name in {"check_promised", "hold_earlier"} else path,
            False,
            False,
        )
        for name in TRIGGERS
    }
