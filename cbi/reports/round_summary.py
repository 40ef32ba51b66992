"""A round at a glance: what was due, what came of it, by state and reason, and whether it ties."""

from cbi.reconciliation import INSTRUCTED, NONE, Report, Sums
from cbi.reports.sheet import Draft, Section, count, money, text, word


def sections(report: Report) -> list[Section]:
    """Return the position of the round, its kinds, states, reasons, equations and breaks."""
    first = [_position(report), _kinds(report), _states(report)]
    return [*first, _reasons(report), _checks(report), _breaks(report)]


def _position(report: Report) -> Section:
    currency = report.currency
    draft = Draft(
        "position",
        word("measure"),
        count("payments", adds_up=False),
        money("amount", currency, adds_up=False),
        about=currency,
    )
    for name, sums in _measures(report):
        draft.add(name, sums.payments, sums.amount_minor)
    return draft.section()


def _measures(report: Report) -> list[tuple[str, Sums]]:
    of = report.by_state
    whole, partly = of.get("delivered", NONE), of.get("partly_delivered", NONE)
    rests = [s for why, s in report.undelivered_by_reason.items() if why.startswith("partly_")]
    rest_minor = sum(each.amount_minor for each in rests)
    undelivered = report.undelivered_by_reason.values()
    return [
        ("entitled", report.entitled),
        ("not_instructed", of.get("not_instructed", NONE)),
        ("instructed", report.instructed),
        (
            "delivered",
            Sums(
                payments=whole.payments + partly.payments,
                amount_minor=whole.amount_minor + partly.amount_minor - rest_minor,
            ),
        ),
        (
            "undelivered",
            Sums(
                payments=sum(each.payments for each in undelivered),
                amount_minor=sum(each.amount_minor for each in undelivered),
            ),
        ),
        ("unclaimed", of.get("pending", NONE)),
    ]


def _kinds(report: Report) -> Section:
    currency = report.currency
    draft = Draft(
        "kinds", word("kind"), count("payments"), money("amount", currency), about=currency
    )
    for kind, sums in report.by_kind.items():
        draft.add(kind, sums.payments, sums.amount_minor)
    return draft.section()


def _states(report: Report) -> Section:
    currency = report.currency
    draft = Draft(
        "states", word("state"), count("payments"), money("amount", currency), about=currency
    )
    for state in ("not_instructed", *INSTRUCTED):
        sums = report.by_state.get(state, NONE)
        draft.add(state, sums.payments, sums.amount_minor)
    return draft.section()


def _reasons(report: Report) -> Section:
    currency = report.currency
    draft = Draft(
        "reasons",
        word("state"),
        text("reason"),
        count("payments"),
        money("amount", currency),
        about=currency,
    )
    for why, sums in report.undelivered_by_reason.items():
        state, _, reason = why.partition(":")
        draft.add(state, reason, sums.payments, sums.amount_minor)
    return draft.section()


def _checks(report: Report) -> Section:
    sides = (money(key, report.currency, adds_up=False) for key in ("left", "right", "difference"))
    draft = Draft("checks", word("check"), *sides, word("holds"), about=report.currency)
    for check in report.checks:
        holds = "yes" if check.difference_minor == 0 else "no" if check.must_hold else "not_yet"
        draft.add(check.name, check.left_minor, check.right_minor, check.difference_minor, holds)
    return draft.section()


def _breaks(report: Report) -> Section:
    draft = Draft("breaks", word("break"), count("lines"))
    kinds = [found.kind for found in report.breaks]
    for kind in sorted(set(kinds)):
        draft.add(kind, kinds.count(kind))
    return draft.section()
