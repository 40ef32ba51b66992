"""What an asker knows itself of the people it asks about: its own registrations of them.

A match tells that there may be another registration. What the family of it has is told only where
people have decided that it is the family of the asker's own registration.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

import msgspec
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from cbi import holds, tables
from cbi.answered import Own, Question
from cbi.household import Assistance
from cbi.overlap import Span, until
from cbi.vault import keyed_int

# Households of which people have decided that they are others than this one, as of now. Where they
# decided that somebody stands in both, the match goes on being told.
_APART = text("""
    SELECT q.household_id, c.other
    FROM unnest(:household_ids ::uuid[]) AS q(household_id)
    CROSS JOIN LATERAL (
        SELECT m.case_id, m.household_b AS other FROM dedup.match_case AS m
        WHERE m.household_a = q.household_id AND m.household_b IS NOT NULL
        UNION ALL
        SELECT m.case_id, m.household_a FROM dedup.match_case AS m
        WHERE m.household_b = q.household_id
        OFFSET 0) AS c
    JOIN dedup.case_standing AS s ON s.case_id = c.case_id
    CROSS JOIN LATERAL (
        SELECT d.verdict FROM dedup.decision AS d WHERE d.case_id = c.case_id
        ORDER BY d.decision_no DESC LIMIT 1) AS d
    WHERE s.reopened_as IS NULL AND d.verdict NOT IN ('same_person', 'same_household')""")

# What the asker itself has promised to these households: it is no news to it.
_PROMISED = text("""
    SELECT q.household_id, lower(h.months) AS first, upper(h.months) AS end
    FROM unnest(:household_ids ::uuid[]) AS q(household_id)
    CROSS JOIN LATERAL (
        SELECT o.months FROM cbi.hold AS o
        WHERE o.household_id = q.household_id AND o.assistance = :assistance
            AND o.partner_id = :partner_id AND o.standing @> CAST(:at AS timestamptz)
        OFFSET 0) AS h""")


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which assistance somebody is to get, and for which months."""

    assistance: Assistance
    months: Span


async def find_own(
    conn: AsyncConnection,
    questions: Sequence[Question],
    *,
    matching_key: bytes,
    partner_id: UUID,
    wanted: Wanted | None,
    at: datetime,
) -> dict[UUID, Own]:
    """Return the asker's own registrations by the questions about them, found by reference."""
    key_of = {
        question.household_id: keyed_int(
            matching_key, "reference", str(partner_id), question.read.reference
        )
        for question in questions
        if question.read.reference
    }
    home = tables.household.c
    rows = await conn.execute(
        select(home.reference_key, home.household_id).where(
            home.partner_id == partner_id, home.reference_key.in_(set(key_of.values()))
        )
    )
    by_key = {row.reference_key: row.household_id for row in rows}
    if not by_key:
        return {}
    household_ids = sorted(by_key.values())
    apart: defaultdict[UUID, set[UUID]] = defaultdict(set)
    for row in await conn.execute(_APART, {"household_ids": household_ids}):
        apart[row.household_id].add(row.other)
    in_the_way = await _in_the_way(conn, household_ids, wanted, partner_id=partner_id, at=at)
    return {
        asked: Own(
            household_id=own,
            apart=frozenset(apart[own]),
            is_held=own in in_the_way,
            until=until(in_the_way.get(own, ())),
        )
        for asked, key in key_of.items()
        if (own := by_key.get(key)) is not None
    }


async def _in_the_way(
    conn: AsyncConnection,
    household_ids: Sequence[UUID],
    wanted: Wanted | None,
    *,
    partner_id: UUID,
    at: datetime,
) -> Mapping[UUID, list[Span]]:
    """Return for each household what keeps the wanted assistance from its family, if anything."""
    if wanted is None:
        return {}
    facts = {"assistance": wanted.assistance, "partner_id": partner_id, "at": at}
    promised = {
        row.household_id
        for row in await conn.execute(_PROMISED, {"household_ids": household_ids, **facts})
        if Span(first=row.first, end=row.end).overlaps(wanted.months)
    }
    found: defaultdict[UUID, list[Span]] = defaultdict(list)
    for one in await holds.held(conn, household_ids, at=at):
        if (
            one.household_id not in promised
            and one.assistance == wanted.assistance
            and one.span.overlaps(wanted.months)
        ):
            found[one.household_id].append(one.span)
    return found
