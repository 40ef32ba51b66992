"""A top-up is an entitlement of its own beside the instalment, by a condition that is data."""

from datetime import date

import pytest
from sqlalchemy import text

from api import db
from cbi import term
from cbi.disburse import load_entitlements
from cbi.entitlement import Due
from cbi.person import Person
from cbi.report import payment_rows, round_report
from cbi.term_refusal import InvalidTerm
from cbi.top_up import asks_persons, due, lines_of
from tests.cbi.agreed import agreed
from tests.cbi.world import (
    ALFA,
    approved,
    calculated,
    cancelled,
    enrolled,
    family,
    opened,
    programme_of,
    registered,
    released,
    staff,
    withdraw,
)

CHILDREN = {"code": "children", "amount": "50.00", "per": "person", "age_max": 4}
SCHOOL = {"code": "school", "amount": "20.00", "per": "household", "age_min": 5, "age_max": 17}
RENT = {"code": "rent", "amount": "10.00", "per": "household", "each": "month"}
DAY = date(2026, 7, 1)


def kept(*lines):
    return lines_of(term.read("top_up", {"lines": list(lines)}, currency="PEN"))


def born(*days: str | None) -> list[Person]:
    return [
        Person(
            given_names="Ana",
            surnames="Paz",
            birth_date=None if day is None else date.fromisoformat(day),
        )
        for day in days
    ]


@pytest.mark.parametrize(
    ("lines", "days", "once", "monthly"),
    [
        ([CHILDREN], ["1990-01-01"], 0, 0),
        ([CHILDREN], ["2021-07-01"], 0, 0),  # five on that very day
        ([CHILDREN], ["2021-07-02", "2026-06-30"], 10_000, 0),
        ([CHILDREN], [None], 0, 0),
        ([SCHOOL], ["2010-01-01", "2012-01-01"], 2_000, 0),
        ([SCHOOL], ["1990-01-01"], 0, 0),
        ([RENT], [], 0, 1_000),
        ([CHILDREN, SCHOOL, RENT], ["2024-01-01", "2012-01-01"], 7_000, 1_000),
        ([{"code": "all", "amount": "1", "per": "person"}], ["2024-01-01", None], 200, 0),
    ],
)
def test_what_is_due_follows_from_the_lines_and_the_ages(lines, days, once, monthly):
    assert due(kept(*lines), born(*days), DAY) == Due(once_minor=once, monthly_minor=monthly)


def test_who_lives_elsewhere_counts_for_nothing_and_an_age_that_may_not_fit_neither():
    (child,) = born("2024-01-01")
    away = Person(given_names="A", surnames="B", birth_date=DAY, lives_in_household=False)
    maybe = Person(
        given_names="A", surnames="B", birth_date=date(2021, 6, 1), birth_precision="year"
    )
    assert due(kept(CHILDREN), [child, away, maybe], DAY) == Due(once_minor=5_000)
    assert [asks_persons(kept(line)) for line in (CHILDREN, SCHOOL, RENT)] == [True, True, False]


@pytest.mark.parametrize(
    ("line", "path"),
    [
        (CHILDREN | {"amount": "0"}, ("lines", 0, "amount")),
        (CHILDREN | {"amount": "1.001"}, ("lines", 0, "amount")),
        (CHILDREN | {"amount": 5}, ("lines", "0", "amount")),
        (CHILDREN | {"age_min": 9}, ("lines", 0, "age_max")),
        (CHILDREN | {"code": "X"}, ("lines", "0", "code")),
        (CHILDREN | {"per": "child"}, ("lines", "0", "per")),
        (CHILDREN | {"sex": "F"}, ("lines", "0")),
    ],
)
def test_a_faulty_line_is_refused_with_its_place(line, path):
    with pytest.raises(InvalidTerm) as refused:
        kept(line)
    assert tuple(refused.value.path) in (path, tuple(p if p != "0" else "..." for p in path))


def with_children(seed: int, *days: str) -> dict:
    raw = family(seed, size=1 + len(days))
    for person, day in zip(raw["persons"][1:], days, strict=True):
        person["birth_date"] = day
    return raw


