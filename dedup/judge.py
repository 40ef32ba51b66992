"""Open cases, and let people of different organisations decide them."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from dedup import tables
from dedup.case import Case, CaseView, Decision, Verdict, Why, verdict_of
from dedup.cases import case_of, list_cases, load_case, pair_row
from dedup.find import Found, Pair
from dedup.model import Model
from dedup.refusal import AlreadyJudged, CaseDecided

__all__ = [
    "judge",
    "list_cases",
    "load_case",
    "open_case_ids",
    "open_cases",
    "open_unchecked",
]


async def open_cases(
    conn: AsyncConnection,
    household_id: UUID,
    found: Found,
    *,
    partner_id: UUID,
    model: Model,
    at: datetime,
    actor_id: UUID,
) -> list[Case]:
    """Open one case for each other household that `found` pairs with this one, with its pairs.

    Returns the cases, strongest first. A pair of households has one case: where it is open
    already it gains the new pairs, where it is decided it stays as it was judged.
    """
    by_household: dict[UUID, list[Pair]] = {}
    for pair in found.pairs:
        if pair.household_id == household_id:
            by_household.setdefault(pair.other_household_id, []).append(pair)
    opened = {}
    # In the order of ids, so that two registrations never wait for each other crosswise.
    for other_id in sorted(by_household):
        pairs = by_household[other_id]
        low, high = sorted(((household_id, partner_id), (other_id, pairs[0].other_partner_id)))
        case = await _insert_case(
            conn,
            {
                "household_a": low[0],
                "household_b": high[0],
                "partner_a": low[1],
                "partner_b": high[1],
                "reason": "duplicate",
                "opened_at": at,
                "opened_by": actor_id,
                "model_id": model.model_id,
                "strength_bits": max(pair.score.weight_bits for pair in pairs),
            },
        )
        await _insert_pairs(conn, case, pairs)
        opened[other_id] = case
    return [opened[other_id] for other_id in by_household]


async def open_unchecked(
    conn: AsyncConnection,
    household_id: UUID,
    *,
    why: Why,
    partner_id: UUID,
    at: datetime,
    actor_id: UUID,
) -> Case:
    """Open the case of a household that was not checked, so that a person looks at it.

    A household has one such case; a second call returns the first.
    """
    return await _insert_case(
        conn,
        {
            "household_a": household_id,
            "partner_a": partner_id,
            "reason": "unchecked",
            "why": why,
            "opened_at": at,
            "opened_by": actor_id,
        },
    )


async def judge(
    conn: AsyncConnection,
    *,
    case_id: UUID,
    verdict: Verdict,
    reason: str,
    at: datetime,
    actor_id: UUID,
    partner_id: UUID,
) -> CaseView:
    """Add one organisation's judgement; the second that agrees decides the case.

    Raises CaseNotFound, CaseDecided, or AlreadyJudged when the organisation or the person has
    judged before.
    """
    await conn.execute(select(func.dedup.lock_case(case_id)))
    before = await load_case(conn, case_id)
    if before.decision is not None:
        raise CaseDecided(case_id=case_id, verdict=before.decision.verdict)
    for other in before.judgements:
        if partner_id == other.partner_id or actor_id == other.actor_id:
            raise AlreadyJudged(case_id=case_id, partner_id=other.partner_id)
    await conn.execute(
        insert(tables.judgement).values(
            case_id=case_id,
            verdict=verdict,
            actor_id=actor_id,
            partner_id=partner_id,
            reason=reason,
            judged_at=at,
        )
    )
    after = await load_case(conn, case_id)
    agreed = verdict_of(after.judgements)
    if agreed is None:
        return after
    decision = Decision(case_id=case_id, verdict=agreed, decided_at=at)
    await conn.execute(
        insert(tables.decision).values(case_id=case_id, verdict=agreed, decided_at=at)
    )
    return CaseView(
        case=after.case,
        state="decided",
        pairs=after.pairs,
        judgements=after.judgements,
        decision=decision,
    )


async def open_case_ids(
    conn: AsyncConnection, household_ids: Sequence[UUID]
) -> dict[UUID, list[UUID]]:
    """Return the undecided cases of each household that has one, whoever registered it."""
    rows = await conn.execute(
        text("SELECT household_id, case_id FROM dedup.open_cases(:household_ids ::uuid[])"),
        {"household_ids": list(household_ids)},
    )
    found: dict[UUID, list[UUID]] = {}
    for household_id, case_id in rows:
        found.setdefault(household_id, []).append(case_id)
    return found


async def _insert_case(conn: AsyncConnection, values: dict[str, object]) -> Case:
    await conn.execute(
        insert(tables.match_case)
        .values(values)
        .on_conflict_do_nothing(constraint="match_case_one_per_pair")
    )
    household_b = values.get("household_b")
    row = await conn.execute(
        select(tables.match_case).where(
            tables.match_case.c.household_a == values["household_a"],
            tables.match_case.c.household_b.is_not_distinct_from(household_b),
        )
    )
    return case_of(row.one())


async def _insert_pairs(conn: AsyncConnection, case: Case, pairs: Sequence[Pair]) -> None:
    decided = await conn.execute(
        select(tables.decision.c.case_id).where(tables.decision.c.case_id == case.case_id)
    )
    if decided.first() is not None:
        return
    await conn.execute(
        insert(tables.case_pair).on_conflict_do_nothing(constraint="case_pair_pkey"),
        [pair_row(case, pair) for pair in pairs],
    )
