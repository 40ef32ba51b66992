"""Read cases as the database holds them; row-level security decides which."""

from collections.abc import Sequence
from typing import Any, TypeVar
from uuid import UUID

import msgspec
from sqlalchemy import Row, Select, Table, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from dedup import tables
from dedup.case import Case, CasePair, CaseView, Decision, Judgement, State, state
from dedup.find import Pair
from dedup.refusal import CaseNotFound

PAGE_MAX = 200
T = TypeVar("T")


async def load_case(conn: AsyncConnection, case_id: UUID) -> CaseView:
    """Return a case with its pairs, judgements and decision; CaseNotFound when none is seen."""
    views = await _views(
        conn, select(tables.match_case).where(tables.match_case.c.case_id == case_id)
    )
    if not views:
        raise CaseNotFound(case_id=case_id)
    return views[0]


async def list_cases(
    conn: AsyncConnection, *, state: State | None, after: UUID | None, limit: int
) -> list[CaseView]:
    """Return a page of the cases that may be seen, oldest first, in one state or in any.

    `after` is the last case_id of the page before; a page holds 200 cases at most,
    and one more may be asked for to learn whether another page follows.
    """
    case, decided = tables.match_case.c, tables.decision.c
    judged = tables.judgement.c
    judgements = select(func.count()).where(judged.case_id == case.case_id).scalar_subquery()
    open_still = ~select(decided.case_id).where(decided.case_id == case.case_id).exists()
    conditions = {
        None: (),
        "open": (open_still, judgements == 0),
        "second_review": (open_still, judgements == 1),
        "disputed": (open_still, judgements > 1),
        "decided": (~open_still,),
    }[state]
    query = select(tables.match_case).where(*conditions)
    if after is not None:
        query = query.where(case.case_id > after)
    return await _views(conn, query.order_by(case.case_id).limit(min(limit, PAGE_MAX + 1)))


async def cases_of(conn: AsyncConnection, household_id: UUID) -> list[CaseView]:
    """Return the cases of one household that may be seen, strongest first, 200 at most."""
    case = tables.match_case.c
    return await _views(
        conn,
        select(tables.match_case)
        .where((case.household_a == household_id) | (case.household_b == household_id))
        .order_by(case.strength_bits.desc().nulls_last(), case.case_id)
        .limit(PAGE_MAX),
    )


def case_of(row: Row[Any]) -> Case:
    """Make a Case of a row of match_case."""
    return _convert(row, Case)


def pair_row(case: Case, pair: Pair) -> dict[str, object]:
    """Make a row of case_pair, its persons on the sides where their households stand."""
    first = pair.household_id == case.household_a
    return {
        "case_id": case.case_id,
        "person_a": pair.person_id if first else pair.other_person_id,
        "person_b": pair.other_person_id if first else pair.person_id,
        "model_id": pair.score.model_id,
        "weight_bits": pair.score.weight_bits,
        "probability": pair.score.probability,
        "evidence": msgspec.to_builtins(pair.score.fields),
    }


async def _views(conn: AsyncConnection, query: Select[Any]) -> list[CaseView]:
    cases = [case_of(row) for row in await conn.execute(query)]
    case_ids = [case.case_id for case in cases]
    pairs: dict[UUID, list[CasePair]] = {}
    for row in await _of(conn, tables.case_pair, case_ids):
        pairs.setdefault(row.case_id, []).append(_convert(row, CasePair))
    judgements: dict[UUID, list[Judgement]] = {}
    for row in await _of(conn, tables.judgement, case_ids):
        judgements.setdefault(row.case_id, []).append(_convert(row, Judgement))
    decisions = {
        row.case_id: _convert(row, Decision) for row in await _of(conn, tables.decision, case_ids)
    }
    return [
        CaseView(
            case=case,
            state=state(judgements.get(case.case_id, ()), decisions.get(case.case_id)),
            pairs=tuple(
                sorted(
                    pairs.get(case.case_id, ()),
                    key=lambda pair: (-pair.weight_bits, pair.person_a, pair.person_b),
                )
            ),
            judgements=tuple(
                sorted(
                    judgements.get(case.case_id, ()),
                    key=lambda one: (one.judged_at, one.judgement_id),
                )
            ),
            decision=decisions.get(case.case_id),
        )
        for case in cases
    ]


async def _of(conn: AsyncConnection, table: Table, case_ids: Sequence[UUID]) -> Sequence[Row[Any]]:
    if not case_ids:
        return ()
    return (await conn.execute(select(table).where(table.c.case_id.in_(case_ids)))).all()


def _convert(row: Row[Any], kind: type[T]) -> T:
    return msgspec.convert(row._mapping, kind)  # noqa: SLF001 -- SQLAlchemy's public mapping
