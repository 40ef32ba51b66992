"""Terms of a programme count when two people agree, and a calculated round keeps its own."""

import asyncio
from contextlib import suppress
from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import insert, text
from sqlalchemy.exc import DBAPIError

from api import db
from cbi import calculate, disburse, term, terms
from cbi.basis import load_kept
from cbi.calculate import Calculated
from cbi.refusal import NotFound, NoTransferValue
from cbi.term_refusal import (
    ApprovedByAuthor,
    InstalmentsUneven,
    InvalidTerm,
    MonthsOutside,
    OutsideProgramme,
    TermApproved,
)
from cbi.term_tables import term_approval
from tests.cbi.agreed import (
    agreed,
    approved_term,
    basis_by_hand,
    entered,
    second,
    valued,
    who_of,
)
from tests.cbi.deciding import insert_enrolment
from tests.cbi.world import (
    ALFA,
    AT,
    BETA,
    a_round,
    calculated,
    calculated_once,
    cancelled,
    enrolled,
    enrolled_families,
    family,
    opened,
    programme_of,
    registered,
    staff,
)

YEAR = {"first_month": "2026-01-01", "last_month": "2026-12-01"}
THREE = {"instalments": 3}


async def amounts(conn, round_id) -> dict:
    await calculated(conn, round_id)
    return {
        each.household_id: each.money.amount_minor
        for each in await disburse.load_entitlements(conn, round_id)
    }


async def approve(conn, programme, kind, version, who):
    await db.set_facts(conn, who)
    return await terms.approve(
        conn,
        programme_id=programme.programme_id,
        kind=kind,
        version=version,
        who=who_of(who),
    )


async def test_who_entered_a_term_does_not_approve_it_nor_anybody_twice(conn):
    programme = await programme_of(conn)
    added = await entered(conn, programme, "scope", YEAR, ALFA)
    with pytest.raises(ApprovedByAuthor):
        await approve(conn, programme, "scope", added.version, ALFA)
    done = await approve(conn, programme, "scope", added.version, staff(1))
    assert (done.entered_by, done.approved_by) == (ALFA.actor_id, staff(1).actor_id)
    with pytest.raises(TermApproved):
        await approve(conn, programme, "scope", added.version, staff(2))
    with pytest.raises(NotFound):
        await approve(conn, programme, "scope", 9, staff(1))
    with pytest.raises(NotFound):
        await approve(conn, programme, "scope", 1, BETA)


async def test_the_database_itself_wants_two_people_and_the_one_who_acts(conn):
    programme = await programme_of(conn)
    await entered(conn, programme, "scope", YEAR, ALFA)
    facts = {
        "programme_id": programme.programme_id,
        "kind": "scope",
        "version": 1,
        "partner_id": ALFA.partner_id,
        "entered_by": ALFA.actor_id,
        "approved_by": ALFA.actor_id,
        "approved_at": AT,
    }
    other = staff(1).actor_id
    for change, rule in (
        ({}, "term_approval_two_people"),
        ({"entered_by": other}, "term_approval_of_term"),
        ({"approved_by": other}, "row-level security"),
    ):
        with pytest.raises(DBAPIError, match=rule):
            async with conn.begin_nested():
                await conn.execute(insert(term_approval).values(facts | change))


async def test_a_table_that_nobody_approved_is_not_used(conn):
    programme, household_ids, round_id = await a_round(conn, 1)
    await valued(conn, programme, {1: 99_000}, who=ALFA, is_approved=False)
    with pytest.raises(DBAPIError, match="calculation_basis_in_force"):
        async with conn.begin_nested():
            await basis_by_hand(conn, round_id, ALFA, value_versions=[2])
    assert await amounts(conn, round_id) == {household_ids[0]: 10_000}


