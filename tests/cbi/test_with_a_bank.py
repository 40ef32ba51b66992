"""A round, a bank that is not ours, its behaviours, and what they come to in the books."""

from datetime import date, datetime

from sqlalchemy import text

from api import db
from api.demo.bank import MockBank, mock_iban
from cbi import payout, statements
from cbi.report import round_report
from ledger import breaks
from tests.cbi.bank import settled
from tests.cbi.world import (
    ALFA,
    AT,
    DESK,
    approved,
    enrolled_families,
    opened,
    programme_of,
    released,
)

OPENED = datetime(2026, 6, 2, 9, 0)  # noqa: DTZ001 (the bank's wall clock)
DEBTOR = mock_iban("191000001")
CLOSED = "19100000000003"


async def taken_in(conn, bank):
    """Take every message of the bank in, twice: a mailbox is emptied by whoever forgets."""
    await db.set_facts(conn, ALFA)
    stored = []
    for message in 2 * await bank.collect("CBI"):
        stored += await statements.take_in(
            conn,
            message.xml,
            vault=DESK.vault,
            matching_key=DESK.matching_key,
            partner_id=ALFA.partner_id,
            actor_id=ALFA.actor_id,
            at=AT,
        )
    return stored


async def test_what_a_bank_rejects_returns_repeats_and_does_not_know_is_booked_once(conn, tmp_path):
    async with MockBank(tmp_path, clock=OPENED) as bank:
        await bank.open_account("CBI", name="Alfa", iban=DEBTOR, balance_minor=10_000_000)
        await bank.open_closed_creditor(CLOSED)
        programme = await programme_of(conn, payer_account=DEBTOR)
        closed = {"kind": "bank_account", "bank": "MOCK", "account": CLOSED}
        await enrolled_families(conn, programme, 1, instrument=closed)
        await enrolled_families(conn, programme, 3, seed=50)
        round_id = (await opened(conn, programme)).round_id
        await approved(conn, round_id)
        await released(conn, round_id)
        rows = await conn.execute(
            text(
                "SELECT end_to_end_id FROM ledger.attempt JOIN cbi.entitlement"
                " ON entitlement_id = payment_id ORDER BY computed_at, end_to_end_id"
            )
        )
        file = await payout.read_file(conn, round_id, vault=DESK.vault)
        paid_elsewhere = (
            one for one in rows.scalars() if CLOSED not in _payment(file.content, one)
        )
        back = next(paid_elsewhere)
        await bank.return_later("CBI", back, days=2, reason="AC06")
        assert (await bank.send(file.content))["status"] == "PART"
        assert (await bank.send(file.content))["reason"] == "DUPL"
        await bank.advance(days=8)
        stored = await taken_in(conn, bank)
    assert {one.repeated for one in stored[len(stored) // 2 :]} == {True}
    done = await settled(conn, as_of=date(2026, 6, 12))
    assert (done.delivered, done.rejected, done.returned) == (3, 1, 1)
    # That the repeat was refused says nothing of the payments; it is told, and voids none.
    assert {one.found.kind for one in await breaks.load(conn)} == {"status_unexplained"}
    report = await round_report(conn, round_id=round_id)
    assert report.ties
    assert {state: sums.payments for state, sums in report.by_state.items()} == {
        "delivered": 2,
        "rejected": 1,
        "returned": 1,
    }
    again = await settled(conn, as_of=date(2026, 6, 12))
    assert (again.matched, again.breaks) == (0, done.breaks)


def _payment(content: bytes, end_to_end_id: str) -> str:
    return content.decode().partition(end_to_end_id)[2].partition("</CdtTrfTxInf>")[0]
