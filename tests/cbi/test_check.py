"""Checking without registering: told as much as a receipt tells, and nobody is stored."""

import asyncio
from copy import deepcopy
from datetime import UTC, date, datetime
from uuid import uuid5

import msgspec
import pytest
from asyncpg import UndefinedFunctionError
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError

from api import clock, db
from cbi import answered, asked, check, check_tables, lists
from cbi.answered import MATCHES_TOLD_MAX
from cbi.check import HOUSEHOLDS_MAX, Quota
from cbi.lists import CheckList, Listed
from cbi.refusal import CheckQuotaSpent
from cbi.register import Desk
from cbi.vault import Vault
from dedup import find
from tests.cbi.test_register import access, clear_values, everything
from tests.cbi.world import (
    ALFA,
    AT,
    BETA,
    DESK,
    PARTNER_B,
    TODAY,
    add_partners,
    again,
    count,
    erase,
    family,
    registered,
    staff,
    withdraw,
)

TOMORROW = datetime(2026, 6, 2, 5, tzinfo=UTC)


def quota(persons_per_day: int = 2000, day: date = TODAY) -> Quota:
    return Quota(persons_per_day=persons_per_day, day=day, opens_again_at=TOMORROW)


def light(raw) -> dict[str, object]:
    """Who the persons of a registration are, and nothing else."""
    names = ("given_names", "surnames", "birth_date", "sex", "documents", "phones")
    people = [{name: one[name] for name in names if name in one} for one in raw["persons"]]
    return {"persons": people}


async def a_list(conn, who=BETA, **more) -> Listed:
    """A named list of the organisation, the same one all day."""
    opened = CheckList(
        list_id=uuid5(who.partner_id, str(more)),
        **{"name": f"list {more}", "purpose": "before_payment", "until": date(2026, 6, 30), **more},
    )
    column = check_tables.check_list.c
    known = select(column.list_id).where(column.list_id == opened.list_id)
    if await conn.scalar(known) is None:
        await lists.open_list(conn, opened, at=AT)
    return Listed(kind="list", list_id=opened.list_id)


async def checked(conn, *raws, who=BETA, desk=DESK, **more):
    await db.set_facts(conn, who, request_id="request-7")
    return await check.check(
        conn,
        [asked.read(raw, today=TODAY) for raw in raws],
        listed=more.pop("listed", None) or await a_list(conn, who),
        **{"purpose": "before_payment", "quota": quota(), **more},
        desk=desk,
        partner_id=who.partner_id,
        at=AT,
    )


async def test_a_check_tells_what_a_receipt_tells_and_not_more(conn):
    mine = await registered(conn, family(1))
    told = await checked(conn, again(family(1)), family(2))
    match, nobody = told.households
    (found,) = match.matches
    (flag,) = (await registered(conn, again(family(1)), BETA)).flags
    for field in ("strength", "persons", "agreeing", "ask"):
        assert getattr(found, field) == getattr(flag, field)
    assert found.ask == "ALFA: ask@ALFA.example"
    assert (match.status, nobody.status, nobody.matches) == ("review", "clear", ())
    assert (told.review, told.clear, told.unsearchable) == (1, 1, 0)
    shown = msgspec.json.encode(told).decode()
    assert str(mine.household_id) not in shown
    assert not any(str(person_id) in shown for person_id in mine.person_ids)
    values = clear_values(family(1)) - {family(1)["reference"]}
    assert {value for value in values if value in shown} == set()


async def test_persons_alone_are_enough_and_more_of_a_registration_may_stand_beside(conn):
    await registered(conn, family(1))
    told = await checked(
        conn, light(family(1)), family(1), {"reference": "R-9", **light(family(2))}
    )
    assert [answer.status for answer in told.households] == ["review", "review", "clear"]
    assert [answer.reference for answer in told.households] == ["", family(1)["reference"], "R-9"]


async def test_nobody_who_is_checked_is_stored(own):
    async with own.begin() as conn:
        await registered(conn, family(1))
    before = await own.rows()
    stranger = family(77)
    stranger["persons"][0]["specific_needs"] = ["gbv_survivor"]
    async with own.begin(BETA) as conn:
        told = await checked(conn, again(family(1)), stranger, stranger | {"persons": []})
    assert [answer.status for answer in told.households] == ["review", "clear", "unsearchable"]
    after = await own.rows()
    assert {
        table: after[table] - before[table] for table in after if after[table] > before[table]
    } == {
        "cbi.duplicate_check": 1,
        "cbi.check_list": 1,
        "cbi.access_log": 1,
    }
    async with own.owner.connect() as conn:
        dump = (await everything(conn)).casefold()
    values = clear_values(stranger)
    assert len(values) > 10
    assert {value for value in values if value.casefold() in dump} == set()


