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
WORKING = frozenset({REGISTRAR, PROGRAMME, ADJUDICATOR, FINANCE, COORDINATOR})
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
    ("POST", "/v1/households/{household_id}/scores"): frozenset({REGISTRAR, PROGRAMME}),
    ("GET", "/v1/households/{household_id}/scores"): frozenset({REGISTRAR, PROGRAMME}),
    ("POST", "/v1/households/{household_id}/splits"): frozenset({REGISTRAR}),
    ("POST", "/v1/households/{household_id}/joins"): frozenset({REGISTRAR}),
    ("POST", "/v1/households/{household_id}/transfers"): frozenset({REGISTRAR}),
    ("GET", "/v1/transfers"): frozenset({REGISTRAR, AUDITOR}),
    ("POST", "/v1/transfers/{offer_id}/acceptance"): frozenset({REGISTRAR}),
    ("POST", "/v1/transfers/{offer_id}/refusal"): frozenset({REGISTRAR}),
    ("POST", "/v1/imports"): frozenset({REGISTRAR}),
    ("GET", "/v1/imports"): frozenset({REGISTRAR}),
    ("POST", "/v1/imports/uploads"): frozenset({REGISTRAR}),
    ("PUT", "/v1/imports/uploads/{import_id}/pieces/{piece_no}"): frozenset({REGISTRAR}),
    ("GET", "/v1/imports/{import_id}"): frozenset({REGISTRAR}),
    ("GET", "/v1/imports/{import_id}/rows"): frozenset({REGISTRAR}),
    ("GET", "/v1/imports/{import_id}/corrections"): frozenset({REGISTRAR}),
    ("POST", "/v1/imports/{import_id}/acceptance"): frozenset({REGISTRAR}),
    ("POST", "/v1/imports/{import_id}/refusal"): frozenset({REGISTRAR}),
    ("GET", "/v1/jobs"): EVERYBODY,
    ("GET", "/v1/jobs/{job_id}"): EVERYBODY,
    ("POST", "/v1/jobs/{job_id}/cancellation"): WORKING,
    ("POST", "/v1/imports/kobo"): frozenset({REGISTRAR}),
    ("POST", "/v1/check"): frozenset({REGISTRAR, PROGRAMME}),
    ("POST", "/v1/check/files"): frozenset({REGISTRAR, PROGRAMME}),
    ("GET", "/v1/check/files/{file_id}"): frozenset({REGISTRAR, PROGRAMME}),
    ("GET", "/v1/checks"): frozenset({AUDITOR}),
    ("POST", "/v1/lists"): frozenset({REGISTRAR, PROGRAMME}),
    ("GET", "/v1/lists"): frozenset({REGISTRAR, PROGRAMME, AUDITOR}),
    ("GET", "/v1/cases"): CASES,
    ("GET", "/v1/cases/{case_id}"): CASES,
    ("POST", "/v1/cases/{case_id}/judgements"): JUDGES,
    ("POST", "/v1/cases/{case_id}/assignments"): JUDGES,
    ("POST", "/v1/case-groups/{case_id}/judgements"): JUDGES,
    ("GET", "/v1/case-conflicts"): JUDGES,
    ("POST", "/v1/programmes"): frozenset({PROGRAMME}),
    ("GET", "/v1/programmes"): MONEY_SEEN,
    ("POST", "/v1/programmes/{programme_id}/values"): frozenset({PROGRAMME}),
    ("POST", "/v1/programmes/{programme_id}/terms"): frozenset({PROGRAMME}),
    ("GET", "/v1/programmes/{programme_id}/terms"): MONEY_SEEN,
    ("POST", "/v1/programmes/{programme_id}/terms/approval"): MONEY,
    ("POST", "/v1/programmes/{programme_id}/eligibility"): frozenset({PROGRAMME}),
    ("POST", "/v1/programmes/{programme_id}/eligibility/overrides"): frozenset({PROGRAMME}),
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
    ("POST", "/v1/overlap-rules"): JUDGES,
    ("GET", "/v1/overlap-rules"): EVERYBODY,
    ("GET", "/v1/overlap-rules/in-force"): EVERYBODY,
    ("POST", "/v1/overlap-rules/{version}/approval"): JUDGES,
    ("POST", "/v1/overlap-rules/simulation"): frozenset({PROGRAMME, COORDINATOR}),
    ("POST", "/v1/reservations"): frozenset({PROGRAMME}),
    ("GET", "/v1/reservations"): frozenset({PROGRAMME}),
    ("POST", "/v1/reservations/{reservation_id}/renewal"): frozenset({PROGRAMME}),
    ("POST", "/v1/reservations/{reservation_id}/cancellation"): frozenset({PROGRAMME}),
    ("POST", "/v1/waiting"): frozenset({PROGRAMME}),
    ("GET", "/v1/waiting"): frozenset({PROGRAMME}),
    ("POST", "/v1/waiting/{waiting_id}/withdrawal"): frozenset({PROGRAMME}),
    ("GET", "/v1/conflicts"): frozenset({COORDINATOR, AUDITOR}),
    ("POST", "/v1/conflicts/{conflict_id}/decision"): frozenset({COORDINATOR}),
    ("POST", "/v1/rounds"): MONEY,
    ("GET", "/v1/rounds"): MONEY_SEEN,
    ("GET", "/v1/rounds/{round_id}"): MONEY_SEEN,
    ("POST", "/v1/rounds/{round_id}/calculate"): MONEY,
    ("GET", "/v1/rounds/{round_id}/left-out"): MONEY_SEEN,
    ("POST", "/v1/rounds/{round_id}/prepare"): MONEY,
    ("POST", "/v1/rounds/{round_id}/check"): MONEY,
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
    ("POST", "/v1/uit-values"): frozenset({COORDINATOR}),
    ("GET", "/v1/uit-values"): MONEY_SEEN | {COORDINATOR},
    ("POST", "/v1/instrument-caps"): frozenset({COORDINATOR}),
    ("GET", "/v1/instrument-caps"): MONEY_SEEN | {COORDINATOR},
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
    ("POST", "/v1/households/{household_id}/slips"): frozenset({REGISTRAR, PROGRAMME}),
    ("GET", "/v1/households/{household_id}/slips"): frozenset({REGISTRAR, PROGRAMME}),
    ("GET", "/v1/households/{household_id}/slips/{slip_id}"): frozenset({REGISTRAR, PROGRAMME}),
    ("POST", "/v1/households/{household_id}/slips/{slip_id}/prints"): frozenset(
        {REGISTRAR, PROGRAMME}
    ),
    ("POST", "/v1/households/{household_id}/appeals"): frozenset({REGISTRAR, PROGRAMME}),
    ("POST", "/v1/appeals"): CASES - {AUDITOR},
    ("GET", "/v1/appeals"): CASES,
    ("GET", "/v1/appeals/{appeal_id}"): CASES,
    ("GET", "/v1/appeals/{appeal_id}/statement"): JUDGES,
    ("GET", "/v1/appeal-readings"): frozenset({AUDITOR}),
    ("POST", "/v1/appeals/{appeal_id}/assignments"): JUDGES,
    ("POST", "/v1/appeals/{appeal_id}/outcome"): JUDGES,
    ("POST", "/v1/appeals/{appeal_id}/done"): frozenset({PROGRAMME}),
    ("GET", "/v1/figures/appeals"): EVERYBODY,
    ("POST", "/v1/webhooks"): frozenset({PROGRAMME, ADMIN}),
    ("GET", "/v1/webhooks"): frozenset({PROGRAMME, ADMIN}),
    ("POST", "/v1/webhooks/{webhook_id}/closing"): frozenset({PROGRAMME, ADMIN}),
    ("GET", "/v1/notices"): frozenset({PROGRAMME, ADJUDICATOR, COORDINATOR, ADMIN}),
    ("GET", "/v1/dedup/runs"): frozenset({COORDINATOR, AUDITOR}),
}

