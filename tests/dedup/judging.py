"""Short ways to find pairs, open cases and judge them, as matching and organisations would."""

from datetime import UTC, datetime
from itertools import pairwise
from uuid import UUID, uuid4

import msgspec
from sqlalchemy import text

from api import db
from dedup import judge
from dedup.case import Case, CaseView
from dedup.find import Found, Pair
from dedup.judge import Matched, Said
from dedup.model import FieldEvidence, load
from dedup.score import Score
from tests.conftest import PARTNER_A, PARTNER_B, actor

AT = datetime(2026, 6, 1, 12, tzinfo=UTC)
PARTNER_C = UUID("00000000-0000-4000-8000-00000000000c")
PARTNER_D = UUID("00000000-0000-4000-8000-00000000000d")
MODEL = load()
# What a batch run acts as: no organisation, and a role that no key has.
MATCHER = db.Actor(
    actor_id=UUID(int=0), partner_id=UUID(int=0), partner_code="", roles=frozenset({"matcher"})
)


class Person(msgspec.Struct, frozen=True):
    """Somebody by id, of a household by id."""

    person_id: UUID
    household_id: UUID


def somebody(household_id: UUID | None = None) -> Person:
    return Person(uuid4(), household_id or uuid4())


def scored(bits: float = 12.0, model_id: str = MODEL.model_id, **levels: str) -> Score:
    """A score of this weight; each field by its level, and "agrees" when it begins so."""
    levels = levels or {"name": "agrees", "document": "missing"}
    fields = tuple(
        FieldEvidence(field=field, level=level, bits=_bits(level), kin_bits=0.0)
        for field, level in levels.items()
    )
    strength = "strong" if bits >= MODEL.strong_bits else "possible"
    return Score(
        weight_bits=bits, probability=0.5, model_id=model_id, strength=strength, fields=fields
    )


def _bits(level: str) -> float:
    return 0.0 if level == "missing" else 4.0 if level.startswith("agrees") else -4.0


def pair_of(
    mine: Person, theirs: Person, score: Score | None = None, other_partner_id: UUID = PARTNER_B
) -> Pair:
    return Pair(
        person_id=mine.person_id,
        household_id=mine.household_id,
        other_person_id=theirs.person_id,
        other_household_id=theirs.household_id,
        other_partner_id=other_partner_id,
        score=score or scored(),
    )


def matched(*pairs: Pair, partner_id: UUID = PARTNER_A) -> list[Matched]:
    return [Matched(pair=pair, partner_id=partner_id) for pair in pairs]


async def as_actor(conn, partner_id: UUID, *roles: str) -> db.Actor:
    who = actor(partner_id, *roles)
    await db.set_facts(conn, who)
    return who


async def found_by(conn, *pairs: Pair, opened_as: UUID = PARTNER_A) -> list[Case]:
    """Let a registrar of `opened_as` open cases for what was found; the others are of B."""
    who = await as_actor(conn, opened_as, "registrar")
    return await judge.open_cases(
        conn,
        pairs[0].household_id,
        Found(pairs=pairs),
        partner_id=PARTNER_A,
        model=MODEL,
        at=AT,
        actor_id=who.actor_id,
    )


async def open_case(conn, mine: Person | None = None, theirs: Person | None = None, **more) -> Case:
    (case,) = await found_by(conn, pair_of(mine or somebody(), theirs or somebody()), **more)
    return case


async def chain(conn, length: int) -> list:
    """Cases between each two of `length` + 1 households in a row, by id."""
    homes = [somebody() for _ in range(length + 1)]
    opened = []
    for one, other in pairwise(homes):
        opened += await found_by(conn, pair_of(one, other))
    return sorted(opened, key=lambda case: case.case_id)


async def say(
    conn, case: Case, partner_id: UUID, verdict: str, who=None, *, supersedes=None, at=AT
) -> CaseView:
    who = who or actor(partner_id, "adjudicator")
    await db.set_facts(conn, who)
    return await judge.judge(
        conn, case.case_id, said(partner_id, verdict, who, at), supersedes=supersedes
    )


async def insert_judgement(conn, case, who, supersedes=None) -> None:
    """Judge past the program."""
    await db.set_facts(conn, who)
    await conn.execute(
        text(
            "INSERT INTO dedup.judgement"
            " (case_id, verdict, actor_id, partner_id, reason, judged_at, supersedes)"
            " VALUES (:case_id, 'different', :actor_id, :partner_id, '', :at, :supersedes)"
        ),
        {
            "case_id": case.case_id,
            "actor_id": who.actor_id,
            "partner_id": who.partner_id,
            "at": AT,
            "supersedes": supersedes,
        },
    )


def said(partner_id: UUID, verdict: str, who: db.Actor, at: datetime = AT) -> Said:
    return Said(
        verdict=verdict,
        reason="seen together",
        actor_id=who.actor_id,
        partner_id=partner_id,
        at=at,
    )


async def decide(conn, case: Case, verdict: str) -> CaseView:
    """Let the two organisations of a case agree."""
    await say(conn, case, PARTNER_A, verdict)
    return await say(conn, case, PARTNER_B, verdict)


async def view_of(conn, case: Case | UUID) -> CaseView:
    await as_actor(conn, PARTNER_A, "auditor")
    return await judge.load_case(conn, case.case_id if isinstance(case, Case) else case)


async def cases_between(conn, mine: Person, theirs: Person) -> list[CaseView]:
    """All cases of two households, oldest first."""
    await as_actor(conn, PARTNER_A, "auditor")
    found = await conn.scalars(
        text(
            "SELECT case_id FROM dedup.match_case WHERE :one IN (household_a, household_b)"
            " AND :other IN (household_a, household_b)"
        ),
        {"one": mine.household_id, "other": theirs.household_id},
    )
    return await judge.list_cases(conn, case_ids=list(found), limit=200)