async def test_without_an_approved_table_nothing_is_calculated(conn):
    programme = await programme_of(conn, values_from=date(2027, 1, 1))
    await valued(conn, programme, {1: 99_000}, who=ALFA, is_approved=False)
    await enrolled_families(conn, programme, 1)
    with pytest.raises(NoTransferValue):
        await calculated(conn, (await opened(conn, programme)).round_id)


async def test_the_most_specific_area_counts_and_who_lives_in_none_is_left_out(conn):
    programme = await programme_of(conn, values_from=date(2027, 1, 1))
    for area, minor in (("24", 11_000), ("2401", 12_000), ("15", 13_000)):
        await valued(conn, programme, {1: minor, 2: 20_000}, who=ALFA, area=area)
    homes = {}
    for place, ubigeo in enumerate(("240101", "240201", "150101", "230101")):
        receipt = await registered(conn, family(10 + place, size=1, ubigeo=ubigeo))
        await enrolled(conn, programme, receipt.household_id)
        homes[ubigeo] = receipt.household_id
    round_id = (await opened(conn, programme)).round_id
    made = await calculated(conn, round_id)
    assert made.left_out == {str(homes["230101"]): ("no_value",)}
    found = await disburse.load_entitlements(conn, round_id)
    assert {each.household_id: each.money.amount_minor for each in found} == {
        homes["240101"]: 12_000,
        homes["240201"]: 11_000,
        homes["150101"]: 13_000,
    }
    assert (await load_kept(conn, round_id)).value_versions == (2, 3, 4)


async def test_a_round_keeps_the_versions_of_its_first_page(conn):
    programme, _, round_id = await a_round(conn, 3)
    await calculated_once(conn, round_id, chunk_max=1)
    # It counts from long ago, and was approved too late for this round.
    await valued(conn, programme, {1: 1, 2: 1, 3: 1}, who=ALFA)
    await agreed(conn, programme, "schedule", {"instalments": 1}, ALFA)
    await calculated(conn, round_id)
    found = await disburse.load_entitlements(conn, round_id)
    assert sorted(each.money.amount_minor for each in found) == [10_000, 15_000, 20_000]
    assert {each.value_version for each in found} == {1}
    kept = await load_kept(conn, round_id)
    assert (kept.value_versions, kept.schedule_version) == ((1,), None)
    with pytest.raises(DBAPIError, match=r"append-only|permission denied"):
        async with conn.begin_nested():
            await conn.execute(text("UPDATE cbi.calculation_basis SET schedule_version = 1"))


async def test_who_lives_outside_the_area_is_not_enrolled(conn):
    programme = await programme_of(conn)
    await agreed(conn, programme, "scope", {"areas": ["23", "2401"]}, ALFA)
    inside = await registered(conn, family(1, ubigeo="240101"))
    outside = await registered(conn, family(2, ubigeo="240201"))
    await enrolled(conn, programme, inside.household_id)
    with pytest.raises(OutsideProgramme):
        await enrolled(conn, programme, outside.household_id)
    home = outside.household_id
    with pytest.raises(DBAPIError, match="lives outside the area"):
        async with conn.begin_nested():
            await insert_enrolment(conn, programme, home, home, ALFA)


async def test_a_round_outside_the_months_of_its_programme_is_not_opened(conn):
    programme = await programme_of(conn)
    months = {"first_month": "2026-07-01", "last_month": "2026-08-01"}
    await agreed(conn, programme, "scope", months, ALFA)
    months_of = {
        "before": (date(2026, 6, 1), date(2026, 7, 1)),
        "after": (date(2026, 8, 1), date(2026, 10, 1)),
    }
    for first, end in months_of.values():
        with pytest.raises(MonthsOutside):
            await opened(conn, programme, first=first, end=end)
    await opened(conn, programme, first=date(2026, 7, 1), end=date(2026, 9, 1))
    # The programme goes on: the next version says so.
    await agreed(conn, programme, "scope", {"first_month": "2026-07-01"}, ALFA)
    await opened(conn, programme, first=date(2026, 8, 1), end=date(2026, 10, 1))