# The console: pages with a guard and a cookie of their own (api/console), by roles as above.
CONSOLE_PATH = "/console"
CONSOLE: dict[tuple[str, str], frozenset[str]] = {
    ("GET", "/console"): EVERYBODY,
    ("POST", "/console/sign-out"): EVERYBODY,
    ("GET", "/console/imports"): frozenset({REGISTRAR}),
    ("GET", "/console/imports/new"): frozenset({REGISTRAR}),
    ("POST", "/console/imports/new"): frozenset({REGISTRAR}),
    ("GET", "/console/template"): frozenset({REGISTRAR, PROGRAMME}),
    ("GET", "/console/imports/{import_id}"): frozenset({REGISTRAR}),
    ("GET", "/console/imports/{import_id}/corrections"): frozenset({REGISTRAR}),
    ("POST", "/console/imports/{import_id}/acceptance"): frozenset({REGISTRAR}),
    ("POST", "/console/imports/{import_id}/refusal"): frozenset({REGISTRAR}),
    ("GET", "/console/checks/new"): frozenset({REGISTRAR, PROGRAMME}),
    ("POST", "/console/checks/new"): frozenset({REGISTRAR, PROGRAMME}),
    ("GET", "/console/checks/{job_id}"): frozenset({REGISTRAR, PROGRAMME}),
    ("GET", "/console/checks/{job_id}/file"): frozenset({REGISTRAR, PROGRAMME}),
    ("GET", "/console/jobs"): EVERYBODY,
    ("POST", "/console/jobs/{job_id}/cancellation"): WORKING,
}
# For who has not signed in.
CONSOLE_PUBLIC = frozenset(
    {
        ("GET", "/console/sign-in"),
        ("POST", "/console/sign-in"),
        ("POST", "/console/language"),
        ("GET", "/console/static/{file_path}"),
        ("HEAD", "/console/static/{file_path}"),
    }
)


def is_console(path: str) -> bool:
    return path == CONSOLE_PATH or path.startswith(f"{CONSOLE_PATH}/")


def is_public(path: str) -> bool:
    return path in PUBLIC or path.startswith(PUBLIC_BELOW)
