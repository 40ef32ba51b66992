"""Judge match cases; what the decisions in force say of two registrations, families follow."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from cbi import partners, tables
from cbi.refusal import BadValue
from dedup import judge
from dedup.case import CaseView
from dedup.cluster import Conflict, Families, Tie, families
from dedup.judge import Said


class Adjudicated(msgspec.Struct, frozen=True, kw_only=True):
    """Cases after a judgement, and how many registrations moved to another family.

    `conflicts` are decisions that join and are not carried out, because others around these
    cases contradict them.
    """

    cases: tuple[CaseView, ...]
    households_joined: int = 0
    households_parted: int = 0
    conflicts: tuple[Conflict, ...] = ()

    @property
    def case(self) -> CaseView:
        return self.cases[0]


async def adjudicate(
    conn: AsyncConnection, case_id: UUID, said: Said, *, supersedes: UUID | None = None
) -> Adjudicated:
    """Add one reviewer's judgement; raises what dedup.judge.judge raises."""
    view = await judge.judge(conn, case_id, said, supersedes=supersedes)
    return await _placed(conn, [view], at=said.at)


async def adjudicate_group(
    conn: AsyncConnection, case_id: UUID, said: Said, *, size: int | None = None
) -> Adjudicated:
    """Say the same of all undecided cases that hang together; raises as dedup.judge.judge_group."""
    return await _placed(conn, await judge.judge_group(conn, case_id, said, size=size), at=said.at)


async def assign(
    conn: AsyncConnection,
    case_id: UUID,
    *,
    partner: str | None,
    person: str | None,
    is_coordinator: bool,
    partner_id: UUID,
    actor_id: UUID,
    at: datetime,
) -> CaseView:
    """Ask an organisation (by code) or a colleague (by handle) to judge; neither: oneself.

    Raises BadValue for a code or handle that isn't known, and what dedup.judge.assign raises.
    """
    to_partner_id, to_actor_id = partner_id, None
    if partner is not None and person is not None:
        raise BadValue(field="person", reason="an organisation or a person, not both")
    if partner is not None:
        found = await partners.find(conn, partner)
        if found is None:
            raise BadValue(field="partner", reason="unknown")
        to_partner_id = found
    elif person is not None:
        actor = tables.actor.c
        to_actor_id = await conn.scalar(
            select(actor.actor_id).where(actor.partner_id == partner_id, actor.handle == person)
        )
        if to_actor_id is None:
            raise BadValue(field="person", reason="unknown")
    else:
        to_actor_id = actor_id
    return await judge.assign(
        conn,
        case_id,
        to_partner_id=to_partner_id,
        to_actor_id=to_actor_id,
        is_coordinator=is_coordinator,
        partner_id=partner_id,
        actor_id=actor_id,
        at=at,
    )


async def smaller_sizes(conn: AsyncConnection, case_ids: Sequence[UUID]) -> dict[UUID, int]:
    """Return how many live in the smaller household of each case, to those who may judge."""
    rows = await conn.execute(
        text("SELECT case_id, size FROM cbi.smaller_sizes(:case_ids ::uuid[])"),
        {"case_ids": list(case_ids)},
    )
    return {row.case_id: row.size for row in rows}


async def conflicts(conn: AsyncConnection, *, after: UUID | None, limit: int) -> list[Conflict]:
    """Return a page of the decisions that join and are not carried out, by case."""
    wanted = await conn.scalars(
        text("SELECT case_id FROM cbi.cases_not_joined(:after ::uuid, :most)"),
        {"after": after, "most": limit},
    )
    found: dict[UUID, Conflict] = {}
    listed = []
    for case_id in wanted.all():
        if case_id not in found:
            _, around = await _families_around(conn, case_id)
            found |= {conflict.case_id: conflict for conflict in around.conflicts}
        listed.append(found[case_id])
    return listed


async def _placed(conn: AsyncConnection, views: list[CaseView], *, at: datetime) -> Adjudicated:
    """Let the families around what was decided follow the decisions in force, either way."""
    joined = parted = 0
    standing: dict[UUID, Conflict] = {}
    for view in views:
        if view.decision is None or view.case.household_b is None:
            continue
        await conn.execute(text("SELECT cbi.lock_families()"))
        households, around = await _families_around(conn, view.case.case_id)
        if not households:
            continue
        place = {
            member: number for number, family in enumerate(around.families) for member in family
        }
        moved = (
            await conn.execute(
                text(
                    "SELECT joined, parted FROM cbi.place_families("
                    ":case_id ::uuid, :households ::uuid[], :families ::integer[],"
                    " :at ::timestamptz)"
                ),
                {
                    "case_id": view.case.case_id,
                    "households": households,
                    "families": [place[household_id] for household_id in households],
                    "at": at,
                },
            )
        ).one()
        joined, parted = joined + moved.joined, parted + moved.parted
        standing |= {conflict.case_id: conflict for conflict in around.conflicts}
    return Adjudicated(
        cases=tuple(views),
        households_joined=joined,
        households_parted=parted,
        conflicts=tuple(standing.values()),
    )


async def _families_around(conn: AsyncConnection, case_id: UUID) -> tuple[list[UUID], Families]:
    """Return what a case's decision can move, and the families that the decisions make of it."""
    households = list(
        await conn.scalars(
            text("SELECT household_id FROM cbi.households_around(:case_id ::uuid)"),
            {"case_id": case_id},
        )
    )
    rows = await conn.execute(
        text("SELECT * FROM cbi.ties_between(:households ::uuid[])"), {"households": households}
    )
    ties = [msgspec.convert(row._mapping, Tie) for row in rows]  # noqa: SLF001 -- public by its docs
    return households, families(households, ties)
