"""Compare staged households with everybody registered, as registering would, and store nobody."""

from collections.abc import Mapping, Sequence
from typing import Literal
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from cbi.identities import Candidates
from cbi.imported import Checked
from cbi.ready import Ready
from cbi.register import Desk
from cbi.vault import Broken
from dedup.driver import fetch
from dedup.find import Found
from dedup.find_all import find_all, find_within

Why = Literal[
    "changed",
    "crowded",
    "declined",
    "earlier_version",
    "household_ended",
    "known",
    "not_compared",
    "outside_area",
    "twice_in_file",
    "unopened",
    "unsearchable",
]
_KNOWN = """
    SELECT w.row_no, h.content_key, h.has_ended, EXISTS (
        SELECT FROM cbi.household_version AS v
        WHERE v.household_id = h.household_id AND v.content_key = w.content_key)
    FROM unnest($2 ::integer[], $3 ::bigint[], $4 ::bytea[])
        AS w(row_no, reference_key, content_key)
    CROSS JOIN LATERAL (
        SELECT x.household_id, x.content_key, x.ended_at IS NOT NULL AS has_ended
        FROM cbi.household AS x
        WHERE x.partner_id = $1 AND x.reference_key = w.reference_key OFFSET 0) AS h"""


async def check_staged(
    conn: AsyncConnection,
    rows: Mapping[int, Ready],
    *,
    desk: Desk,
    partner_id: UUID,
    area: str,
    room: int,
) -> list[Checked]:
    """Say of each row how its household compares with everybody, and with the other rows given.

    One that is registered under its reference already is clear: `known`, `changed`, or an
    `earlier_version`; what is new in it is compared when it is taken. No more than `room` persons
    are compared, the day's quota of checks; a row beyond is to be reviewed, `not_compared`, and is
    compared when it is taken.
    """
    known = await _known(conn, rows, partner_id)
    told: dict[int, Checked] = {}
    asked: dict[int, Ready] = {}
    for row_no, home in rows.items():
        content, has_ended, was_so = known.get(row_no, (None, False, False))
        if not home.ubigeo.startswith(area):
            told[row_no] = Checked(row_no=row_no, status="faulty", why="outside_area")
        elif has_ended:
            told[row_no] = Checked(row_no=row_no, status="faulty", why="household_ended")
        elif content is not None:
            why: Why = "earlier_version" if was_so else "changed"
            why = "known" if content == home.content_key else why
            told[row_no] = Checked(row_no=row_no, status="clear", why=why)
        elif home.records is None:
            told[row_no] = Checked(row_no=row_no, status="review", why="declined")
        elif len(home.records) > room:
            told[row_no] = Checked(row_no=row_no, status="review", why="not_compared")
        else:
            room -= len(home.records)
            asked[row_no] = home
    for checked in await _compared(conn, asked, Candidates(conn, desk.vault), desk):
        persons = len(asked[checked.row_no].records or ())
        told[checked.row_no] = msgspec.structs.replace(checked, persons=persons)
    return [told[row_no] for row_no in rows]


async def _compared(
    conn: AsyncConnection, asked: Mapping[int, Ready], opener: Candidates, desk: Desk
) -> list[Checked]:
    if not asked:
        return []
    households = [home.records or () for home in asked.values()]
    keys = {person_id: each for home in asked.values() for person_id, each in home.keys.items()}
    try:
        found = await find_all(conn, households, keys, model=desk.model, opener=opener)
    except Broken:
        # The record of somebody similar doesn't open: that silences nothing about the others.
        rows = list(asked)
        if len(rows) == 1:
            return [Checked(row_no=rows[0], status="review", why="unopened")]
        halves = (rows[: len(rows) // 2], rows[len(rows) // 2 :])
        parts = [
            await _compared(conn, {row_no: asked[row_no] for row_no in half}, opener, desk)
            for half in halves
        ]
        return [*parts[0], *parts[1]]
    twice = await find_within(households, keys, model=desk.model)
    return [
        _checked(row_no, each, twice.get(home.household_id, []))
        for (row_no, home), each in zip(asked.items(), found, strict=True)
    ]


def _checked(row_no: int, found: Found, twice: Sequence[UUID]) -> Checked:
    others = {pair.other_household_id for pair in found.pairs}
    why: Why | None = None
    if found.unsearched or found.crowded:
        why = "unsearchable" if found.unsearched else "crowded"
    elif twice and not others:
        why = "twice_in_file"
    return Checked(
        row_no=row_no,
        status="review" if others or twice or why else "clear",
        matches=len(others) + len(twice),
        strength=found.pairs[0].score.strength if found.pairs else None,
        why=why,
    )


async def _known(
    conn: AsyncConnection, rows: Mapping[int, Ready], partner_id: UUID
) -> dict[int, tuple[bytes, bool, bool]]:
    found = await fetch(
        conn,
        _KNOWN,
        partner_id,
        list(rows),
        [home.reference_key for home in rows.values()],
        [home.content_key for home in rows.values()],
    )
    return {row[0]: (row[1], row[2], row[3]) for row in found}
