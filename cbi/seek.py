"""Search for households together, where a record that doesn't open silences no other answer."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from cbi.identities import Candidates
from cbi.vault import Broken
from dedup.find import Found, Household
from dedup.find_all import find_all
from dedup.index import Keyed
from dedup.model import Model
from dedup.record import Record


async def seek(
    conn: AsyncConnection,
    households: Sequence[Sequence[Record]],
    keys: Keyed,
    *,
    model: Model,
    opener: Candidates,
) -> list[Found | None]:
    """Return what was found for each household; None where a record that is like it is damaged."""
    try:
        return [*await find_all(conn, households, keys, model=model, opener=opener)]
    except Broken:
        if len(households) == 1:
            return [None]
    half = len(households) // 2
    return [
        *await seek(conn, households[:half], keys, model=model, opener=opener),
        *await seek(conn, households[half:], keys, model=model, opener=opener),
    ]


async def open_all(opener: Candidates, household_ids: Sequence[UUID]) -> list[Household]:
    """Open households; those that don't open, the erased and who declined are missing."""
    try:
        return await opener.households(household_ids, are_searched=True)
    except Broken:
        if len(household_ids) == 1:
            return []
    half = len(household_ids) // 2
    return [
        *await open_all(opener, household_ids[:half]),
        *await open_all(opener, household_ids[half:]),
    ]
