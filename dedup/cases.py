"""Read cases as the database holds them; row-level security decides which."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

import msgspec
from sqlalchemy import ARRAY, Row, Select, Table, Uuid, any_, bindparam, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from dedup import tables
from dedup.case import Case, CasePair, CaseView, Decision, Judgement, Standing, State
from dedup.cluster import Group, groups
from dedup.refusal import CaseNotFound

PAGE_MAX = 200
# From the households of one page; further ones are left out of their groups.
GROUP_HOUSEHOLDS_MAX = 1_000
T = TypeVar("T")

_AROUND = text("""
    WITH RECURSIVE reach (household_id) AS (
        SELECT unnest(:seeds ::uuid[])
        UNION
        SELECT next.household_id FROM reach CROSS JOIN LATERAL (
            SELECT c.case_id, c.household_b AS household_id FROM dedup.match_case AS c
            WHERE c.household_a = reach.household_id AND c.household_b IS NOT NULL
            UNION ALL
            SELECT c.case_id, c.household_a FROM dedup.match_case AS c
            WHERE c.household_b = reach.household_id
        ) AS next
        WHERE NOT EXISTS (SELECT FROM dedup.decision AS d WHERE d.case_id = next.case_id)
    ), near AS MATERIALIZED (SELECT household_id FROM reach LIMIT :households_max)
    SELECT c.case_id, c.household_a, c.household_b
    FROM near JOIN dedup.match_case AS c ON c.household_a = near.household_id
    WHERE c.household_b IS NOT NULL
      AND NOT EXISTS (SELECT FROM dedup.decision AS d WHERE d.case_id = c.case_id)
    ORDER BY c.case_id
""")


_MET = text("""
    SELECT DISTINCT q.case_id
    FROM unnest(:case_ids ::uuid[], :ones ::uuid[], :others ::uuid[]) AS q (case_id, one, other)
    CROSS JOIN LATERAL (
        SELECT c.partner_a, c.partner_b FROM dedup.match_case AS c
        WHERE c.household_a IN (q.one, q.other)
        UNION ALL
        SELECT c.partner_a, c.partner_b FROM dedup.match_case AS c
        WHERE c.household_b IN (q.one, q.other)
    ) AS met
    WHERE :partner_id ::uuid IN (met.partner_a, met.partner_b)