async def test_a_check_leaves_who_asked_when_what_for_and_how_many(conn):
    mine = await registered(conn, family(1))
    await checked(conn, again(family(1)), family(2, size=3), family(3) | {"persons": []})
    assert (await access(conn))[-1] == (
        mine.household_id,
        BETA.actor_id,
        PARTNER_B,
        "duplicate check",
        "request-7",
    )
    rows = await conn.execute(
        text(
            "SELECT at, day, actor_id, partner_id, request_id, purpose, persons, clear, review,"
            " unsearchable FROM cbi.duplicate_check"
        )
    )
    assert [tuple(row) for row in rows] == [
        (AT, TODAY, BETA.actor_id, PARTNER_B, "request-7", "before_payment", 5, 1, 1, 1)
    ]
    await db.set_facts(conn, ALFA)
    assert await count(conn, "cbi.duplicate_check") == 0


async def test_a_household_that_declines_is_not_searched(conn):
    mine = await registered(conn, family(1))
    told = await checked(conn, again(family(1, duplicate_check=False)))
    (answer,) = told.households
    assert (answer.status, answer.matches) == ("unsearchable", ())
    assert answer.unsearched == (answered.Unsearched(persons=(0, 1), why="declined"),)
    assert await access(conn) == []
    withdrawn = again(family(1))
    withdrawn["consents"][2]["withdrawn_on"] = "2026-03-01"
    assert (await checked(conn, withdrawn)).households[0].unsearched[0].why == "declined"
    assert mine.status == "clear"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"given_names": "123"}, "name_letters"),
        ({"birth_date": "2031-01-01"}, "date_future"),
        ({"given_names": ""}, "text_empty"),
        ({"documents": [{"type": "pe-dni", "number": "12345"}]}, "document_short"),
    ],
)
async def test_a_household_with_faults_is_told_them_and_stops_no_other(conn, change, code):
    await registered(conn, family(1))
    faulty = light(again(family(1)))
    faulty["persons"][0] |= change
    told = await checked(conn, faulty, light(family(1)))
    answer, other = told.households
    assert (answer.status, other.status) == ("unsearchable", "review")
    assert answer.unsearched[0].why == "faulty"
    assert code in {fault.code for fault in answer.faults}
    assert all(fault.path.startswith("persons[0].") for fault in answer.faults)


@pytest.mark.parametrize("raw", [None, [], "x", {}, {"persons": "x"}, {"persons": [None]}])
async def test_what_is_no_household_is_unsearchable(conn, raw):
    (answer,) = (await checked(conn, raw)).households
    assert answer.status == "unsearchable"
    assert answer.faults


async def test_a_field_that_is_no_registrations_is_a_fault(conn):
    (answer,) = (await checked(conn, light(family(1)) | {"surname": "x"})).households
    assert [(fault.path, fault.code) for fault in answer.faults] == [("surname", "field_unknown")]


async def test_who_has_nothing_to_search_by_is_never_clear(conn):
    nameless = {"persons": [{"given_names": "Ana", "surnames": ""}]}
    elsewhere = deepcopy(light(family(2)))
    for one in elsewhere["persons"]:
        one["lives_in_household"] = False
    told = await checked(conn, nameless, elsewhere)
    assert [answer.status for answer in told.households] == ["unsearchable"] * 2
    assert [answer.unsearched[0].why for answer in told.households] == ["no_keys"] * 2


async def test_one_person_who_can_not_be_searched_is_told_beside_a_match(conn):
    await registered(conn, family(1))
    raw = light(family(1))
    raw["persons"].append({"given_names": "Ana", "surnames": ""})
    (answer,) = (await checked(conn, raw)).households
    assert answer.status == "review"
    assert answer.unsearched == (answered.Unsearched(persons=(2,), why="no_keys"),)


async def test_a_document_that_a_crowd_shares_is_never_clear(conn, monkeypatch):
    monkeypatch.setitem(find.find.__kwdefaults__, "limits", find.Limits(per_document=2))
    number = family(1)["persons"][0]["documents"]
    for seed in (11, 12, 13):
        raw = family(seed, size=1)
        raw["persons"][0]["documents"] = number
        await registered(conn, raw)
    stranger = light(family(20, size=1))
    stranger["persons"][0]["documents"] = number
    (answer,) = (await checked(conn, stranger)).households
    assert answer.status == "unsearchable"
    assert answer.unsearched == (answered.Unsearched(persons=(0,), why="crowded"),)
    raw = again(family(20, size=1))
    raw["persons"][0]["documents"] = number
    (flag,) = (await registered(conn, raw, BETA)).flags
    assert (flag.reason, flag.why) == ("unchecked", "crowded")


