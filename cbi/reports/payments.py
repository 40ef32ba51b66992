"""Every payment of a round as it stands, with what proves it."""

from collections.abc import Iterable

from cbi.reconciliation import PaymentRow
from cbi.reports.sheet import Column, Drafts, Section, count, day, money, named, text, word


def _columns(currency: str) -> list[Column]:
    return [
        named("payment_id"),
        text("end_to_end_id"),
        count("attempt", adds_up=False),
        word("state"),
        text("reason"),
        money("amount", currency),
        money("delivered", currency),
        day("booked_on"),
        text("evidence"),
        word("kind"),
    ]


class Payments:
    """Fills the report a page at a time."""

    def __init__(self) -> None:
        self._drafts = Drafts("payments", _columns)

    def add(self, page: Iterable[PaymentRow]) -> None:
        for row in page:
            self._drafts.of(row.money.currency).add(
                row.payment_id,
                row.end_to_end_id,
                row.attempt_no,
                row.state,
                row.reason,
                row.money.amount_minor,
                row.delivered.amount_minor,
                row.booked_on,
                "; ".join(row.evidence),
                row.kind,
            )

    def sections(self) -> list[Section]:
        return self._drafts.sections()
