"""Who may call what: one table, read by the guard and walked by a test."""

REGISTRAR = "registrar"
PROGRAMME = "programme"
ADJUDICATOR = "adjudicator"
FINANCE = "finance"
COORDINATOR = "coordinator"  # of the sub-group for cash-based interventions
AUDITOR = "auditor"
ADMIN = "admin"

ROLES = (REGISTRAR, PROGRAMME, ADJUDICATOR, FINANCE, COORDINATOR, AUDITOR, ADMIN)
EVERYBODY = frozenset(ROLES)
CASES = frozenset({REGISTRAR, PROGRAMME, ADJUDICATOR, COORDINATOR, AUDITOR})
JUDGES = frozenset({ADJUDICATOR, COORDINATOR})
REVIEWERS = JUDGES | {AUDITOR}
MONEY = frozenset({PROGRAMME, FINANCE})
MONEY_SEEN = MONEY | {AUDITOR}

# Reachable without a key: they disclose no datum of anybody.
PUBLIC = frozenset({"/health/live", "/health/ready", "/metrics"})
PUBLIC_BELOW = ("/docs",)

MAY: dict[tuple[str, str], frozenset[str]] = {
    ("GET", "/v1/me"): EVERYBODY,
    ("GET", "/v1/partners"): EVERYBODY,
    ("POST", "/v1/households"): frozenset({REGISTRAR}),
    ("GET", "/v1/households"): frozenset({REGISTRAR, PROGRAMME}),
    ("GET", "/v1/households/{household_id}"): frozenset({REGISTRAR}),
    ("GET", "/v1/households/{household_id}/receipt"): frozenset({REGISTRAR, PROGRAMME}),
    ("GET", "/v1/households/{household_id}/events"): frozenset({REGISTRAR, PROGRAMME}),
    ("GET", "/v1/households/{household_id}/versions/{version}"): frozenset({REGISTRAR}),
    ("POST", "/v1/households/{household_id}/corrections"): frozenset({REGISTRAR}),
    ("POST", "/v1/households/{household_id}/persons"): frozenset({REGISTRAR}),
    ("POST", "/v1/households/{household_id}/departures"): frozenset({REGISTRAR}),
    ("POST", "/v1/households/{household_id}/deaths"): frozenset({REGISTRAR}),
    ("POST", "/v1/households/{household_id}/withdrawals"): frozenset({REGISTRAR}),
    ("POST", "/v1/households/{household_id}/erasure"): frozenset({COORDINATOR, ADMIN}),
    ("POST", "/v1/households/{household_id}/splits"): frozenset({REGISTRAR}),
    ("POST", "/v1/households/{household_id}/joins"): frozenset({REGISTRAR}),
    ("POST", "/v1/households/{household_id}/transfers"): frozenset({REGISTRAR}),
    ("GET", "/v1/transfers"): frozenset({REGISTRAR, AUDITOR}),
    ("POST", "/v1/transfers/{offer_id}/acceptance"): frozenset({REGISTRAR}),
    ("POST", "/v1/transfers/{offer_id}/refusal"): frozenset({REGISTRAR}),
    ("POST", "/v1/imports"): frozenset({REGISTRAR}),
    ("POST", "/v1/check"): frozenset({REGISTRAR, PROGRAMME}),
    ("GET", "/v1/checks"): frozenset({AUDITOR}),
    ("GET", "/v1/cases"): CASES,
    ("GET", "/v1/cases/{case_id}"): CASES,
    ("POST", "/v1/cases/{case_id}/judgements"): JUDGES,
    ("POST", "/v1/cases/{case_id}/assignments"): JUDGES,
    ("POST", "/v1/case-groups/{case_id}/judgements"): JUDGES,
    ("GET", "/v1/case-conflicts"): JUDGES,
    ("POST", "/v1/programmes"): frozenset({PROGRAMME}),
    ("GET", "/v1/programmes"): MONEY_SEEN,
    ("POST", "/v1/programmes/{programme_id}/values"): frozenset({PROGRAMME}),
    ("POST", "/v1/programmes/{programme_id}/funds"): frozenset({FINANCE}),
    ("POST", "/v1/programmes/{programme_id}/allotments"): frozenset({FINANCE}),
    ("POST", "/v1/programmes/{programme_id}/exchanges"): frozenset({FINANCE}),
    ("POST", "/v1/programmes/{programme_id}/fees"): frozenset({FINANCE}),
    ("POST", "/v1/programmes/{programme_id}/profile"): frozenset({FINANCE}),
    ("POST", "/v1/fsp-profiles"): frozenset({FINANCE}),
    ("GET", "/v1/fsp-profiles"): frozenset({FINANCE, AUDITOR}),
    ("POST", "/v1/fsp-profiles/preview"): frozenset({FINANCE}),
    ("POST", "/v1/programmes/{programme_id}/enrolments"): frozenset({PROGRAMME}),
    ("GET", "/v1/programmes/{programme_id}/enrolments"): frozenset({PROGRAMME}),
    ("POST", "/v1/enrolments/{enrolment_id}/closing"): frozenset({PROGRAMME}),
    ("POST", "/v1/rounds"): MONEY,
    ("GET", "/v1/rounds"): MONEY_SEEN,
    ("GET", "/v1/rounds/{round_id}"): MONEY_SEEN,
    ("POST", "/v1/rounds/{round_id}/calculate"): MONEY,
    ("GET", "/v1/rounds/{round_id}/left-out"): MONEY_SEEN,
    ("POST", "/v1/rounds/{round_id}/prepare"): MONEY,
    ("POST", "/v1/rounds/{round_id}/review"): MONEY,
    ("POST", "/v1/rounds/{round_id}/approve"): MONEY,
    ("POST", "/v1/rounds/{round_id}/release"): frozenset({FINANCE}),
    ("POST", "/v1/rounds/{round_id}/closing"): frozenset({FINANCE}),
    ("POST", "/v1/rounds/{round_id}/cancellations"): MONEY,
    ("GET", "/v1/rounds/{round_id}/payments"): MONEY_SEEN,
    ("GET", "/v1/rounds/{round_id}/payment-file"): frozenset({FINANCE}),
    ("GET", "/v1/rounds/{round_id}/report"): MONEY_SEEN,
    ("POST", "/v1/rounds/{round_id}/followups"): MONEY,
    ("GET", "/v1/rounds/{round_id}/followups"): MONEY_SEEN,
    ("GET", "/v1/followups/{followup_id}"): MONEY_SEEN,
    ("POST", "/v1/followups/{followup_id}/prepare"): MONEY,
    ("POST", "/v1/followups/{followup_id}/review"): MONEY,
    ("POST", "/v1/followups/{followup_id}/approve"): MONEY,
    ("POST", "/v1/followups/{followup_id}/release"): frozenset({FINANCE}),
    ("GET", "/v1/followups/{followup_id}/payment-file"): frozenset({FINANCE}),
    ("POST", "/v1/payments/{payment_id}/expiry"): MONEY,
    ("POST", "/v1/payments/{payment_id}/expiry/confirmation"): frozenset({FINANCE}),
    ("GET", "/v1/reports/{name}"): MONEY_SEEN,
    ("POST", "/v1/statements"): frozenset({FINANCE}),
    ("GET", "/v1/statements"): frozenset({FINANCE, AUDITOR}),
    ("GET", "/v1/statements/unread"): frozenset({FINANCE, AUDITOR}),
    ("POST", "/v1/statement-layouts"): frozenset({FINANCE}),
    ("GET", "/v1/statement-layouts"): frozenset({FINANCE, AUDITOR}),
    ("POST", "/v1/reconciliations"): frozenset({FINANCE}),
    ("GET", "/v1/breaks"): MONEY_SEEN,
    ("GET", "/v1/breaks/{break_id}"): MONEY_SEEN,
    ("POST", "/v1/breaks/{break_id}/remarks"): MONEY,
    ("POST", "/v1/breaks/{break_id}/explanation"): frozenset({FINANCE}),
    ("POST", "/v1/breaks/{break_id}/proposal"): frozenset({FINANCE}),
    ("POST", "/v1/breaks/{break_id}/confirmation"): frozenset({FINANCE}),
    ("POST", "/v1/lines/{line_id}/unmatching"): frozenset({FINANCE}),
    ("GET", "/v1/ledger/trial-balance"): frozenset({FINANCE, AUDITOR}),
    ("POST", "/v1/ledger/periods"): frozenset({FINANCE}),
    ("GET", "/v1/ledger/periods"): frozenset({FINANCE}),
    ("GET", "/v1/ledger/periods/{until}"): frozenset({FINANCE}),
    ("GET", "/v1/ledger/periods/{until}/receipt"): frozenset({FINANCE}),
    ("GET", "/v1/ledger/transfers"): frozenset({FINANCE, AUDITOR}),
    ("GET", "/v1/ledger/checkpoints"): EVERYBODY,
    ("GET", "/v1/ledger/key"): EVERYBODY,
    ("GET", "/v1/ledger/consistency"): EVERYBODY,
    ("GET", "/v1/payments/{payment_id}/receipt"): MONEY_SEEN,
    ("GET", "/v1/ledger/verification"): frozenset({AUDITOR}),
    ("GET", "/v1/access-log"): frozenset({AUDITOR}),
    ("GET", "/v1/access-log/bulk"): frozenset({AUDITOR}),
    ("GET", "/v1/dedup/runs"): frozenset({COORDINATOR, AUDITOR}),
}


def is_public(path: str) -> bool:
    return path in PUBLIC or path.startswith(PUBLIC_BELOW)
