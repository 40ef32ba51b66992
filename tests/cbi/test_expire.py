"""What nobody collected expires by the word of two people, and never by silence."""

from datetime import timedelta

import pytest
from sqlalchemy import text

from api import db
from cbi import expire, resolve
from cbi.refusal import (
    ExpiryStands,
    NeverExpires,
    NoExpiry,
    NotFound,
    NotPending,
    SecondPerson,
    ShownAsPaid,
    StillClaimable,
)
from cbi.who import Who
from ledger.standing import load_states
from tests.cbi.bank import line, settled, statement, taken_in
from tests.cbi.follow import a_sent_round, came, reissued
from tests.cbi.profiled import a_profile, profiled
from tests.cbi.test_reissue import ties
from tests.cbi.world import AT, BETA, staff

LATER = AT + timedelta(days=31)


async def proposed(conn, payment_id, place=1, *, at=LATER):
    who = staff(place)
    await db.set_facts(conn, who)
    return await expire.propose_expiry(
        conn,
        payment_id=payment_id,
        because="letter of the agent",
        partner_id=who.partner_id,
        actor_id=who.actor_id,
        at=at,
    )


async def sent(conn, families, **profile):
    """A round that was sent by a profile of 30 days: its id and its payments."""
    programme, round_id, paid = await a_sent_round(conn, families)
    if profile:
        await profiled(conn, programme, a_profile(**profile))
    return round_id, paid


async def confirmed(conn, payment_id, who):
    await db.set_facts(conn, who)
    return await expire.confirm_expiry(
        conn, payment_id=payment_id, partner_id=who.partner_id, actor_id=who.actor_id, at=LATER
    )


async def test_two_people_end_what_nobody_collected_and_it_is_paid_again(conn):
    round_id, paid = await sent(conn, 2, claim_days=30)
    payment_id = paid[0].entitlement_id
    await came(conn, "delivered", paid[1:])
    await proposed(conn, payment_id)
    assert (await load_states(conn, [payment_id]))[payment_id][0].outcome is None
    await confirmed(conn, payment_id, staff(2))
    ended = (await load_states(conn, [payment_id]))[payment_id][0]
    assert (ended.outcome, ended.reason) == ("void", "EXPIRED")
    await reissued(conn, round_id)
    await came(conn, "delivered", paid[:1], 2)
    assert (await ties(conn, round_id))["delivered"][0] == 2


async def test_one_person_alone_ends_nothing(conn):
    _, paid = await sent(conn, 1, claim_days=30)
    payment_id = paid[0].entitlement_id
    with pytest.raises(NoExpiry):
        await confirmed(conn, payment_id, staff(2))
    await proposed(conn, payment_id)
    with pytest.raises(SecondPerson):
        await confirmed(conn, payment_id, staff(1))
    with pytest.raises(ExpiryStands):
        await proposed(conn, payment_id, 2)
    with pytest.raises(NotFound):
        await confirmed(conn, payment_id, BETA)
    await confirmed(conn, payment_id, staff(2))
    with pytest.raises(NotPending):
        await confirmed(conn, payment_id, staff(3))


async def test_nothing_expires_while_it_can_be_collected_or_once_it_ended(conn):
    _, paid = await sent(conn, 2, claim_days=30)
    with pytest.raises(StillClaimable):
        await proposed(conn, paid[0].entitlement_id, at=AT + timedelta(days=30))
    await came(conn, "delivered", paid[:1])
    with pytest.raises(NotPending):
        await proposed(conn, paid[0].entitlement_id)


async def test_nothing_expires_where_the_provider_gives_no_days(conn):
    _, paid = await sent(conn, 1)
    with pytest.raises(NeverExpires):
        await proposed(conn, paid[0].entitlement_id)


async def test_a_notice_that_was_unmatched_does_not_show_it_as_paid(conn):
    _, paid = await sent(conn, 1, claim_days=30)
    payment_id = paid[0].entitlement_id
    states = (await load_states(conn, [payment_id]))[payment_id]
    told = line("camt.054", 1, states[0].attempt.end_to_end_id, paid[0].money.amount_minor)
    await taken_in(conn, statement(told, message_id="N1"))
    await settled(conn)
    with pytest.raises(ShownAsPaid):
        await proposed(conn, payment_id)
    line_id = await conn.scalar(text("SELECT line_id FROM ledger.allocation"))
    who = Who(partner_id=staff(1).partner_id, actor_id=staff(1).actor_id, at=AT)
    await db.set_facts(conn, staff(1))
    await resolve.unmatch(conn, line_id, "of another payment", who)
    assert (await proposed(conn, payment_id)).claim_days == 30
