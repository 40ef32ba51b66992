"""Keep record of runs that compare everybody with everybody: how far they came, how they ended."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec
from sqlalchemy import insert, text
from sqlalchemy.ext.asyncio import AsyncConnection

from dedup import tables
from dedup.refusal import RunUnderway

Engine = Literal["local", "spark"]
Phase = Literal["reading", "matching", "opening", "finished", "failed"]
RunState = Literal["running", "interrupted", "finished", "failed"]
PAGE_MAX = 200
# The places, from 0, of pairs that the last case of their households shows under this model.
_KNOWN = text("""
    SELECT q.place - 1
    FROM unnest(:household_a ::uuid[], :household_b ::uuid[], :person_a ::uuid[],
                :person_b ::uuid[])
        WITH ORDINALITY AS q (household_a, household_b, person_a, person_b, place)
    JOIN dedup.match_case AS c
        ON c.household_a = q.household_a AND c.household_b = q.household_b
    JOIN dedup.case_pair AS p
        ON p.case_id = c.case_id AND p.person_a = q.person_a AND p.person_b = q.person_b
       AND p.model_id = :model_id
    LEFT JOIN LATERAL (
        SELECT s.model_id FROM dedup.scoring AS s WHERE s.case_id = c.case_id
        ORDER BY s.scoring_no DESC LIMIT 1
    ) AS last ON true
    WHERE coalesce(last.model_id, c.model_id) = :model_id
      AND NOT EXISTS (SELECT FROM dedup.match_case AS again WHERE again.reopens = c.case_id)
""")


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One run; with `partners` it looks only at pairs of which one side is one of theirs."""

    run_id: UUID
    model_id: str
    engine: Engine
    partners: tuple[UUID, ...]
    started_at: datetime
    started_by: UUID


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far a run has come: `done` of `total` households read, or of pairs taken to people."""

    phase: Phase
    done: int = 0
    total: int = 0
    counts: Mapping[str, object] = {}


class Ids(msgspec.Struct, frozen=True, kw_only=True):
    """Two persons of two households; household_a < household_b."""

    household_a: UUID
    household_b: UUID
    person_a: UUID
    person_b: UUID


class RunView(msgspec.Struct, frozen=True, kw_only=True):
    """A run with its newest progress. "interrupted": killed, and can be resumed."""

    run: Run
    state: RunState
    progress: Progress
    at: datetime


async def take_turn(conn: AsyncConnection) -> None:
    """Keep other runs out as long as this connection lives; raises RunUnderway."""
    if not await conn.scalar(text("SELECT pg_try_advisory_lock(dedup.run_lock())")):
        raise RunUnderway


async def start(conn: AsyncConnection, run: Run) -> None:
    """Write down that a run begins."""
    await conn.execute(insert(tables.run).values(msgspec.structs.asdict(run)))
    await note(conn, run.run_id, Progress(phase="reading"), at=run.started_at)


async def note(conn: AsyncConnection, run_id: UUID, progress: Progress, *, at: datetime) -> None:
    """Write down how far a run has come."""
    await conn.execute(
        insert(tables.run_step).values(run_id=run_id, at=at, **msgspec.structs.asdict(progress))
    )


async def are_new(conn: AsyncConnection, pairs: Sequence[Ids], *, model_id: str) -> list[bool]:
    """Say of each pair whether its two households have one that no case shows under this model.

    Registrations and models never change, so where all pairs are known nothing is new, and a run
    need not find their reasons again.
    """
    known = await conn.scalars(_KNOWN, {"model_id": model_id, **_by_column(pairs)})
    at = set(known)
    new = {(one.household_a, one.household_b) for place, one in enumerate(pairs) if place not in at}
    return [(one.household_a, one.household_b) in new for one in pairs]


async def list_runs(
    conn: AsyncConnection, *, after: UUID | None = None, limit: int = PAGE_MAX
) -> list[RunView]:
    """List runs, newest first, from the one behind `after`."""
    rows = await conn.execute(
        text(
            "SELECT r.run_id, r.model_id, r.engine, r.partners, r.started_at, r.started_by,"
            " s.phase, s.done, s.total, s.counts, s.at, dedup.is_running() AND s.step_no ="
            " (SELECT max(step_no) FROM dedup.run_step) AS is_running"
            " FROM dedup.run r CROSS JOIN LATERAL (SELECT * FROM dedup.run_step s"
            " WHERE s.run_id = r.run_id ORDER BY s.step_no DESC LIMIT 1) AS s"
            " WHERE :after ::uuid IS NULL OR r.run_id < :after"
            " ORDER BY r.run_id DESC LIMIT :limit"
        ),
        {"after": after, "limit": min(limit, PAGE_MAX + 1)},
    )
    return [
        RunView(
            run=msgspec.convert(row._mapping, Run),  # noqa: SLF001 -- public by its docs
            progress=msgspec.convert(row._mapping, Progress),  # noqa: SLF001 -- as above
            state=state(row.phase, is_running=row.is_running),
            at=row.at,
        )
        for row in rows
    ]


async def unfinished(conn: AsyncConnection) -> Run | None:
    """Return the newest run, when it was killed or failed; None when it finished."""
    newest = await list_runs(conn, limit=1)
    if not newest or newest[0].state == "finished":
        return None
    return newest[0].run


def state(phase: Phase, *, is_running: bool) -> RunState:
    """Say how a run stands whose newest step is of this phase."""
    if phase in ("finished", "failed"):
        return phase
    return "running" if is_running else "interrupted"


def _by_column(pairs: Sequence[Ids]) -> dict[str, list[UUID]]:
    return {name: [getattr(one, name) for one in pairs] for name in Ids.__struct_fields__}
