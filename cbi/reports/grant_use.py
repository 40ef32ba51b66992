"""By grant: what was agreed, what programmes got of it, and what became of it in its rounds.

Rounds name the grant they are paid from. A grant of another currency than its rounds has a line for
each: what was agreed and given in its own, what families got in theirs.
"""

from collections.abc import Mapping, Sequence
from datetime import date

import msgspec

from cbi.grant import Grant, in_force
from cbi.reports.sheet import Column, Drafts, Section, day, money, text

SUMS = ("amount", "funded", "to_come", "promised", "delivered", "returned", "left_over")


class Use(msgspec.Struct, frozen=True, kw_only=True):
    """What a grant's rounds of one currency promised and delivered, and what came back."""

    promised_minor: int = 0
    delivered_minor: int = 0
    returned_minor: int = 0

    def __add__(self, other: "Use") -> "Use":
        return Use(
            promised_minor=self.promised_minor + other.promised_minor,
            delivered_minor=self.delivered_minor + other.delivered_minor,
            returned_minor=self.returned_minor + other.returned_minor,
        )


class Used(msgspec.Struct, frozen=True, kw_only=True):
    """A grant as of a day: what its programmes got of it, and its use by currency."""

    grant: Grant
    as_of: date
    funded_minor: int
    uses: Mapping[str, Use]


def sections(found: Sequence[Used]) -> list[Section]:
    """Return a section for each currency, grants in the order given."""
    drafts = Drafts("grant_use", _columns)
    for each in found:
        own = each.grant.currency
        for currency in sorted({own, *each.uses}):
            sums = _sums(each, currency)
            drafts.of(currency).add(*_names(each), *(sums.get(key) for key in SUMS))
    return drafts.sections()


def _names(used: Used) -> tuple[str | date | None, ...]:
    counts = in_force(used.grant.versions)
    days = (None, None) if counts is None else (counts.agreed.first_day, counts.agreed.last_day)
    return used.grant.code, used.grant.donor, used.grant.reference, *days


def _sums(used: Used, currency: str) -> dict[str, int]:
    use = used.uses.get(currency, Use())
    sums = {
        "promised": use.promised_minor,
        "delivered": use.delivered_minor,
        "returned": use.returned_minor,
    }
    if currency != used.grant.currency:
        return sums
    counts = in_force(used.grant.versions)
    amount = 0 if counts is None else counts.agreed.money.amount_minor
    sums |= {
        "amount": amount,
        "funded": used.funded_minor,
        "to_come": amount - used.funded_minor,
    }
    if set(used.uses) <= {currency}:
        sums["left_over"] = amount - use.promised_minor - use.delivered_minor
    return sums


def _columns(currency: str) -> list[Column]:
    return [
        *(text(key) for key in ("grant", "donor", "agreement")),
        *(day(key) for key in ("first_day", "last_day")),
        *(money(key, currency) for key in SUMS),
    ]
