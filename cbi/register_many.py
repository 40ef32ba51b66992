"""Register many households in one transaction, with the same result as one after the other."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from cbi.identities import Candidates, log_opening
from cbi.ready import Ready
from cbi.register import Desk
from cbi.store_many import store_many
from cbi.vault import Broken
from dedup.case import Why
from dedup.driver import OF_ONE_ROW, fetch
from dedup.find import Found
from dedup.find_fresh import add_and_find
from dedup.opening import Matched, open_fresh, open_unchecked

# What may be wrong with one household and concerns no other; anything else stops all.
OF_ONE = (Broken, *OF_ONE_ROW)
_KNOWN = """
    SELECT h.reference_key, h.household_id, h.content_key, h.ended_at IS NOT NULL
    FROM cbi.household AS h
    WHERE h.partner_id = $1 AND h.reference_key = ANY ($2 ::bigint[])"""
_OPEN = "SELECT DISTINCT household_id FROM dedup.open_cases($1 ::uuid[])"

Refusal = Literal["reference_taken", "household_ended", "outside_area", "not_registered"]


class Registered(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one household; `is_known` when the same was registered before.

    `taken_by` is the household whose reference it has, where that says something else.
    """

    status: Literal["clear", "review", "faulty"]
    household_id: UUID | None = None
    is_known: bool = False
    refusal: Refusal | None = None
    taken_by: UUID | None = None


async def register_many(
    conn: AsyncConnection,
    homes: Sequence[Ready],
    *,
    desk: Desk,
    partner_id: UUID,
    actor_id: UUID,
    area: str,
    at: datetime,
) -> list[Registered]:
    """Register households as `register` would one after the other; what became of each, in order.

    One that can't be registered stops no other: the others are registered without it.
    """
    if not homes:
        return []
    clerk = _Clerk(desk=desk, partner_id=partner_id, actor_id=actor_id, area=area, at=at)
    opened = openings(conn)
    try:
        async with conn.begin_nested():
            return await _register(conn, homes, clerk)
    except (*OF_ONE, DBAPIError) as error:
        if not concerns_one(error):
            raise
    if len(homes) == 1:
        await log_since(conn, opened)
        return [Registered(status="faulty", refusal="not_registered")]
    half = len(homes) // 2
    facts = msgspec.structs.asdict(clerk)
    first = await register_many(conn, homes[:half], **facts)
    return first + await register_many(conn, homes[half:], **facts)


def concerns_one(error: Exception) -> bool:
    """Say whether an error comes of what is written of one household, and of nothing else."""
    cause = getattr(error.orig, "__cause__", None) if isinstance(error, DBAPIError) else error
    return isinstance(cause, OF_ONE)


def openings(conn: AsyncConnection) -> int:
    """Count what was opened of identities in this transaction so far."""
    return len(conn.info.get("openings", ()))


async def log_since(conn: AsyncConnection, opened: int) -> None:
    """Write again what was opened since, after a savepoint took it back with all the rest."""
    for opening in conn.info.get("openings", [])[opened:]:
        await log_opening(conn, opening)


class _Clerk(msgspec.Struct, frozen=True, kw_only=True):
    desk: Desk
    partner_id: UUID
    actor_id: UUID
    area: str
    at: datetime


async def _register(
    conn: AsyncConnection, homes: Sequence[Ready], clerk: _Clerk
) -> list[Registered]:
    inside = [home for home in homes if home.ubigeo.startswith(clerk.area)]
    fresh = await store_many(
        conn, inside, partner_id=clerk.partner_id, actor_id=clerk.actor_id, at=clerk.at
    )
    flagged = await _check(conn, [home for home in inside if home.household_id in fresh], clerk)
    known = await _known(conn, [home for home in inside if home.household_id not in fresh], clerk)
    return [
        known[home.household_id]
        if home.household_id in known
        else _registered(home, fresh, flagged)
        for home in homes
    ]


def _registered(home: Ready, fresh: set[UUID], flagged: set[UUID]) -> Registered:
    if home.household_id not in fresh:
        return Registered(status="faulty", refusal="outside_area")
    status: Literal["clear", "review"] = "review" if home.household_id in flagged else "clear"
    return Registered(status=status, household_id=home.household_id)


async def _check(conn: AsyncConnection, fresh: Sequence[Ready], clerk: _Clerk) -> set[UUID]:
    """Search for everybody of these households, open their cases; return who has some."""
    whys: dict[UUID, Why] = {
        home.household_id: "declined" if home.records is None else "unsearchable"
        for home in fresh
        if not home.records
    }
    searched = [home for home in fresh if home.records]
    found: list[Found] = []
    if searched:
        found = await add_and_find(
            conn,
            [home.records or () for home in searched],
            {person_id: keys for home in searched for person_id, keys in home.keys.items()},
            model=clerk.desk.model,
            opener=Candidates(conn, clerk.desk.vault),
        )
    matched: list[Matched] = []
    for home, each in zip(searched, found, strict=True):
        matched += [Matched(pair=pair, partner_id=clerk.partner_id) for pair in each.pairs]
        if each.unsearched or each.crowded:
            # "Could not search" is never "found nothing".
            whys[home.household_id] = "unsearchable" if each.unsearched else "crowded"
    await open_fresh(conn, matched, model=clerk.desk.model, at=clerk.at, actor_id=clerk.actor_id)
    for household_id, why in whys.items():
        await open_unchecked(
            conn,
            household_id,
            why=why,
            partner_id=clerk.partner_id,
            at=clerk.at,
            actor_id=clerk.actor_id,
        )
    return set(whys) | {one.pair.household_id for one in matched}


async def _known(
    conn: AsyncConnection, homes: Sequence[Ready], clerk: _Clerk
) -> Mapping[UUID, Registered]:
    """Say of households whose reference is taken: the same registration, or another."""
    if not homes:
        return {}
    references = [home.reference_key for home in homes]
    rows = await fetch(conn, _KNOWN, clerk.partner_id, references)
    stored = {row[0]: (row[1], row[2], row[3]) for row in rows}
    undecided = {row[0] for row in await fetch(conn, _OPEN, [row[1] for row in rows])}
    told = {}
    for home in homes:
        if home.reference_key not in stored:
            continue  # it is outside our area
        household_id, content_key, has_ended = stored[home.reference_key]
        if has_ended:
            told[home.household_id] = Registered(status="faulty", refusal="household_ended")
        elif content_key != home.content_key:
            told[home.household_id] = Registered(
                status="faulty", refusal="reference_taken", taken_by=household_id
            )
        else:
            told[home.household_id] = Registered(
                status="review" if household_id in undecided else "clear",
                household_id=household_id,
                is_known=True,
            )
    return told
