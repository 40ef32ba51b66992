"""The trial balance: every account's sums, by currency; debits are credits."""

from collections.abc import Iterable

from cbi.reports.sheet import Column, Draft, Drafts, Section, money, text, word
from ledger.account import TrialRow


def sections(rows: Iterable[TrialRow]) -> list[Section]:
    """Return the accounts that ever moved, in the order given, and whether both sides are equal."""
    drafts = Drafts("accounts", _columns)
    sides: dict[str, tuple[int, int]] = {}
    for row in rows:
        if not (row.debit_minor or row.credit_minor):
            continue
        debit, credit = sides.get(row.currency, (0, 0))
        sides[row.currency] = (debit + row.debit_minor, credit + row.credit_minor)
        net = row.debit_minor - row.credit_minor
        drafts.of(row.currency).add(
            row.code,
            row.normal,
            row.debit_minor,
            row.credit_minor,
            max(net, 0),
            max(-net, 0),
        )
    return [*drafts.sections(), *(_check(one, sides[one]) for one in sorted(sides))]


def _columns(currency: str) -> list[Column]:
    sums = ("debit", "credit", "debit_balance", "credit_balance")
    return [text("account"), word("normal"), *(money(key, currency) for key in sums)]


def _check(currency: str, sides: tuple[int, int]) -> Section:
    columns = (money(key, currency, adds_up=False) for key in ("left", "right", "difference"))
    draft = Draft("checks", word("check"), *columns, word("holds"), about=currency)
    debit, credit = sides
    holds = "yes" if debit == credit else "no"
    draft.add("debits_are_credits", debit, credit, debit - credit, holds)
    return draft.section()
