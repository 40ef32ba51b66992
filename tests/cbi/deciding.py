"""Short ways to open cases between registrations, decide them, and take decisions back."""

from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from api import clock, db
from dedup import judge
from dedup.case import in_force
from tests.cbi.world import ALFA, AT, PARTNER_B, family, judged, judged_by, registered, staff
from tests.conftest import PARTNER_A

SEPARATE = ("household_split", "relative", "different")
OTHER_VERDICTS = ("same_person", "data_error", *SEPARATE)


async def household(conn, seed, who=ALFA) -> UUID:
    return (await registered(conn, family(seed, size=2), who)).household_id


async def case_between(conn, one: UUID, other: UUID, *, reopens: UUID | None = None) -> UUID:
    """Open a case between two households of partner A, as matching would."""
    low, high = sorted((one, other))
    await db.set_facts(conn, ALFA)
    return await conn.scalar(
        text(
            "INSERT INTO dedup.match_case (household_a, household_b, partner_a, partner_b, reason,"
            " opened_at, opened_by, model_id, strength_bits, reopens) VALUES (:low, :high,"
            " :partner, :partner, 'duplicate', :at, :by, 'm', 9, :reopens) RETURNING case_id"
        ),
        {
            "low": low,
            "high": high,
            "partner": PARTNER_A,
            "at": AT,
            "by": ALFA.actor_id,
            "reopens": reopens,
        },
    )


async def place(conn, case_id: UUID, households, families):
    """Ask the door to place registrations into families."""
    moved = await conn.execute(
        text(
            "SELECT joined, parted FROM cbi.place_families(:case_id, :households ::uuid[],"
            " :families ::integer[], :at)"
        ),
        {"case_id": case_id, "households": households, "families": families, "at": AT},
    )
    return tuple(moved.one())


async def refused(conn, case_id: UUID, households, families) -> None:
    await db.set_facts(conn, ALFA)
    with pytest.raises(DBAPIError, match="families follow the decisions"):
        async with conn.begin_nested():
            await place(conn, case_id, households, families)


async def history(conn):
    rows = await conn.execute(
        text(
            "SELECT household_id, beneficiary_id, case_id FROM cbi.membership"
            " ORDER BY membership_no"
        )
    )
    return [tuple(row) for row in rows]


async def taken_back(conn, case_id: UUID, verdict: str):
    """Let both organisations say something else of a decided case than they did."""
    answer = None
    for partner_id in (PARTNER_A, PARTNER_B):
        await db.set_facts(conn, staff(9, partner_id, {"adjudicator"}))
        view = await judge.load_case(conn, case_id)
        word = next(
            one.judgement_id for one in in_force(view.judgements) if one.partner_id == partner_id
        )
        answer = await judged_by(conn, case_id, verdict, partner_id, supersedes=word)
    return answer


async def join(conn, one, other, *, partners=(PARTNER_A, PARTNER_B)):
    """Let two reviewers find two registrations to be one family."""
    sides = sorted(zip((one, other), partners, strict=True), key=lambda side: side[0])
    await db.set_facts(conn, ALFA)
    case_id = await conn.scalar(
        text(
            "INSERT INTO dedup.match_case (household_a, partner_a, household_b, partner_b, reason,"
            " opened_at, opened_by, model_id, strength_bits) VALUES (:a, :pa, :b, :pb,"
            " 'duplicate', :at, :by, 'm', 9) RETURNING case_id"
        ),
        {
            "a": sides[0][0],
            "pa": sides[0][1],
            "b": sides[1][0],
            "pb": sides[1][1],
            "at": AT,
            "by": ALFA.actor_id,
        },
    )
    await judged(conn, case_id, "same_household")


async def insert_enrolment(conn, programme, household_id, beneficiary_id, who, *, at=None):
    """Enrol past the program."""
    await db.set_facts(conn, who)
    await conn.execute(
        text(
            "INSERT INTO cbi.enrolment (enrolment_id, programme_id, partner_id, household_id,"
            " beneficiary_id, assistance_group, enrolled_at, enrolled_by) VALUES (:id,"
            " :programme_id, :partner_id, :household_id, :beneficiary_id, 'mpca',"
            " coalesce(:at ::timestamptz, now()), :id)"
        ),
        {
            "id": clock.new_id(),
            "programme_id": programme.programme_id,
            "partner_id": who.partner_id,
            "household_id": household_id,
            "beneficiary_id": beneficiary_id,
            "at": at,
        },
    )