async def test_a_record_that_does_not_open_is_never_clear(conn):
    await registered(conn, family(1))
    for keys in ({"other": b"k" * 32}, {"test": b"x" * 32}):
        desk = Desk(
            vault=Vault(keys), matching_key=DESK.matching_key, model=DESK.model, new_id=clock.new_id
        )
        told = await checked(conn, again(family(1)), family(2), desk=desk)
        assert [answer.status for answer in told.households] == ["unsearchable", "clear"]
        assert told.households[0].unsearched[0].why == "unopened"
    # Its being tried is in the access log all the same.
    assert len(await access(conn)) == 2


async def test_trouble_in_the_database_is_an_error(own):
    async with own.owner.begin() as conn:
        await conn.execute(text("DROP FUNCTION cbi.sealed_persons(uuid[])"))
    async with own.begin() as conn:
        await registered(conn, family(1))
    with pytest.raises(UndefinedFunctionError):
        async with own.begin(BETA) as conn:
            await checked(conn, again(family(1)))
    assert (await own.rows())["cbi.duplicate_check"] == 0


async def test_the_erased_and_who_withdrew_are_found_no_more(conn):
    erased, withdrawn = [await registered(conn, family(seed)) for seed in (1, 2)]
    await erase(conn, erased.household_id)
    await withdraw(conn, withdrawn.household_id, "duplicate_check")
    told = await checked(conn, again(family(1)), again(family(2)))
    assert [answer.status for answer in told.households] == ["clear", "clear"]


async def test_matches_beyond_a_screenful_are_counted(conn):
    for place in range(MATCHES_TOLD_MAX + 3):
        await registered(conn, family(1, size=1, reference=f"R-{place}"))
    (answer,) = (await checked(conn, light(family(1, size=1)))).households
    assert len(answer.matches) == MATCHES_TOLD_MAX
    assert answer.matches_left_out == 3


async def test_a_quota_is_counted_by_organisation_and_day(conn):
    three = family(1, size=3)
    assert (await checked(conn, three, quota=quota(7))).persons_left == 4
    assert (await checked(conn, three, quota=quota(7), who=staff(5, PARTNER_B))).persons_left == 1
    await registered(conn, family(2))
    opened = await access(conn)
    with pytest.raises(CheckQuotaSpent) as refused:
        await checked(conn, family(2), quota=quota(7))
    assert vars(refused.value) == {
        "persons_asked": 2,
        "persons_left": 1,
        "persons_per_day": 7,
        "opens_again_at": TOMORROW,
        "households_fit": 0,
    }
    assert await access(conn) == opened
    assert (await checked(conn, family(2, size=1), quota=quota(7))).persons_left == 0
    # What is not searched costs nothing.
    await checked(conn, family(3) | {"persons": []}, quota=quota(7))
    assert (await checked(conn, three, quota=quota(7), who=ALFA)).persons_left == 4
    assert (await checked(conn, three, quota=quota(7, date(2026, 6, 2)))).persons_left == 4


async def test_two_checks_at_once_do_not_both_take_the_last_of_a_quota(own):
    begun = asyncio.Barrier(4)
    async with own.begin(BETA) as conn:
        listed = await a_list(conn)

    async def run(seed):
        async with own.begin(BETA) as conn:
            await begun.wait()
            return await checked(conn, family(seed, size=3), quota=quota(7), listed=listed)

    ended = await asyncio.gather(*map(run, range(4)), return_exceptions=True)
    assert sorted(type(one).__name__ for one in ended) == ["CheckQuotaSpent"] * 2 + ["Checked"] * 2


async def test_nobody_writes_a_check_in_another_name_and_none_is_taken_back(conn):
    await checked(conn, family(1))
    for statement in (
        "DELETE FROM cbi.duplicate_check",
        "UPDATE cbi.duplicate_check SET persons = 0",
    ):
        with pytest.raises(DBAPIError, match="permission denied"):
            async with conn.begin_nested():
                await conn.execute(text(statement))
    with pytest.raises(DBAPIError, match="row-level security"):
        async with conn.begin_nested():
            await conn.execute(
                text(
                    "INSERT INTO cbi.duplicate_check (at, day, purpose, persons, clear, review,"
                    " blocked, unsearchable, partner_id) VALUES (now(), '2026-06-01',"
                    " 'before_payment', 1, 1, 0, 0, 0, :partner_id)"
                ),
                {"partner_id": ALFA.partner_id},
            )


async def test_a_check_reads_as_the_registration_would(conn):
    """What a registration finds, the check of it finds, and the other way round."""
    await add_partners(conn)
    for seed in range(1, 6):
        await registered(conn, family(seed))
    for seed in range(3, 9):
        raw = again(family(seed))
        raw["persons"][0]["given_names"] = raw["persons"][0]["given_names"].split()[0]
        (answer,) = (await checked(conn, raw)).households
        receipt = await registered(conn, raw, BETA)
        assert answer.status == receipt.status
        assert [match.persons for match in answer.matches] == [
            flag.persons for flag in receipt.flags
        ]


def test_a_thousand_households_are_the_most():
    assert HOUSEHOLDS_MAX == 1000
