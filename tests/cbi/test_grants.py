"""What comes of a grant stays within its amount and its days, whoever books it and however."""

import asyncio
from datetime import date, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import structs

from api import clock, db
from cbi import bookings, grants
from cbi.grant import adds
from cbi.grant_refusal import (
    AmendmentUnfit,
    GrantInOtherCurrency,
    GrantNotDrawn,
    GrantSpent,
    GrantUnnamed,
    OutsideGrantDays,
    RoundFunded,
)
from cbi.refusal import BadValue, NotFound
from cbi.term_refusal import ApprovedByAuthor, InvalidTerm, TermApproved
from ledger import post
from ledger.money import Money
from ledger.refusal import TransferRefused
from tests.cbi.agreed import agreed as agreed_term
from tests.cbi.agreed import entered as entered_term
from tests.cbi.agreed import who_of
from tests.cbi.granted import (
    LAST_DAY,
    allotted,
    amended,
    approved,
    deposited,
    draws,
    entered,
    granted,
    named,
)
from tests.cbi.granted import given as agreed_to
from tests.cbi.reports.played import asked, rows
from tests.cbi.world import (
    ALFA,
    AT,
    BETA,
    TODAY,
    enrolled_families,
    opened,
    programme_of,
    released,
    rolled_back,
)
from tests.cbi.world import approved as list_approved

NEXT_YEAR = date(2027, 3, 31)


async def funded_programme(conn, minor=1_000_000, **more):
    grant = await granted(conn, minor, **more)
    programme = await programme_of(conn, grant=0)
    await draws(conn, programme, grant)
    return programme, grant


async def refused(conn, refusal, doing):
    with pytest.raises(refusal) as told:
        async with conn.begin_nested():
            await doing
    return told.value


async def test_a_deposit_names_a_grant_that_the_programme_draws_on(conn):
    programme, grant = await funded_programme(conn)
    other = await granted(conn)
    await refused(conn, GrantUnnamed, deposited(conn, programme, None, 1))
    await refused(conn, GrantNotDrawn, deposited(conn, programme, other, 1))
    await deposited(conn, programme, grant, 1)
    # Nor does a programme that draws on none get money of a grant.
    await refused(conn, GrantNotDrawn, deposited(conn, await programme_of(conn), grant, 1))


async def test_a_programme_draws_on_several_grants_and_a_grant_is_drawn_on_by_several(conn):
    one, two = await granted(conn, 100), await granted(conn, 100)
    programmes = [await programme_of(conn, grant=0) for _ in range(2)]
    for programme in programmes:
        await draws(conn, programme, one, two)
    await deposited(conn, programmes[0], one, 60)
    await deposited(conn, programmes[1], two, 100)
    await refused(conn, GrantSpent, deposited(conn, programmes[1], one, 41))
    await deposited(conn, programmes[1], one, 40)


async def test_what_is_funded_is_never_more_nor_outside_the_days_nor_in_other_money(conn):
    programme, grant = await funded_programme(conn, 100)
    await deposited(conn, programme, grant, 99, on=LAST_DAY)
    refusal = await refused(conn, GrantSpent, deposited(conn, programme, grant, 2))
    assert refusal.grant == grant.code
    for on in (date(2026, 1, 1) - timedelta(days=1), date(2027, 1, 1)):
        # The term that says so counts from the first day; before it the code is of a grant anyway.
        await refused(
            conn, (OutsideGrantDays, GrantNotDrawn), deposited(conn, programme, grant, 1, on=on)
        )
    await refused(conn, GrantInOtherCurrency, deposited(conn, programme, grant, 1, currency="USD"))
    await deposited(conn, programme, grant, 1)


async def test_the_same_deposit_again_takes_nothing_more(conn):
    programme, grant = await funded_programme(conn, 100)
    deposit_id = clock.new_id()
    for _ in range(3):
        await deposited(conn, programme, grant, 60, deposit_id=deposit_id)
    await deposited(conn, programme, grant, 40)


async def test_a_grant_that_nobody_approved_gives_nothing(conn):
    grant = await entered(conn)
    programme = await programme_of(conn, grant=0)
    await draws(conn, programme, grant)
    await refused(conn, OutsideGrantDays, deposited(conn, programme, grant, 1))
    await approved(conn, grant)
    await deposited(conn, programme, grant, 1)


