"""What nobody collected expires by the word of two people, and never by silence."""

from datetime import timedelta

import pytest

from api import db
from cbi import expire
from cbi.refusal import (
    ExpiryStands,
    NeverExpires,
    NoExpiry,
    NotFound,
    NotPending,
    SecondPerson,
    StillClaimable,
)
from ledger.standing import load_states
from tests.cbi.follow import a_sent_round, came, reissued
from tests.cbi.test_reissue import ties
from tests.cbi.world import AT, BETA, staff

LATER = AT + timedelta(days=31)


async def proposed(conn, payment_id, place=1, *, claim_days=30, at=LATER):
    who = staff(place)
    await db.set_facts(conn, who)
    return await expire.propose_expiry(
        conn,
        payment_id=payment_id,
        because="letter of the agent",
        claim_days=claim_days,
        partner_id=who.partner_id,
        actor_id=who.actor_id,
        at=at,
    )


async def confirmed(conn, payment_id, who):
    await db.set_facts(conn, who)
    return await expire.confirm_expiry(
        conn, payment_id=payment_id, partner_id=who.partner_id, actor_id=who.actor_id, at=LATER
    )


async def test_two_people_end_what_nobody_collected_and_it_is_paid_again(conn):
    _, round_id, paid = await a_sent_round(conn, 2)
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
    _, _, paid = await a_sent_round(conn, 1)
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
    _, _, paid = await a_sent_round(conn, 2)
    with pytest.raises(StillClaimable):
        await proposed(conn, paid[0].entitlement_id, at=AT + timedelta(days=30))
    with pytest.raises(NeverExpires):
        await proposed(conn, paid[0].entitlement_id, claim_days=None)
    await came(conn, "delivered", paid[:1])
    with pytest.raises(NotPending):
        await proposed(conn, paid[0].entitlement_id)
