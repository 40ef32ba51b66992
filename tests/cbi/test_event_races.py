"""Two who change a household, or promise it something, at the same moment."""

import asyncio

import pytest

from cbi.refusal import HouseholdEnded, NothingToPay, OfferClosed
from tests.cbi.events import (
    accepted,
    amended,
    happened_to,
    of_their_own,
    offered,
    parted,
    referable,
    standing,
    withdrawn,
)
from tests.cbi.world import (
    BETA,
    calculated,
    count,
    enrolled,
    family,
    opened,
    programme_of,
    registered,
    staff,
)
from tests.conftest import PARTNER_B


async def during(own, first, second):
    """Do `second` in a transaction of its own while `first` is done and not committed."""

    async def meanwhile():
        async with own.begin() as conn:
            return await second(conn)

    async with own.begin() as conn:
        await first(conn)
        task = asyncio.create_task(meanwhile())
        assert await own.waits(task)
    return (await asyncio.gather(task, return_exceptions=True))[0]


async def test_two_clerks_amend_a_household_one_after_the_other(own):
    raw = family(501)
    async with own.begin() as conn:
        one = (await registered(conn, raw)).household_id
    await during(
        own,
        lambda conn: amended(conn, one, raw | {"ubigeo": "240102"}),
        lambda conn: amended(conn, one, raw | {"ubigeo": "240103"}),
    )
    async with own.begin() as conn:
        assert [version for version, *_ in await happened_to(conn, one)] == [2, 3]
        assert (await standing(conn, one)).ubigeo == "240103"


async def test_a_household_that_is_just_ending_is_not_enrolled(own):
    async with own.begin() as conn:
        one = (await registered(conn, family(502))).household_id
        programme = await programme_of(conn)
    refused = await during(
        own,
        lambda conn: withdrawn(conn, one, "registration"),
        lambda conn: enrolled(conn, programme, one),
    )
    assert isinstance(refused, HouseholdEnded)


async def test_of_two_clerks_who_accept_one_offer_one_gets_the_household(own):
    async with own.begin() as conn:
        one = (await registered(conn, referable(503))).household_id
        made = await offered(conn, one)
    other = staff(1, PARTNER_B)
    refused = await during(
        own,
        lambda conn: accepted(conn, made.offer_id),
        lambda conn: accepted(conn, made.offer_id, other, reference="B-2"),
    )
    assert isinstance(refused, OfferClosed)
    async with own.begin(BETA) as conn:
        assert await count(conn, "cbi.household") == 1


async def test_a_family_does_not_part_while_it_is_being_promised_a_month(own):
    raw = family(504, size=3)
    async with own.begin() as conn:
        programme = await programme_of(conn)
        one = (await registered(conn, raw)).household_id
        await enrolled(conn, programme, one)
        round_id = (await opened(conn, programme)).round_id
    receipt = await during(
        own,
        lambda conn: calculated(conn, round_id),
        lambda conn: parted(conn, one, of_their_own(raw, (2,), 505)),
    )
    async with own.begin() as conn:
        other = await programme_of(conn)
        await enrolled(conn, other, receipt.household_id)
        july = (await opened(conn, other)).round_id
        with pytest.raises(NothingToPay):
            await calculated(conn, july)
