"""Open cases for what matching found: new ones, more evidence for open ones, decided ones anew."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Row, func, insert, select, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncConnection

from dedup import tables
from dedup.case import Case, CasePair, Why, evidence_digest, is_new_evidence
from dedup.cases import convert, load_case, of_cases
from dedup.find import Found, Pair
from dedup.model import Model

Homes = tuple[UUID, UUID]  # household_a < household_b

# The last case of each pair of households, under which model it is shown, and on what it was
# decided.
_LAST = text("""
    SELECT c.case_id, c.household_a, c.household_b, s.model_id, d.verdict,
           d.model_id AS decided_model_id, d.evidence_digest
    FROM unnest(:ones ::uuid[], :others ::uuid[]) AS q (one, other)
    JOIN dedup.match_case AS c ON c.household_a = q.one AND c.household_b = q.other
    JOIN dedup.case_standing AS s ON s.case_id = c.case_id AND s.reopened_as IS NULL
    LEFT JOIN LATERAL (
        SELECT x.verdict, x.model_id, x.evidence_digest FROM dedup.decision AS x
        WHERE x.case_id = c.case_id ORDER BY x.decision_no DESC LIMIT 1
    ) AS d ON true
""")


class Matched(msgspec.Struct, frozen=True, kw_only=True):
    """A pair that a run over everybody found, with the partner of its first household as well."""

    pair: Pair
    partner_id: UUID


class Opened(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the pairs of households that were found, in numbers."""

    opened: int = 0
    reopened: int = 0
    strengthened: int = 0
    unchanged: int = 0


class _Between(msgspec.Struct, frozen=True, kw_only=True):
    """What was found between two households, sides and persons in the order of their case."""

    partner_a: UUID
    partner_b: UUID
    pairs: tuple[CasePair, ...]

    @property
    def strength_bits(self) -> float:
        return max(pair.weight_bits for pair in self.pairs)


async def open_cases(
    conn: AsyncConnection,
    household_id: UUID,
    found: Found,
    *,
    partner_id: UUID,
    model: Model,
    at: datetime,
    actor_id: UUID,
    is_fresh: bool = False,
) -> list[Case]:
    """Open one case for each other household that `found` pairs with this one, with its pairs.

    `is_fresh` says that the household was registered in this transaction: nobody else knows it,
    so no case of it is looked for. Returns the cases, strongest first.

    Two households have one undecided case at most: where one is open already it gains the new
    pairs; where they are decided they stay so, unless the evidence is new
    (`case.is_new_evidence`), which opens the case anew.
    """
    matched = [
        Matched(pair=pair, partner_id=partner_id)
        for pair in found.pairs
        if pair.household_id == household_id
    ]
    case_ids, _ = await _open(
        conn, _between(matched), model=model, at=at, actor_id=actor_id, is_fresh=is_fresh
    )
    rows = await of_cases(conn, tables.match_case, list(case_ids.values()))
    cases = {row.case_id: convert(row, Case) for row in rows}
    strongest_first = dict.fromkeys(
        _homes(one.pair.household_id, one.pair.other_household_id) for one in matched
    )
    return [cases[case_ids[homes]] for homes in strongest_first]


async def open_batch(
    conn: AsyncConnection,
    matched: Iterable[Matched],
    *,
    model: Model,
    at: datetime,
    actor_id: UUID,
) -> Opened:
    """Open the cases of a run over everybody; the same run again changes nothing.

    As `open_cases` for each pair of households, in a few statements for thousands of them, by an
    actor with the role `matcher`. Nobody judges until the transaction ends, so keep it short.
    """
    await conn.execute(select(func.dedup.lock_all_cases()))
    _, opened = await _open(
        conn, _between(matched), model=model, at=at, actor_id=actor_id, is_locked=True
    )
    return opened


async def open_fresh(
    conn: AsyncConnection,
    matched: Iterable[Matched],
    *,
    model: Model,
    at: datetime,
    actor_id: UUID,
) -> None:
    """Open the cases of households that were registered in this transaction, together."""
    await _open(conn, _between(matched), model=model, at=at, actor_id=actor_id, is_fresh=True)


