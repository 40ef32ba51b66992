"""Check households against everybody registered without registering them; nobody is stored.

What stays is who asked, when, what for and how many, and in the access log whose sealed records
were opened for it.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Literal
from uuid import UUID

import msgspec
from sqlalchemy import func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from cbi import household, tables
from cbi.asked import ReadAsked, declines
from cbi.fault import Fault
from cbi.identities import Candidates
from cbi.refusal import CheckQuotaSpent
from cbi.register import Desk
from cbi.vault import Broken
from dedup import index
from dedup.blocking import Hasher, key_hasher
from dedup.explain import Told, told_match
from dedup.find import Found, Pair, find
from dedup.model import Strength
from dedup.record import Record
from dedup.score import agreeing_fields

Purpose = Literal["before_registration", "before_enrolment", "before_payment"]
Status = Literal["clear", "review", "unsearchable"]
# Why somebody was not searched, or not among everybody: the form has faults; the household said no
# to the check; nothing to search by; lost in a crowd that shares a document's number; the record
# of somebody who may be the same person can't be opened.
Why = Literal["faulty", "declined", "no_keys", "crowded", "unopened"]

HOUSEHOLDS_MAX = 200
# Who matches more households than this needs a person to look, not a longer list.
MATCHES_TOLD_MAX = 20


class Match(msgspec.Struct, frozen=True, kw_only=True):
    """Another registration of somebody of the household, as far as it may be told.

    That there is one, how many persons match, how strong, which fields agree (`says` puts it in
    words), and whom to ask.
    """

    strength: Strength
    persons: int
    agreeing: tuple[str, ...]
    says: Told
    ask: str


class Unsearched(msgspec.Struct, frozen=True, kw_only=True):
    """Persons, by their places in the household, about whom "clear" can't be said, and why."""

    persons: tuple[int, ...]
    why: Why


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one household: matches strongest first; clear only if all were searched."""

    reference: str
    status: Status
    matches: tuple[Match, ...] = ()
    matches_left_out: int = 0
    unsearched: tuple[Unsearched, ...] = ()
    faults: tuple[Fault, ...] = ()


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """The answers in the order asked, and how many persons may still be checked today."""

    clear: int
    review: int
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
    quota: Quota,
    desk: Desk,
    partner_id: UUID,
    at: datetime,
) -> Checked:
    """Search each household, and say of each what its partner may know.

    Raises CheckQuotaSpent before anybody is searched. What goes wrong in the database is raised:
    an error is never "clear".
    """
    questions = [_question(read, desk=desk, on=quota.day) for read in reads]
    persons = sum(len(question.records) for question in questions)
    left = await _claim(conn, persons, quota=quota, partner_id=partner_id)
    hasher = key_hasher(desk.matching_key)
    found = [await _search(conn, each, desk=desk, hasher=hasher) for each in questions]
    contacts = await _contacts(conn, found)
    answers = tuple(
        _answer(question, each, contacts) for question, each in zip(questions, found, strict=True)
    )
    statuses = [answer.status for answer in answers]
    counts = {
        "clear": statuses.count("clear"),
        "review": statuses.count("review"),
        "unsearchable": statuses.count("unsearchable"),
    }
    await conn.execute(
        insert(tables.duplicate_check).values(
            at=at, day=quota.day, purpose=purpose, persons=persons, **counts
        )
    )
    return Checked(**counts, persons_left=left, households=answers)


class _Question(msgspec.Struct, frozen=True, kw_only=True):
    """A household as it will be searched, under ids of this moment, or why it will not be."""

    read: ReadAsked
    places: Mapping[UUID, int] = {}
    records: tuple[Record, ...] = ()
    why: Why | None = None


def _question(read: ReadAsked, *, desk: Desk, on: date) -> _Question:
    asked = read.asked
    if asked is None:
        return _Question(read=read, why="faulty")
    ids = [desk.new_id() for _ in asked.persons]
    places = {person_id: place for place, person_id in enumerate(ids)}
    if declines(asked, on):
        return _Question(read=read, places=places, why="declined")
    records = household.records_of(
        asked.persons, household_id=desk.new_id(), person_ids=ids, ubigeo=asked.ubigeo
    )
    why: Why | None = None if records else "no_keys"
    return _Question(read=read, places=places, records=records, why=why)


async def _claim(conn: AsyncConnection, persons: int, *, quota: Quota, partner_id: UUID) -> int:
    """Return what is left of the day's quota after `persons`; raises CheckQuotaSpent."""
    # One check of an organisation at a time, or two at once would both find room for themselves.
    await conn.execute(
        select(func.pg_advisory_xact_lock(func.hashtextextended(f"cbi.check {partner_id}", 0)))
    )
    done = tables.duplicate_check.c
    spent = await conn.scalar(
        select(func.coalesce(func.sum(done.persons), 0)).where(
            done.partner_id == partner_id, done.day == quota.day
        )
    )
    left = max(quota.persons_per_day - int(spent or 0), 0)
    if persons > left:
        raise CheckQuotaSpent(
            persons_asked=persons,
            persons_left=left,
            persons_per_day=quota.persons_per_day,
            opens_again_at=quota.opens_again_at,
        )
    return left - persons


