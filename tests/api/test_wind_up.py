"""A round that is over gives back what is left of its money."""

from uuid import UUID, uuid4

from sqlalchemy import text

from api import db
from cbi import bookings
from ledger.attempt import Attempt, Outcome
from ledger.attempts import record_outcomes
from ledger.money import Money
from ledger.post import post
from tests.api.house import AT, House, open_round, release


async def released(house: House) -> str:
    """A released round of one payment; returns its path."""
    opened = await open_round(house)
    await release(house, opened)
    return opened.path


async def rejected(house: House, path: str) -> int:
    """Let the bank have rejected every payment of the round; returns their sum."""
    round_id = UUID(path.rpartition("/")[2])
    finance = db.Actor(
        actor_id=uuid4(),
        partner_id=house.partners["A"],
        partner_code="A",
        roles=frozenset({"finance"}),
    )
    facts = {"partner_id": finance.partner_id, "at": AT}
    async with db.transaction(house.service.engine, finance) as conn:
        rows = await conn.execute(
            text(
                "SELECT a.payment_id, a.attempt_no, a.end_to_end_id, a.amount_minor, a.currency"
                " FROM ledger.attempt a JOIN cbi.entitlement ON entitlement_id = payment_id"
                " WHERE round_id = :round_id"
            ),
            {"round_id": round_id},
        )
        total = 0
        for payment_id, attempt_no, end_to_end_id, minor, currency in rows.all():
            sent = Attempt(
                payment_id=payment_id,
                attempt_no=attempt_no,
                end_to_end_id=end_to_end_id,
                money=Money(amount_minor=minor, currency=currency),
            )
            fact = Outcome(payment_id=payment_id, attempt_no=attempt_no, outcome="void")
            await record_outcomes(conn, [fact], **facts)
            booked = bookings.rejected(round_id, sent, on=AT.date())
            await post(conn, [booked], actor_id=finance.actor_id, **facts)
            total += minor
    return total


async def test_a_round_is_closed_when_every_outcome_is_known_and_once(house: House):
    path = await released(house)
    early = await house.post(f"{path}/closing", "A/finance")
    assert early.json()["type"] == "urn:cbi:problem:round-pending"
    total = await rejected(house, path)
    assert early.json()["pending_minor"] == total
    closed = await house.made(f"{path}/closing", "A/finance")
    assert closed == {"amount_minor": total, "currency": "PEN"}
    again = await house.made(f"{path}/closing", "A/finance")
    assert again["amount_minor"] == 0
    report = (await house.get(f"{path}/report", "A/finance")).json()
    assert report["ties"], report["checks"]


async def test_a_round_that_is_not_released_or_is_elses_is_not_closed(house: House):
    opened = await open_round(house)
    early = await house.post(f"{opened.path}/closing", "A/finance")
    assert early.json()["type"] == "urn:cbi:problem:not-released"
    assert (await house.post(f"{opened.path}/closing", "B/finance")).status_code == 404