async def rescore(
    conn: AsyncConnection,
    case_id: UUID,
    pairs: Sequence[Pair],
    model: Model,
    *,
    at: datetime,
    actor_id: UUID,
) -> bool:
    """Show an undecided case under another model: its pairs as scored by that one.

    A decided case stays on what it was decided on: False. Raises CaseNotFound.
    """
    await conn.execute(select(func.dedup.lock_case(case_id)))
    view = await load_case(conn, case_id)
    if view.decision is not None or not pairs:
        return False
    (between,) = _between(
        Matched(pair=pair, partner_id=view.case.partner_a) for pair in pairs
    ).values()
    await _add_pairs(conn, {case_id: between})
    if view.standing.model_id != model.model_id:
        await _add_scorings(conn, {case_id: between}, model=model, at=at, actor_id=actor_id)
    return True


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
    await conn.execute(
        postgresql.insert(tables.match_case)
        .values(
            household_a=household_id,
            partner_a=partner_id,
            reason="unchecked",
            why=why,
            opened_at=at,
            opened_by=actor_id,
        )
        .on_conflict_do_nothing()
    )
    case = tables.match_case.c
    row = await conn.execute(
        select(tables.match_case).where(
            case.household_a == household_id, case.household_b.is_(None)
        )
    )
    return convert(row.one(), Case)


async def _open(
    conn: AsyncConnection,
    found: Mapping[Homes, _Between],
    *,
    model: Model,
    at: datetime,
    actor_id: UUID,
    is_locked: bool = False,
    is_fresh: bool = False,
) -> tuple[dict[Homes, UUID], Opened]:
    """Return the last case of each pair of households, and what was done about them."""
    last = {} if is_fresh else await _last(conn, found)
    if last and not is_locked:
        # Nobody must decide a case while evidence is added to it, or reopen it twice.
        await conn.execute(select(func.dedup.lock_all_cases()))
        last = await _last(conn, found)
    doubted = await _doubted(conn, last, found, model)
    wanted = {homes: last.get(homes) for homes in found if homes not in last or homes in doubted}
    fresh = await _insert_cases(
        conn, {homes: found[homes] for homes in wanted}, last, model=model, at=at, actor_id=actor_id
    )
    # What somebody else has opened since we looked.
    last |= await _last(conn, [homes for homes in wanted if homes not in fresh])
    open_still = {
        row.case_id: found[homes]
        for homes, row in last.items()
        if row.verdict is None and homes not in fresh
    }
    gained = await _add_pairs(
        conn, {case_id: found[homes] for homes, case_id in fresh.items()} | open_still
    )
    otherwise = {
        row.case_id: found[homes]
        for homes, row in last.items()
        if row.case_id in open_still and row.model_id != model.model_id
    }
    await _add_scorings(conn, otherwise, model=model, at=at, actor_id=actor_id)
    reopened = sum(homes in doubted for homes in fresh)
    strengthened = len(set(open_still) & (gained | set(otherwise)))
    opened = Opened(
        opened=len(fresh) - reopened,
        reopened=reopened,
        strengthened=strengthened,
        unchanged=len(found) - len(fresh) - strengthened,
    )
    return {homes: row.case_id for homes, row in last.items()} | fresh, opened


def _homes(one: UUID, other: UUID) -> Homes:
    return (one, other) if one < other else (other, one)


def _between(matched: Iterable[Matched]) -> dict[Homes, _Between]:
    """Gather what was found by pair of households, in the order of ids.

    In that order, so that two who open the same cases never wait for each other crosswise.
    """
    gathered: defaultdict[Homes, list[Matched]] = defaultdict(list)
    for one in matched:
        gathered[_homes(one.pair.household_id, one.pair.other_household_id)].append(one)
    found = {}
    for homes in sorted(gathered):
        first = gathered[homes][0]
        partners = (first.partner_id, first.pair.other_partner_id)
        if first.pair.household_id != homes[0]:
            partners = partners[::-1]
        found[homes] = _Between(
            partner_a=partners[0],
            partner_b=partners[1],
            pairs=tuple(_case_pair(one.pair, homes) for one in gathered[homes]),
        )
    return found


