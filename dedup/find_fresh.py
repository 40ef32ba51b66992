"""Find for households that are registered together, as if one came after the other."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from dedup import index
from dedup.candidates import Candidates, Limits, choose
from dedup.find import Found, Opener, search_among, sharers
from dedup.find_all import split
from dedup.index import Keyed
from dedup.model import Model
from dedup.record import Record


async def add_and_find(
    conn: AsyncConnection,
    households: Sequence[Sequence[Record]],
    keys: Keyed,
    *,
    model: Model,
    opener: Opener,
    limits: Limits = Limits(),  # noqa: B008 -- frozen
) -> list[Found]:
    """Make households findable and return for each what it would find if added in its turn.

    So each finds everybody registered and those before it, and none that come after. They are
    stored in this transaction already, for `opener` opens them too. Nobody else adds keys until
    the transaction ends: keep it short.
    """
    records = [record for household in households for record in household]
    await conn.execute(select(func.dedup.lock_all_keys()))
    present, _ = await sharers(conn, records, keys, limits)
    added: defaultdict[int, list[UUID]] = defaultdict(list)
    candidates: dict[UUID, Candidates] = {}
    for household in households:
        candidates |= _chosen(household, keys, present, added, limits)
        await asyncio.sleep(0)
    found = await search_among(records, candidates, model=model, opener=opener)
    await index.add(conn, records, keys)
    return list(split(found, households))


def _chosen(
    household: Sequence[Record],
    keys: Keyed,
    present: dict[int, Sequence[UUID]],
    added: defaultdict[int, list[UUID]],
    limits: Limits,
) -> dict[UUID, Candidates]:
    """Choose for the persons of one household, and count them among those added."""
    rules: dict[int, str] = {}
    for record in household:
        for key, rule in keys[record.person_id].items():
            rules[key] = rule
            added[key].append(record.person_id)
    sharing = {key: (*present.get(key, ()), *added[key]) for key in rules}
    crowds = frozenset(key for key, rule in rules.items() if len(sharing[key]) > limits.of(rule))
    own = frozenset(record.person_id for record in household)
    return {
        record.person_id: choose(keys[record.person_id], sharing, crowds, own=own, limits=limits)
        for record in household
    }
