"""Scores of vulnerability: kept with their model's version and components, made elsewhere."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

import msgspec
from sqlalchemy import insert, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from cbi import tables
from cbi.refusal import NotFound
from cbi.term_tables import score
from cbi.who import Who


class Score(msgspec.Struct, frozen=True, kw_only=True):
    """What a model says of a household; the newest of a model's version counts."""

    household_id: UUID
    model: str
    model_version: str
    score: float
    components: Mapping[str, float]
    scored_by: UUID
    scored_at: datetime


async def add(conn: AsyncConnection, scored: Score, *, who: Who) -> Score:
    """Keep a score; raises NotFound. It is never changed: a later one stands beside it."""
    await must_exist(conn, scored.household_id)
    await conn.execute(
        insert(score).values(partner_id=who.partner_id, **msgspec.structs.asdict(scored))
    )
    return scored


async def load_scores(
    conn: AsyncConnection, household_id: UUID, *, after: int, limit: int
) -> list[tuple[int, Score]]:
    """Load a household's scores with their numbers, oldest first; raises NotFound."""
    await must_exist(conn, household_id)
    row = score.c
    rows = await conn.execute(
        select(score)
        .where(row.household_id == household_id, row.score_no > after)
        .order_by(row.score_no)
        .limit(limit)
    )
    return [
        (found.score_no, msgspec.convert(found._mapping, Score))  # noqa: SLF001 -- public by its docs
        for found in rows
    ]


async def newest_scores(
    conn: AsyncConnection, household_ids: Sequence[UUID]
) -> dict[UUID, dict[tuple[str, str], float]]:
    """Return the newest score of each model's version, per household."""
    rows = await conn.execute(
        text(
            "SELECT DISTINCT ON (s.household_id, s.model, s.model_version) s.household_id,"
            " s.model, s.model_version, s.score FROM cbi.score AS s"
            " WHERE s.household_id = ANY (:wanted ::uuid[])"
            " ORDER BY s.household_id, s.model, s.model_version, s.score_no DESC"
        ),
        {"wanted": list(household_ids)},
    )
    found: dict[UUID, dict[tuple[str, str], float]] = {}
    for row in rows:
        found.setdefault(row.household_id, {})[row.model, row.model_version] = row.score
    return found


async def must_exist(conn: AsyncConnection, household_id: UUID) -> None:
    home = tables.household.c
    if not await conn.scalar(select(home.size).where(home.household_id == household_id)):
        raise NotFound(what="household", wanted=household_id)