""")


async def load_case(conn: AsyncConnection, case_id: UUID) -> CaseView:
    """Return a case with all that is known about it; CaseNotFound when none is seen."""
    query = select(tables.match_case).where(tables.match_case.c.case_id == case_id)
    views = await views_of(conn, query)
    if not views:
        raise CaseNotFound(case_id=case_id)
    return views[0]


async def list_cases(
    conn: AsyncConnection,
    *,
    state: State | None = None,
    after: UUID | None = None,
    limit: int,
    waiting_before: datetime | None = None,
    case_ids: Sequence[UUID] | None = None,
    assigned_partner_id: UUID | None = None,
    assigned_actor_id: UUID | None = None,
) -> list[CaseView]:
    """Return a page of the cases that may be seen, oldest first, and so those due first.

    `after` is the last case_id of the page before; a page holds 200 cases at most,
    and one more may be asked for to learn whether another page follows. `waiting_before` keeps
    those that have waited for people since before that moment.
    """
    case, standing = tables.match_case.c, tables.case_standing.c
    conditions = []
    if state is not None:
        conditions.append(standing.state == state)
    if waiting_before is not None:
        conditions += [standing.waiting_since < waiting_before, standing.state != "decided"]
    if assigned_partner_id is not None:
        conditions.append(standing.assigned_partner_id == assigned_partner_id)
    if assigned_actor_id is not None:
        conditions.append(standing.assigned_actor_id == assigned_actor_id)
    query = select(tables.match_case)
    if conditions:
        query = query.join(tables.case_standing, standing.case_id == case.case_id)
    if after is not None:
        conditions.append(case.case_id > after)
    if case_ids is not None:
        conditions.append(case.case_id.in_(case_ids))
    query = query.where(*conditions).order_by(case.case_id).limit(min(limit, PAGE_MAX + 1))
    return await views_of(conn, query)


async def cases_of(conn: AsyncConnection, household_id: UUID) -> list[CaseView]:
    """Return the cases of one household that may be seen, strongest first, 200 at most.

    Of the cases of two households only the last.
    """
    case = tables.match_case.c
    again = tables.match_case.alias("again")
    return await views_of(
        conn,
        select(tables.match_case)
        .where(
            (case.household_a == household_id) | (case.household_b == household_id),
            ~select(again.c.case_id).where(again.c.reopens == case.case_id).exists(),
        )
        .order_by(case.strength_bits.desc().nulls_last(), case.case_id)
        .limit(PAGE_MAX),
    )


async def cases_of_other_models(
    conn: AsyncConnection, model_id: str, *, after: UUID | None = None, limit: int = PAGE_MAX
) -> list[CaseView]:
    """Return a page of the undecided pairs of households that were last scored otherwise."""
    case, standing, decided = tables.match_case.c, tables.case_standing.c, tables.decision.c
    query = (
        select(tables.match_case)
        .join(tables.case_standing, standing.case_id == case.case_id)
        .where(
            standing.model_id != model_id,
            ~select(decided.case_id).where(decided.case_id == case.case_id).exists(),
        )
    )
    if after is not None:
        query = query.where(case.case_id > after)
    return await views_of(conn, query.order_by(case.case_id).limit(min(limit, PAGE_MAX)))


async def groups_of(conn: AsyncConnection, views: Iterable[CaseView]) -> dict[UUID, Group]:
    """Return the group of each undecided case of these: what hangs together over households.

    Only cases that may be seen count, and 1,000 households around these at most. A case of one
    household alone is a group of its own.
    """
    undecided = [view.case for view in views if view.decision is None]
    together = groups(await _around(conn, undecided))
    return {
        case.case_id: together.get(case.case_id, Group(group_id=case.case_id, size=1))
        for case in undecided
    }


async def group_members(conn: AsyncConnection, case: Case) -> list[UUID]:
    """Return the undecided cases that hang together with this undecided one, itself too, by id."""
    together = groups(await _around(conn, [case]))
    if case.case_id not in together:
        return [case.case_id]
    return sorted(one for one, group in together.items() if group == together[case.case_id])


async def views_of(conn: AsyncConnection, query: Select[Any]) -> list[CaseView]:
    """Return the cases that a query of match_case finds, each with all that is known about it.

    Of the pairs only those of the model that scored the case last.
    """
    cases = [convert(row, Case) for row in await conn.execute(query)]
    case_ids = [case.case_id for case in cases]
    standings = {
        row.case_id: convert(row, Standing)
        for row in await of_cases(conn, tables.case_standing, case_ids)
    }
    pairs = await _by_case(conn, tables.case_pair, case_ids, CasePair)
    judgements = await _by_case(conn, tables.judgement, case_ids, Judgement)
    decisions = await _by_case(conn, tables.decision, case_ids, Decision)
    return [
        CaseView(
            case=case,
            standing=standings[case.case_id],
            pairs=tuple(
                sorted(
                    (
                        pair
                        for pair in pairs[case.case_id]
                        if pair.model_id == standings[case.case_id].model_id
                    ),
                    key=lambda pair: (-pair.weight_bits, pair.person_a, pair.person_b),
                )
            ),
            judgements=tuple(
                sorted(judgements[case.case_id], key=lambda one: (one.judged_at, one.judgement_id))
            ),
            decisions=tuple(sorted(decisions[case.case_id], key=lambda one: one.decision_no)),
        )
        for case in cases
    ]


async def met_by(conn: AsyncConnection, views: Iterable[CaseView], partner_id: UUID) -> set[UUID]:
    """Return the cases of which a partner may know somebody: it has a case with a side of theirs.

    Its own cases are among these; of others it may know the family from its own registration.
    """
    asked = [view.case for view in views]
    rows = await conn.scalars(
        _MET,
        {
            "case_ids": [case.case_id for case in asked],
            "ones": [case.household_a for case in asked],
            "others": [case.household_b or case.household_a for case in asked],
            "partner_id": partner_id,
        },
    )
    return set(rows)


async def of_cases(
    conn: AsyncConnection, table: Table, case_ids: Sequence[UUID]
) -> Sequence[Row[Any]]:
    """Return the rows that a table or view holds of these cases."""
    if not case_ids:
        return ()
    wanted = any_(bindparam("case_ids", list(case_ids), ARRAY(Uuid)))
    return (await conn.execute(select(table).where(table.c.case_id == wanted))).all()


def convert(row: Row[Any], kind: type[T]) -> T:
    """Make a Struct of a row whose columns bear the names of its fields."""
    return msgspec.convert(row._mapping, kind)  # noqa: SLF001 -- SQLAlchemy's public mapping


async def _by_case(
    conn: AsyncConnection, table: Table, case_ids: Sequence[UUID], kind: type[T]
) -> defaultdict[UUID, list[T]]:
    found: defaultdict[UUID, list[T]] = defaultdict(list)
    for row in await of_cases(conn, table, case_ids):
        found[row.case_id].append(convert(row, kind))
    return found


async def _around(conn: AsyncConnection, cases: Iterable[Case]) -> list[tuple[UUID, UUID, UUID]]:
    """Return the undecided pairs of households around these cases: (case, household, household)."""
    seeds = {
        home
        for case in cases
        if case.household_b is not None
        for home in (case.household_a, case.household_b)
    }
    if not seeds:
        return []
    rows = await conn.execute(
        _AROUND, {"seeds": sorted(seeds), "households_max": GROUP_HOUSEHOLDS_MAX}
    )
    return [(row.case_id, row.household_a, row.household_b) for row in rows]