def _case_pair(pair: Pair, homes: Homes) -> CasePair:
    persons = (pair.person_id, pair.other_person_id)
    if pair.household_id != homes[0]:
        persons = persons[::-1]
    return CasePair(
        person_a=persons[0],
        person_b=persons[1],
        model_id=pair.score.model_id,
        weight_bits=pair.score.weight_bits,
        probability=pair.score.probability,
        evidence=pair.score.fields,
    )


async def _last(conn: AsyncConnection, homes: Iterable[Homes]) -> dict[Homes, Row[Any]]:
    asked = list(homes)
    if not asked:
        return {}
    rows = await conn.execute(
        _LAST, {"ones": [one for one, _ in asked], "others": [other for _, other in asked]}
    )
    return {(row.household_a, row.household_b): row for row in rows}


async def _doubted(
    conn: AsyncConnection,
    last: Mapping[Homes, Row[Any]],
    found: Mapping[Homes, _Between],
    model: Model,
) -> set[Homes]:
    """Return the decided pairs of households of which more is known now than was decided on."""
    # More evidence that two registrations are one family doubts no decision that they are.
    differing = {
        row.case_id: homes
        for homes, row in last.items()
        if row.verdict not in (None, "same_household")
        and row.evidence_digest != evidence_digest(found[homes].pairs)
    }
    decided_on: defaultdict[UUID, list[CasePair]] = defaultdict(list)
    for pair in await of_cases(conn, tables.case_pair, list(differing)):
        row = last[differing[pair.case_id]]
        if pair.model_id == (row.decided_model_id or row.model_id):
            decided_on[pair.case_id].append(convert(pair, CasePair))
    return {
        homes
        for case_id, homes in differing.items()
        if is_new_evidence(found[homes].pairs, decided_on[case_id], strong_bits=model.strong_bits)
    }


async def _insert_cases(
    conn: AsyncConnection,
    wanted: Mapping[Homes, _Between],
    last: Mapping[Homes, Row[Any]],
    *,
    model: Model,
    at: datetime,
    actor_id: UUID,
) -> dict[Homes, UUID]:
    """Open a case for each pair of households that has no open one; return those opened."""
    if not wanted:
        return {}
    case = tables.match_case.c
    rows = await conn.execute(
        postgresql.insert(tables.match_case)
        .on_conflict_do_nothing()
        .returning(case.case_id, case.household_a, case.household_b),
        [
            {
                "household_a": homes[0],
                "household_b": homes[1],
                "partner_a": between.partner_a,
                "partner_b": between.partner_b,
                "reason": "duplicate",
                "opened_at": at,
                "opened_by": actor_id,
                "model_id": model.model_id,
                "strength_bits": between.strength_bits,
                "reopens": last[homes].case_id if homes in last else None,
            }
            for homes, between in wanted.items()
        ],
    )
    return {(row.household_a, row.household_b): row.case_id for row in rows}


async def _add_pairs(conn: AsyncConnection, cases: Mapping[UUID, _Between]) -> set[UUID]:
    """Add the pairs to undecided cases; return the cases that hadn't some of them."""
    if not cases:
        return set()
    rows = await conn.execute(
        postgresql.insert(tables.case_pair)
        .on_conflict_do_nothing(constraint="case_pair_pkey")
        .returning(tables.case_pair.c.case_id),
        [
            {"case_id": case_id, **msgspec.to_builtins(pair, builtin_types=(UUID,))}
            for case_id, between in cases.items()
            for pair in between.pairs
        ],
    )
    return {row.case_id for row in rows}


async def _add_scorings(
    conn: AsyncConnection,
    cases: Mapping[UUID, _Between],
    *,
    model: Model,
    at: datetime,
    actor_id: UUID,
) -> None:
    if cases:
        await conn.execute(
            insert(tables.scoring),
            [
                {
                    "case_id": case_id,
                    "model_id": model.model_id,
                    "strength_bits": between.strength_bits,
                    "scored_at": at,
                    "scored_by": actor_id,
                }
                for case_id, between in cases.items()
            ],
        )