async def month_of(conn, programme, month: int, many: int = 1):
    first, end = date(2026, month, 1), date(2026, month + many, 1)
    return (await opened(conn, programme, first=first, end=end)).round_id


async def test_after_the_last_instalment_the_household_is_not_on_the_next_list(conn):
    programme = await programme_of(conn)
    first, *_ = await enrolled_families(conn, programme, 1)
    await agreed(conn, programme, "schedule", THREE, ALFA)
    for month in (6, 7):
        assert await amounts(conn, await month_of(conn, programme, month)) == {first: 10_000}
    later, *_ = await enrolled_families(conn, programme, 1, seed=5)
    # Two months, of which one is left to the first.
    both = await month_of(conn, programme, 8, many=2)
    assert await amounts(conn, both) == {first: 10_000, later: 20_000}
    last = await month_of(conn, programme, 10)
    made = await calculated(conn, last)
    assert made.left_out == {str(first): ("instalments_done",)}
    assert made.signed.payments == 1


async def test_a_cancelled_instalment_is_still_to_come(conn):
    programme = await programme_of(conn)
    (household_id,) = await enrolled_families(conn, programme, 1)
    await agreed(conn, programme, "schedule", {"instalments": 1}, ALFA)
    round_id = await month_of(conn, programme, 7)
    await calculated(conn, round_id)
    (given,) = await disburse.load_entitlements(conn, round_id)
    await cancelled(conn, round_id, given.entitlement_id)
    assert await amounts(conn, await month_of(conn, programme, 8)) == {household_id: 10_000}


async def test_a_round_is_of_whole_instalments(conn):
    programme = await programme_of(conn)
    early = await month_of(conn, programme, 6)
    await enrolled_families(conn, programme, 1)
    quarterly = {"instalments": 2, "every_months": 3}
    await agreed(conn, programme, "schedule", quarterly, ALFA)
    with pytest.raises(InstalmentsUneven):
        await month_of(conn, programme, 7, many=2)
    with pytest.raises(InstalmentsUneven):
        await calculated(conn, early)
    assert list((await amounts(conn, await month_of(conn, programme, 7, many=3))).values()) == [
        30_000
    ]


async def test_of_two_rounds_at_once_only_one_gives_the_last_instalment(own):
    async with own.begin() as conn:
        programme = await programme_of(conn)
        await enrolled_families(conn, programme, 1)
        await agreed(conn, programme, "schedule", {"instalments": 1}, ALFA)
        round_ids = [await month_of(conn, programme, month) for month in (7, 8)]
    async with own.begin() as first:
        await calculated(first, round_ids[0])
        task = asyncio.create_task(calculate_alone(own, round_ids[1]))
        assert await own.waits(task)
    with pytest.raises(DBAPIError, match="has its instalments"):
        await task
    assert (await own.rows())["cbi.entitlement"] == 1
    async with own.begin() as conn:
        with pytest.raises(calculate.NothingToPay):
            await calculated(conn, round_ids[1])


async def calculate_alone(own, round_id) -> Calculated:
    async with own.begin() as conn:
        return await calculated(conn, round_id)


@pytest.mark.parametrize(
    ("proration", "minor"), [("full", 30_000), ("by_days", 20_000 + 5_161), ("none", 20_000)]
)
async def test_the_month_of_enrolment_is_worth_what_the_schedule_says(conn, proration, minor):
    """Enrolled on 16 July, in a round of June to September."""
    programme = await programme_of(conn)
    receipt = await registered(conn, family(1, size=1))
    await agreed(conn, programme, "schedule", {"proration": proration}, ALFA)
    await insert_enrolment(
        conn,
        programme,
        receipt.household_id,
        receipt.household_id,
        ALFA,
        at=datetime(2026, 7, 17, 2, tzinfo=UTC),  # still the 16th in Peru
    )
    round_id = await month_of(conn, programme, 6, many=4)
    assert await amounts(conn, round_id) == {receipt.household_id: minor}


