"""The last words of the problems' types: promises to clients."""

# Clients branch on these; one that is changed or dropped breaks them.
SLUGS = [
    "account-conflict", "account-not-open", "account-not-ours", "already-enrolled",
    "already-judged", "amendment-unfit", "appeal-decided", "appeal-tries-spent",
    "approved-by-author", "assign-elsewhere", "attempt-refused", "bad-value", "break-refused",
    "cannot-supersede", "case-decided", "case-reopened", "check-file-too-large",
    "check-quota-spent", "check-stale", "checkpoint-unknown", "conflict-decided-anew",
    "conflict-of-others", "conflict-over", "conflict-two-people", "conflict-unendable",
    "consent-missing", "consent-not-given", "eligibility-unknown", "ending-unfit",
    "enrolment-closed", "entitlement-settled", "expiry-stands", "families-apart",
    "file-unreadable", "followup-superseded", "grant-in-other-currency", "grant-not-drawn",
    "grant-spent", "grant-unnamed", "group-changed", "group-too-large", "household-ended",
    "household-stands", "idempotency-key-malformed", "idempotency-key-reused",
    "idempotency-key-running", "identity-erased", "import-decided", "import-erased",
    "import-faulty", "import-not-ready", "instalments-uneven", "insufficient-funds",
    "invalid-profile", "invalid-registration", "invalid-rules", "invalid-term", "invalid-text",
    "job-ended", "layout-just-changed", "layout-malformed", "layout-unknown", "list-not-active",
    "model-not-found", "model-unreadable", "money-given-back", "months-outside", "months-overlap",
    "never-expires", "no-expiry", "no-instrument", "no-rules", "no-transfer-value", "no-uit",
    "not-eligible", "not-found", "not-held", "not-pending", "not-released", "not-sealed",
    "not-the-reviewer", "nothing-to-act-on", "nothing-to-pay", "nothing-to-reissue",
    "offer-closed", "offer-stands", "open-case", "outcome-conflict", "outside-area",
    "outside-grant-days", "outside-programme", "overlap", "overridden-by-enroller",
    "override-stands", "override-unfit", "own-proposal", "own-text", "payees-blocked",
    "payments-pending", "period-just-closed", "period-out-of-order", "person-deceased",
    "piece-differs", "prints-spent", "promises-stand", "reference-taken", "renewals-spent",
    "reservation-over", "reservation-paused", "reservation-quota-spent", "reviewer-took-part",
    "round-funded", "round-pending", "rules-approved", "rules-not-proposed", "run-underway",
    "same-person", "second-person", "second-person-needed", "shown-as-paid",
    "simulation-quota-spent", "slip-unknown", "slips-spent", "statement-erased",
    "statement-repeated", "statement-unreadable", "step-done", "step-out-of-order",
    "still-claimable", "term-approved", "terms-just-changed", "text-approved", "too-many-imports",
    "too-many-jobs", "too-many-payees", "transfer-conflict", "transfer-refused", "which-part",
]  # fmt: skip

# Those that a constraint alone refuses.
SLUGS_OF_CONSTRAINTS = [
    "code-taken", "family-changed", "group-unknown", "household-ended", "instalments-just-given",
    "list-too-long", "months-far", "name-taken", "not-found", "quota-own", "registration-running",
    "rules-just-changed",
]  # fmt: skip