async def two_families(conn, *lines, schedule=None):
    programme = await programme_of(conn)
    await agreed(conn, programme, "top_up", {"lines": list(lines)}, ALFA)
    if schedule:
        await agreed(conn, programme, "schedule", schedule, ALFA)
    homes = []
    for raw in (with_children(1, "2024-01-01", "2025-01-01"), with_children(2, "2012-01-01")):
        receipt = await registered(conn, raw)
        await enrolled(conn, programme, receipt.household_id)
        homes.append(receipt.household_id)
    return programme, homes


async def amounts(conn, round_id) -> set:
    found = await load_entitlements(conn, round_id)
    return {(each.household_id, each.kind, each.money.amount_minor) for each in found}


async def test_a_top_up_stands_beside_the_instalment_and_is_paid_with_it(conn):
    programme, (first, second) = await two_families(conn, CHILDREN)
    round_id = (await opened(conn, programme)).round_id
    await approved(conn, round_id)
    assert await amounts(conn, round_id) == {
        (first, "instalment", 20_000),
        (first, "top_up", 10_000),
        (second, "instalment", 15_000),
    }
    assert (await released(conn, round_id)).payments == 3
    rows = await payment_rows(conn, round_id=round_id, after=None, limit=9)
    assert sorted(row.kind for row in rows) == ["instalment", "instalment", "top_up"]
    report = await round_report(conn, round_id=round_id)
    assert report.ties
    assert {kind: sums.amount_minor for kind, sums in report.by_kind.items()} == {
        "instalment": 35_000,
        "top_up": 10_000,
    }


@pytest.mark.parametrize("chunk_max", [1, 2, 10])
async def test_pages_and_chunks_may_part_a_family_from_its_top_up(conn, chunk_max):
    programme, (first, second) = await two_families(conn, CHILDREN, RENT)
    await withdraw(conn, second)
    third = await registered(conn, family(30, size=1))
    await enrolled(conn, programme, third.household_id)
    round_id = (await opened(conn, programme)).round_id
    made = await calculated(conn, round_id, chunk_max=chunk_max)
    assert made.left_out == {str(second): ("consent",)}
    assert made.signed.payments == 4
    assert {row[0] for row in await amounts(conn, round_id)} == {first, third.household_id}


async def test_a_monthly_line_is_paid_for_the_months_that_the_instalment_is(conn):
    schedule = {"instalments": 2}
    programme, (first, second) = await two_families(conn, RENT, schedule=schedule)
    end = date(2026, 10, 1)
    round_id = (await opened(conn, programme, first=DAY, end=end)).round_id
    await calculated(conn, round_id)
    assert await amounts(conn, round_id) == {
        (first, "instalment", 40_000),
        (first, "top_up", 2_000),
        (second, "instalment", 30_000),
        (second, "top_up", 2_000),
    }
    # Top-ups are no instalments, and nobody gets one without the other.
    following = await opened(conn, programme, first=end, end=date(2026, 11, 1))
    late = await registered(conn, family(40, size=1))
    await enrolled(conn, programme, late.household_id)
    made = await calculated(conn, following.round_id)
    assert made.left_out == dict.fromkeys(map(str, (first, second)), ("instalments_done",))


async def test_with_its_instalment_a_family_loses_its_top_up_and_not_the_other_way(conn):
    programme, (first, second) = await two_families(conn, CHILDREN, RENT)
    round_id = (await opened(conn, programme)).round_id
    await calculated(conn, round_id)
    ids = {
        (each.household_id, each.kind): each.entitlement_id
        for each in await load_entitlements(conn, round_id)
    }
    await cancelled(conn, round_id, ids[first, "instalment"])
    await cancelled(conn, round_id, ids[second, "top_up"])
    assert await amounts(conn, round_id) == {(second, "instalment", 15_000)}


@pytest.mark.parametrize(("line", "many"), [(RENT, 0), (CHILDREN, 2)])
async def test_who_is_counted_by_age_is_opened_and_that_is_logged(conn, line, many):
    programme, _ = await two_families(conn, line)
    # Nobody is opened who is not paid.
    declined = await registered(conn, family(60))
    await enrolled(conn, programme, declined.household_id)
    await withdraw(conn, declined.household_id)
    await calculated(conn, (await opened(conn, programme)).round_id)
    await db.set_facts(conn, staff(5, roles={"auditor"}))
    logged = text("SELECT count(*) FROM cbi.access_log WHERE purpose = 'top-up'")
    assert await conn.scalar(logged) == many
