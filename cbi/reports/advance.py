"""Liquidation of the advance: what the provider was given, what became of it, what is left."""

from collections.abc import Sequence

from cbi.reports.movement import Balance, Movement
from cbi.reports.sheet import Draft, Section, count, money, word

# Line of the liquidation by what the other account is; which side it usually stands on tells
# returns from deliveries, and what came in by an exchange from what went out.
LINES = (
    "deposits",
    "exchanged_in",
    "exchanged_out",
    "delivered",
    "returned",
    "fees_and_taxes",
    "exchange_result",
    "clearing",
    "receivable",
    "suspense",
    "other",
)
OF_OTHER = {
    "grant": "deposits",
    "fees": "fees_and_taxes",
    "exchange": "exchange_result",
    "clearing": "clearing",
    "receivable": "receivable",
    "suspense": "suspense",
}


def line_of(movement: Movement) -> str:
    """Say in which line of the liquidation a movement of the advance stands."""
    if movement.other == "fund":
        if movement.kind == "exchange":
            return "exchanged_in" if movement.side == "debit" else "exchanged_out"
        return "deposits"
    if movement.other == "expense":
        return "delivered" if movement.side == "credit" else "returned"
    return OF_OTHER.get(movement.other, "other")


def sections(balances: Sequence[Balance], movements: Sequence[Movement]) -> list[Section]:
    """Return for each currency the liquidation, and whether it is what the books say."""
    made = []
    for balance in balances:
        own = [each for each in movements if each.currency == balance.currency]
        made += [_liquidation(balance, own), _check(balance, own)]
    return made or [Draft("liquidation", word("line"), count("transfers")).section()]


def _liquidation(balance: Balance, movements: Sequence[Movement]) -> Section:
    currency = balance.currency
    draft = Draft(
        "liquidation",
        word("line"),
        count("transfers"),
        money("amount", currency),
        about=currency,
    )
    draft.add("opening_advance", None, balance.opening_minor)
    for line in LINES:
        of_line = [each for each in movements if line_of(each) == line]
        if of_line or line != "other":
            draft.add(
                line,
                sum(each.transfers for each in of_line),
                sum(each.signed_minor for each in of_line),
            )
    return draft.section()


def _check(balance: Balance, movements: Sequence[Movement]) -> Section:
    currency = balance.currency
    sides = (money(key, currency, adds_up=False) for key in ("left", "right", "difference"))
    draft = Draft("checks", word("check"), *sides, word("holds"), about=currency)
    closing = balance.opening_minor + sum(each.signed_minor for each in movements)
    difference = closing - balance.closing_minor
    draft.add(
        "closing_advance",
        closing,
        balance.closing_minor,
        difference,
        "no" if difference else "yes",
    )
    return draft.section()