async def _search(
    conn: AsyncConnection, question: _Question, *, desk: Desk, hasher: Hasher
) -> Found | Why:
    if question.why is not None:
        return question.why
    keys = index.keyed(question.records, hasher)
    try:
        return await find(
            conn,
            question.records,
            keys,
            model=desk.model,
            opener=Candidates(conn, desk.vault),
        )
    except Broken:
        # One record that doesn't open must not silence the answers about other households.
        return "unopened"


async def _contacts(conn: AsyncConnection, found: Iterable[Found | Why]) -> Mapping[UUID, str]:
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


def _answer(question: _Question, found: Found | Why, contacts: Mapping[UUID, str]) -> Answer:
    if not isinstance(found, Found):
        everybody = Unsearched(persons=tuple(question.places.values()), why=found)
        return _told(question, "unsearchable", unsearched=(everybody,))
    unsearched = _unsearched(question, found)
    by_household: dict[UUID, list[Pair]] = {}
    for pair in found.pairs:
        by_household.setdefault(pair.other_household_id, []).append(pair)
    matches = tuple(_match(pairs, contacts) for pairs in by_household.values())
    status: Status = "review" if matches else "unsearchable" if unsearched else "clear"
    return _told(question, status, matches=matches, unsearched=unsearched)


def _told(
    question: _Question,
    status: Status,
    *,
    matches: tuple[Match, ...] = (),
    unsearched: tuple[Unsearched, ...] = (),
) -> Answer:
    return Answer(
        reference=question.read.reference,
        status=status,
        matches=matches[:MATCHES_TOLD_MAX],
        matches_left_out=max(len(matches) - MATCHES_TOLD_MAX, 0),
        unsearched=unsearched,
        faults=question.read.faults,
    )


def _unsearched(question: _Question, found: Found) -> tuple[Unsearched, ...]:
    reasons: tuple[tuple[Why, tuple[UUID, ...]], ...] = (
        ("no_keys", found.unsearched),
        ("crowded", found.crowded),
    )
    return tuple(
        Unsearched(persons=tuple(sorted(question.places[one] for one in ids)), why=why)
        for why, ids in reasons
        if ids
    )


def _match(pairs: Sequence[Pair], contacts: Mapping[UUID, str]) -> Match:
    best = pairs[0]
    return Match(
        strength=best.score.strength,
        persons=len({pair.person_id for pair in pairs}),
        agreeing=agreeing_fields(best.score.fields),
        says=told_match(best.score.strength, best.score.fields),
        ask=contacts[best.other_partner_id],
    )
