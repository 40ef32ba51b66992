"""Exchanges: the rate with its source and date, both legs, and what came of it."""

from collections.abc import Sequence
from datetime import date

import msgspec

from cbi.reports.sheet import Draft, Section, day, money, rate, text
from ledger.exchange import Exchange


class Exchanged(msgspec.Struct, frozen=True, kw_only=True):
    """An exchange that was booked; its result is what the bank gave beyond the rate, or less."""

    programme: str
    on: date
    exchange: Exchange
    result_minor: int  # of what was bought


def sections(exchanges: Sequence[Exchanged]) -> list[Section]:
    """Return them by pair of currencies, in the order given."""
    drafts: dict[tuple[str, str], Draft] = {}
    for each in exchanges:
        deal = each.exchange
        pair = deal.sold.currency, deal.bought.currency
        draft = drafts.setdefault(pair, _draft(*pair))
        draft.add(
            each.on,
            each.programme,
            deal.name,
            f"{deal.rate.normalize():f}",
            deal.rate_source,
            deal.rate_on,
            deal.sold.amount_minor,
            deal.bought.amount_minor,
            each.result_minor,
            deal.bought.amount_minor + each.result_minor,
        )
    return [drafts[pair].section() for pair in sorted(drafts)] or [_draft("", "").section()]


def _draft(sold: str, bought: str) -> Draft:
    return Draft(
        "exchanges",
        day("on"),
        text("programme"),
        text("reference"),
        rate("rate"),
        text("rate_source"),
        day("rate_on"),
        money("sold", sold),
        money("bought", bought),
        money("result", bought),
        money("received", bought),
        about=f"{sold} → {bought}" if sold else "",
    )
