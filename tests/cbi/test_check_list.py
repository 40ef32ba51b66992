"""A list that is checked is one's own and in use, and who stands twice in it is told."""

from datetime import timedelta
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from api import db
from cbi import lists
from cbi.answered import Place
from cbi.lists import Listed
from cbi.refusal import ListNotActive, NotFound
from tests.cbi.test_check import a_list, checked, light
from tests.cbi.world import (
    ALFA,
    AT,
    BETA,
    TODAY,
    a_round,
    again,
    approved,
    family,
    registered,
    released,
)


async def active(conn, list_id, who=BETA, purpose="before_payment", day=TODAY) -> Listed:
    await db.set_facts(conn, who)
    return await lists.active(conn, list_id, purpose=purpose, partner_id=who.partner_id, day=day)


async def test_a_person_twice_in_a_list_is_told_with_the_other_place(conn):
    told = await checked(
        conn,
        {"reference": "R-1", **light(family(1))},
        {"reference": "R-2", **light(family(2))},
        {"reference": "R-3", **light(again(family(1)))},
    )
    first, second, third = told.households
    assert (first.twice, third.twice) == (
        (Place(row=3, reference="R-3"),),
        (Place(row=1, reference="R-1"),),
    )
    assert (first.status, first.reason, first.contact) == ("review", "twice_in_list", "")
    assert (second.status, second.twice) == ("clear", ())


async def test_a_match_with_others_weighs_more_than_being_twice(conn):
    await registered(conn, family(1))
    told = await checked(conn, light(family(1)), light(family(1)))
    assert {one.reason for one in told.households} == {"possible_match"}
    assert told.households[0].contact == "ALFA: ask@ALFA.example"
    assert told.households[0].twice == (Place(row=2, reference=""),)


async def test_who_declined_is_not_compared_within_the_list_either(conn):
    told = await checked(conn, again(family(1, duplicate_check=False)), light(family(1)))
    assert [one.status for one in told.households] == ["unsearchable", "clear"]


async def test_a_named_list_may_be_checked_until_its_last_day_and_for_its_purpose(conn):
    await db.set_facts(conn, BETA)
    listed = await a_list(conn, until=TODAY)
    assert await active(conn, listed.list_id) == listed
    with pytest.raises(ListNotActive):
        await active(conn, listed.list_id, day=TODAY + timedelta(days=1))
    with pytest.raises(ListNotActive):
        await active(conn, listed.list_id, purpose="before_enrolment")


async def test_a_foreign_list_and_an_unknown_one_are_not_found(conn):
    await db.set_facts(conn, ALFA)
    theirs = await a_list(conn, ALFA)
    programme, _, round_id = await a_round(conn, families=1)
    for list_id in (theirs.list_id, programme.programme_id, round_id, uuid4()):
        with pytest.raises(NotFound):
            await active(conn, list_id)


async def test_a_programme_and_a_round_that_is_not_released_are_lists(conn):
    programme, _, round_id = await a_round(conn, families=1)
    assert (await active(conn, programme.programme_id, ALFA)).kind == "programme"
    assert (await active(conn, round_id, ALFA)).kind == "round"
    with pytest.raises(ListNotActive):
        await active(conn, round_id, ALFA, purpose="before_registration")
    await approved(conn, round_id)
    await released(conn, round_id)
    with pytest.raises(ListNotActive):
        await active(conn, round_id, ALFA)


async def test_the_database_itself_takes_no_check_of_a_list_that_is_over(conn):
    await db.set_facts(conn, BETA)
    over = await a_list(conn, until=TODAY)
    for more in ({"purpose": "before_registration"}, {"day": TODAY + timedelta(days=1)}):
        facts = {"list_id": over.list_id, "purpose": "before_payment", "day": TODAY, "at": AT}
        with pytest.raises(IntegrityError, match="no active list"):
            async with conn.begin_nested():
                await conn.execute(
                    text(
                        "INSERT INTO cbi.duplicate_check (at, day, purpose, persons, clear, review,"
                        " blocked, unsearchable, list_id)"
                        " VALUES (:at, :day, :purpose, 1, 1, 0, 0, 0, :list_id)"
                    ),
                    facts | more,
                )
    with pytest.raises(IntegrityError, match="duplicate_check_of_one"):
        async with conn.begin_nested():
            await conn.execute(
                text(
                    "INSERT INTO cbi.duplicate_check (at, day, purpose, persons, clear, review,"
                    " blocked, unsearchable) VALUES (:at, :day, 'before_payment', 1, 1, 0, 0, 0)"
                ),
                {"day": TODAY, "at": AT},
            )


async def test_a_check_is_written_down_with_its_list(conn):
    programme, _, _ = await a_round(conn, families=1)
    listed = await active(conn, programme.programme_id, ALFA)
    await checked(conn, family(7), who=ALFA, listed=listed)
    row = await conn.execute(
        text("SELECT programme_id, round_id, list_id FROM cbi.duplicate_check")
    )
    assert tuple(row.one()) == (programme.programme_id, None, None)


@pytest.mark.parametrize("days", [-1, 184])
async def test_a_list_lasts_half_a_year_at_most(conn, days):
    await db.set_facts(conn, BETA)
    with pytest.raises(IntegrityError, match="check_list_ends"):
        async with conn.begin_nested():
            await a_list(conn, until=TODAY + timedelta(days=days))
