"""Check households against everybody registered without registering them; nobody is stored.

What stays is who asked, when, what for and how many, and in the access log whose sealed records
were opened for it.
"""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import get_args
from uuid import UUID

import msgspec
from sqlalchemy import func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from cbi import agree, household, tables
from cbi.answered import Answer, Around, Place, Question, Status, Why, answer
from cbi.asked import ReadAsked, declines
from cbi.identities import Candidates
from cbi.import_tables import import_check
from cbi.lists import Listed, Purpose
from cbi.own import Wanted, find_own
from cbi.refusal import CheckQuotaSpent
from cbi.register import Desk
from cbi.seek import seek
from dedup.blocking import key_hasher
from dedup.find import Found
from dedup.find_all import find_within, keyed
from dedup.index import Keyed

HOUSEHOLDS_MAX = 1_000


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """The answers in the order asked, and how many persons may still be checked today."""

    clear: int
    review: int
    blocked: int
    unsearchable: int
    persons_left: int
    households: tuple[Answer, ...]


class Quota(msgspec.Struct, frozen=True, kw_only=True):
    """How many persons an organisation may check on this day, and when the next one begins."""

    persons_per_day: int
    day: date
    opens_again_at: datetime


async def check(
    conn: AsyncConnection,
    reads: Sequence[ReadAsked],
    *,
    purpose: Purpose,
    listed: Listed,
    quota: Quota,
    desk: Desk,
    partner_id: UUID,
    at: datetime,
    wanted: Wanted | None = None,
    twice: Sequence[Sequence[Place]] | None = None,
) -> Checked:
    """Search for all households together, and say of each what its partner may know.

    `wanted` says which assistance they are to get; without it nobody is blocked. `twice` says for
    each who of the list it is like, where that is known already because these are but a part of
    the list.

    Raises CheckQuotaSpent before anybody is searched. What goes wrong in the database is raised:
    an error is never "clear".
    """
    questions = [_question(read, desk=desk, on=quota.day) for read in reads]
    persons = sum(len(question.records) for question in questions)
    left = await _claim(conn, persons, quota=quota, partner_id=partner_id)
    searched = [question for question in questions if question.why is None]
    keys = await keyed([each.records for each in searched], key_hasher(desk.matching_key))
    records = [each.records for each in searched]
    opener = Candidates(conn, desk.vault)
    sought = await seek(conn, records, keys, model=desk.model, opener=opener)
    found: list[Found | Why] = ["unopened" if one is None else one for one in sought]
    if twice is None:
        twice = await _twice(questions, keys, desk=desk)
    around = Around(
        twice={each.household_id: them for each, them in zip(questions, twice, strict=True)},
        contacts=await _contacts(conn, found),
        own=await find_own(
            conn,
            questions,
            matching_key=desk.matching_key,
            partner_id=partner_id,
            wanted=wanted,
            at=at,
        ),
        coordination=(await agree.in_force(conn, quota.day))[1].contact,
    )
    by_question = dict(zip((each.household_id for each in searched), found, strict=True))
    answers = tuple(
        answer(each, each.why or by_question[each.household_id], around) for each in questions
    )
    statuses = [one.status for one in answers]
    counts = {status: statuses.count(status) for status in get_args(Status)}
    await conn.execute(
        insert(tables.duplicate_check).values(
            at=at, day=quota.day, purpose=purpose, persons=persons, **listed.column, **counts
        )
    )
    return Checked(**counts, persons_left=left, households=answers)


def _question(read: ReadAsked, *, desk: Desk, on: date) -> Question:
    asked, household_id = read.asked, desk.new_id()
    if asked is None:
        return Question(household_id=household_id, read=read, why="faulty")
    ids = [desk.new_id() for _ in asked.persons]
    places = {person_id: place for place, person_id in enumerate(ids)}
    if declines(asked, on):
        return Question(household_id=household_id, read=read, places=places, why="declined")
    records = household.records_of(
        asked.persons, household_id=household_id, person_ids=ids, ubigeo=asked.ubigeo
    )
    why: Why | None = None if records else "no_keys"
    return Question(household_id=household_id, read=read, places=places, records=records, why=why)


async def _claim(conn: AsyncConnection, persons: int, *, quota: Quota, partner_id: UUID) -> int:
    """Return what is left of the day's quota after `persons`; raises CheckQuotaSpent."""
    left = await persons_left(conn, quota=quota, partner_id=partner_id)
    if persons > left:
        raise CheckQuotaSpent(
            persons_asked=persons,
            persons_left=left,
            persons_per_day=quota.persons_per_day,
            opens_again_at=quota.opens_again_at,
        )
    return left - persons


async def persons_left(conn: AsyncConnection, *, quota: Quota, partner_id: UUID) -> int:
    """Return how many persons the organisation may compare yet today, by checks or staged files."""
    # One check of an organisation at a time, or two at once would both find room for themselves.
    await conn.execute(
        select(func.pg_advisory_xact_lock(func.hashtextextended(f"cbi.check {partner_id}", 0)))
    )
    return await show_persons_left(conn, quota=quota, partner_id=partner_id)


async def show_persons_left(conn: AsyncConnection, *, quota: Quota, partner_id: UUID) -> int:
    """Return the same for somebody to read, who waits for no check that is being made."""
    done, staged = tables.duplicate_check.c, import_check.c
    checked = select(func.coalesce(func.sum(done.persons), 0)).where(
        done.partner_id == partner_id, done.day == quota.day
    )
    compared = select(func.coalesce(func.sum(staged.persons), 0)).where(
        staged.partner_id == partner_id,
        staged.persons > 0,
        staged.checked_at >= quota.opens_again_at - timedelta(days=1),
        staged.checked_at < quota.opens_again_at,
    )
    spent = await conn.scalar(select(checked.scalar_subquery() + compared.scalar_subquery()))
    return max(quota.persons_per_day - int(spent or 0), 0)


async def find_twice(
    reads: Sequence[ReadAsked], *, desk: Desk, day: date
) -> list[tuple[Place, ...]]:
    """Say for each household which others of a list have somebody in common with it."""
    questions = [_question(read, desk=desk, on=day) for read in reads]
    searched = [question.records for question in questions if question.why is None]
    keys = await keyed(searched, key_hasher(desk.matching_key))
    return await _twice(questions, keys, desk=desk)


async def _twice(
    questions: Sequence[Question], keys: Keyed, *, desk: Desk
) -> list[tuple[Place, ...]]:
    records = [question.records for question in questions if question.why is None]
    alike = await find_within(records, keys, model=desk.model)
    row_of = {question.household_id: row for row, question in enumerate(questions)}
    rows = [sorted(row_of[one] for one in alike.get(each.household_id, ())) for each in questions]
    return [
        tuple(Place(row=row + 1, reference=questions[row].read.reference) for row in them)
        for them in rows
    ]


async def _contacts(conn: AsyncConnection, found: Sequence[Found | Why]) -> Mapping[UUID, str]:
    partner = tables.partner.c
    others = {
        pair.other_partner_id for each in found if isinstance(each, Found) for pair in each.pairs
    }
    rows = await conn.execute(
        select(partner.partner_id, partner.code, partner.contact).where(
            partner.partner_id.in_(others)
        )
    )
    return {row.partner_id: f"{row.code}: {row.contact}" for row in rows}
