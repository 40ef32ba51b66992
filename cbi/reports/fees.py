"""Fees and taxes that the provider or the State kept, line by line."""

from collections.abc import Sequence
from datetime import date
from uuid import UUID

import msgspec

from cbi.reports.sheet import Column, Drafts, Section, day, money, named, text, word
from ledger.money import Money


class Fee(msgspec.Struct, frozen=True, kw_only=True):
    """One movement of a fees account; taking a fee back is negative."""

    transfer_id: UUID
    kind: str
    on: date
    programme: str
    money: Money


def sections(fees: Sequence[Fee]) -> list[Section]:
    """Return them by currency, in the order given."""
    drafts = Drafts("fees", _columns)
    for fee in fees:
        drafts.of(fee.money.currency).add(
            fee.on,
            fee.programme,
            fee.kind,
            fee.transfer_id,
            fee.money.amount_minor,
        )
    return drafts.sections()


def _columns(currency: str) -> list[Column]:
    return [
        day("on"),
        text("programme"),
        word("kind"),
        named("transfer_id"),
        money("amount", currency),
    ]