async def test_who_is_enrolled_after_the_round_is_left_out_of_it(conn):
    programme = await programme_of(conn)
    household_ids = await enrolled_families(conn, programme, 1)
    await agreed(conn, programme, "schedule", {"proration": "none"}, ALFA)
    late = await registered(conn, family(9, size=1))
    at = datetime(2026, 7, 2, 12, tzinfo=UTC)
    await insert_enrolment(conn, programme, late.household_id, late.household_id, ALFA, at=at)
    made = await calculated(conn, await month_of(conn, programme, 7))
    assert made.left_out == {str(late.household_id): ("enrolled_later",)}
    assert made.signed.payments == len(household_ids)


@pytest.mark.parametrize(
    ("kind", "raw", "path"),
    [
        ("scope", {"areas": ["2"]}, ("areas",)),
        ("scope", {"areas": ["24\n"]}, ("areas",)),
        ("scope", {"first_month": "2026-01-02"}, ("first_month",)),
        ("scope", YEAR | {"last_month": "2025-12-01"}, ("last_month",)),
        ("schedule", {"instalments": 0}, ("instalments",)),
        ("schedule", {"every_months": 13}, ("every_months",)),
        ("schedule", {"proration": "half"}, ("proration",)),
        ("schedule", {"more": 1}, ()),
        ("values", {}, ("kind",)),
        ("scope", [], ()),
    ],
)
def test_a_faulty_term_is_refused_with_its_place(kind, raw, path):
    with pytest.raises(InvalidTerm) as refused:
        term.read(kind, raw, currency="PEN")
    assert tuple(refused.value.path)[: len(path)] == path


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["areas", "first_month", "instalments", "lines", "rule", "all", "fact"])
            | st.text(max_size=5),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(
    st.sampled_from(["values", "scope", "schedule", "top_up", "eligibility", "grants", "x"]), JSON
)
def test_whatever_is_sent_as_a_term_is_read_or_refused(kind, raw):
    with suppress(InvalidTerm):
        assert isinstance(term.read(kind, raw, currency="PEN"), dict)


def test_a_rule_is_not_longer_than_what_is_kept():
    areas = [f"24{place:04}" for place in range(50)]
    one = {"fact": "area", "is": "within", "value": areas}
    with pytest.raises(InvalidTerm):
        term.read("eligibility", {"rule": {"any": [one] * 60}}, currency="PEN")
    assert term.read("eligibility", {"rule": {"any": [one] * 30}}, currency="PEN")


async def test_values_past_the_program_are_whole(conn):
    programme = await programme_of(conn)
    for content in (
        {"area": "2", "amounts_minor": [1]},
        {"area": "", "amounts_minor": []},
        {"area": "", "amounts_minor": [0]},
        {"area": "", "amounts_minor": [1.5]},
        {"area": "", "amounts_minor": ["1"]},
        {"amounts_minor": [1]},
        {},
    ):
        await db.set_facts(conn, ALFA)
        with pytest.raises(DBAPIError, match="term_values_whole"):
            async with conn.begin_nested():
                await terms.add(
                    conn,
                    programme_id=programme.programme_id,
                    kind="values",
                    effective_from=date(2026, 1, 1),
                    content=content,
                    who=who_of(ALFA),
                )


async def test_a_term_can_be_approved_by_anybody_else_of_the_organisation_only(conn):
    programme = await programme_of(conn)
    added = await entered(conn, programme, "scope", YEAR, ALFA)
    assert second(ALFA) != ALFA
    found = await approved_term(conn, programme, added, ALFA)
    assert found.approved_by == second(ALFA).actor_id
    await db.set_facts(conn, BETA)
    assert await terms.load_terms(conn, programme.programme_id) == []