async def test_the_database_refuses_what_goes_past_the_program(conn):
    programme, grant = await funded_programme(conn, 100)
    money = Money(amount_minor=60, currency="PEN")
    accounts = [
        *bookings.of_programme(programme.programme_id, "PEN"),
        bookings.grant(programme.programme_id, grant.code, "PEN"),
    ]
    await post.open_accounts(conn, accounts, partner_id=ALFA.partner_id)

    def deposit(of_grant):
        return bookings.funded(
            programme.programme_id, money, deposit_id=clock.new_id(), on=TODAY, of_grant=of_grant
        )

    facts = {"partner_id": ALFA.partner_id, "actor_id": ALFA.actor_id, "at": AT}
    for transfers, rule in (
        ([deposit(None)], "funding_names_grant"),
        # Under another kind of transfer it is the same money.
        ([structs.replace(deposit(None), kind="adjust")], "funding_names_grant"),
        # Two at once that would fit alone.
        ([deposit(grant.code), deposit(grant.code)], "funding_within_grant"),
    ):
        found = await refused(conn, TransferRefused, post.post(conn, transfers, **facts))
        assert found.constraint == rule


@pytest.mark.parametrize("again", [0, 1])
async def test_of_two_deposits_at_the_same_moment_the_second_sees_the_first(own, again):
    async with own.begin() as conn:
        programme, grant = await funded_programme(conn, 100)
        places = [programme, await programme_of(conn, grant=0)]
        await draws(conn, places[1], grant)

    async def late():
        async with own.begin() as conn:
            return await deposited(conn, places[1 - again], grant, 60)

    async with own.begin() as conn:
        await deposited(conn, places[again], grant, 60)
        second = asyncio.create_task(late())
        assert await own.waits(second)
    (done,) = await asyncio.gather(second, return_exceptions=True)
    assert isinstance(done, GrantSpent)


async def test_a_deposit_waits_for_an_amendment_that_makes_room_for_it(own):
    async with own.begin() as conn:
        programme, grant = await funded_programme(conn, 100)
        await amended(conn, grant, "top_up", 200)

    async def late():
        async with own.begin() as conn:
            return await deposited(conn, programme, grant, 150)

    async with own.begin() as conn:
        await approved(conn, grant, 2)
        second = asyncio.create_task(late())
        assert await own.waits(second)
    assert (await second).money.amount_minor == 150


async def test_an_amendment_counts_when_another_person_approves_it(conn):
    programme, grant = await funded_programme(conn, 100)
    await amended(conn, grant, "no_cost_extension", 100, last=NEXT_YEAR)
    later = LAST_DAY + timedelta(days=1)
    await refused(conn, OutsideGrantDays, deposited(conn, programme, grant, 1, on=later))
    own = grants.approve(conn, grant_id=grant.grant_id, version=2, who=who_of(ALFA))
    await refused(conn, ApprovedByAuthor, own)
    await approved(conn, grant, 2)
    await refused(conn, TermApproved, approved(conn, grant, 2))
    await deposited(conn, programme, grant, 100, on=later)
    await amended(conn, grant, "top_up", 101, last=NEXT_YEAR)
    found = await approved(conn, grant, 3)
    assert [each.kind for each in found.versions] == ["agreement", "no_cost_extension", "top_up"]
    assert found.in_force.version == 3
    await deposited(conn, programme, grant, 1)


async def test_an_amendment_takes_nothing_away_also_not_by_being_approved_late(conn):
    _, grant = await funded_programme(conn, 100)
    for kind, minor, last in (
        ("no_cost_extension", 100, LAST_DAY),
        ("no_cost_extension", 101, NEXT_YEAR),
        ("top_up", 100, NEXT_YEAR),
        ("top_up", 101, TODAY),
    ):
        await refused(conn, AmendmentUnfit, amended(conn, grant, kind, minor, last=last))
    # Two that fit what counts today: the second approved would take back the first one's days.
    await amended(conn, grant, "no_cost_extension", 100, last=NEXT_YEAR)
    await amended(conn, grant, "top_up", 200)
    await approved(conn, grant, 2)
    await refused(conn, AmendmentUnfit, approved(conn, grant, 3))


AGREED = st.builds(
    agreed_to,
    st.sampled_from([100, 101]),
    last=st.sampled_from([TODAY, LAST_DAY, NEXT_YEAR]),
)


@settings(max_examples=25, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(["no_cost_extension", "top_up"]), AGREED, AGREED)
async def test_the_database_says_the_same_of_an_amendment(conn, kind, before, after):
    async with rolled_back(conn):
        grant = await granted(conn, before.money.amount_minor, last=before.last_day)
        # Past the program, which asks first.
        await db.set_facts(conn, ALFA)
        await grants._add(conn, grant.grant_id, 2, kind=kind, agreed=after, who=who_of(ALFA))
        try:
            await approved(conn, grant, 2)
        except AmendmentUnfit:
            fits = False
        else:
            fits = True
        assert fits is adds(kind, before, after)


async def test_a_term_names_grants_of_ones_own(conn):
    theirs = await granted(conn, who=BETA)
    programme = await programme_of(conn, grant=0)
    for codes in ([theirs.code], ["NOBODYS"], ["a"], ["G-1", "G-1"], [1], ["G-1"] * 21):
        with pytest.raises(InvalidTerm):
            async with conn.begin_nested():
                await entered_term(conn, programme, "grants", {"grants": codes}, ALFA)
    await db.set_facts(conn, ALFA)
    await refused(conn, NotFound, grants.load_grant(conn, theirs.grant_id))
    # The same code may be another organisation's too, and one's own only once.
    await granted(conn, code=theirs.code)
    await refused(conn, BadValue, granted(conn, code=theirs.code))
    await agreed_term(conn, programme, "grants", {"grants": []}, ALFA)
    await deposited(conn, programme, None, 1)


async def paid_programme(conn, minor, **more):
    """A programme with two families (250.00 a month) and all its grant's money."""
    programme, grant = await funded_programme(conn, minor, **more)
    await deposited(conn, programme, grant, minor)
    await allotted(conn, programme, grant, minor)
    await enrolled_families(conn, programme, 2)
    return programme, grant


async def a_list(conn, programme, **months):
    round_id = (await opened(conn, programme, **months)).round_id
    await list_approved(conn, round_id)
    return round_id


async def test_a_round_is_funded_from_the_grant_it_names_and_not_more_than_it_has(conn):
    programme, grant = await paid_programme(conn, 26_000)
    second = await granted(conn, 20_000)
    await draws(conn, programme, grant, second)
    round_id = await a_list(conn, programme)
    await refused(conn, GrantUnnamed, released(conn, round_id))
    await refused(conn, GrantNotDrawn, named(conn, round_id, await granted(conn)))
    await named(conn, round_id, second)
    # 250.00 are more than the second grant is.
    assert (await refused(conn, GrantSpent, released(conn, round_id))).grant == second.code
    await named(conn, round_id, grant)
    await released(conn, round_id)
    await refused(conn, RoundFunded, named(conn, round_id, second))
    sheet = await asked(conn, "grant-use")
    lines = {row[0]: row[5:] for row in rows(sheet, "grant_use", "PEN")}
    assert lines[grant.code] == (26_000, 26_000, 0, 25_000, 0, 0, 1_000)
    assert lines[second.code] == (20_000, 0, 20_000, 0, 0, 0, 20_000)


async def two_lists(conn):
    """Two rounds of 250.00 of a grant of 499.99, with money beside it for both."""
    programme, grant = await paid_programme(conn, 49_999)
    other = await granted(conn, 1_000)
    await draws(conn, programme, grant, other)
    await deposited(conn, programme, other, 1_000)
    await allotted(conn, programme, other, 1_000)
    first = await a_list(conn, programme)
    following = await a_list(conn, programme, first=date(2026, 8, 1), end=date(2026, 9, 1))
    for round_id in (first, following):
        await named(conn, round_id, grant)
    return grant, [first, following]


@pytest.mark.parametrize("first", [0, 1])
async def test_of_two_rounds_funded_at_the_same_moment_the_second_sees_the_first(own, first):
    async with own.begin() as conn:
        _, rounds = await two_lists(conn)

    async def late():
        async with own.begin() as conn:
            return await released(conn, rounds[1 - first])

    async with own.begin() as conn:
        await released(conn, rounds[first])
        second = asyncio.create_task(late())
        assert await own.waits(second)
    (done,) = await asyncio.gather(second, return_exceptions=True)
    assert isinstance(done, GrantSpent)


async def test_rounds_of_a_grant_together_take_no_more_than_it_has(conn):
    grant, (first, following) = await two_lists(conn)
    await released(conn, first)
    await refused(conn, GrantSpent, released(conn, following))
    await amended(conn, grant, "top_up", 50_000)
    await approved(conn, grant, 2)
    await released(conn, following)


async def test_a_round_pays_between_the_days_of_its_grant(conn):
    programme, grant = await paid_programme(conn, 26_000, last=TODAY)
    round_id = await a_list(conn, programme)
    await named(conn, round_id, grant)
    await refused(conn, OutsideGrantDays, released(conn, round_id))


async def test_another_organisation_sees_and_amends_nothing(conn):
    grant = await granted(conn)
    await db.set_facts(conn, BETA)
    await refused(conn, NotFound, amended(conn, grant, "top_up", 2_000_000, who=BETA))
    assert await grants.list_grants(conn, partner_id=BETA.partner_id, after=None, limit=9) == []
