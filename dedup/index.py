"""Make persons findable: store their matching keys."""

from collections.abc import Iterable, Mapping, Sequence
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from dedup.blocking import Hasher, texts
from dedup.record import Record

# Each person's matching keys, and by which rule (`document`, `token-date` …) each was made.
Keyed = Mapping[UUID, Mapping[int, str]]

# A transaction holding one lock per key must not exhaust the server's lock table (about 6,400
# on default settings, for all connections together).
KEYS_LOCKED_MAX = 400


def keyed(records: Iterable[Record], hasher: Hasher) -> Keyed:
    """Make the keys of all records, by person: once, for `add` and `find` both."""
    return {
        record.person_id: {hasher(text): text.partition(" ")[0] for text in texts(record)}
        for record in records
    }


async def add(conn: AsyncConnection, records: Sequence[Record], keys: Keyed) -> None:
    """Store the keys of all records; adding one twice changes nothing.

    Call it once per transaction, before `find`, under READ COMMITTED: it waits for any other
    registration that shares a key, so that of two registrations of one person at the same
    moment the later sees the earlier.
    """
    rows = [(key, at) for at, record in enumerate(records) for key in keys[record.person_id]]
    await conn.execute(
        text(
            "SELECT dedup.add(:person_ids ::uuid[], :owners ::integer[], :keys ::bigint[],"
            " :keys_locked_max ::integer)"
        ),
        {
            "person_ids": [record.person_id for record in records],
            # From one: so PostgreSQL counts the places of an array.
            "owners": [at + 1 for _, at in rows],
            "keys": [key for key, _ in rows],
            "keys_locked_max": KEYS_LOCKED_MAX,
        },
    )


async def drop(conn: AsyncConnection, keys: Mapping[UUID, Iterable[int]]) -> None:
    """Take keys from persons, whose household an event of this transaction changes."""
    person_ids = sorted(keys)
    rows = [(at + 1, key) for at, one in enumerate(person_ids) for key in sorted(keys[one])]
    if rows:
        await conn.execute(
            text("SELECT dedup.drop(:person_ids ::uuid[], :owners ::integer[], :keys ::bigint[])"),
            {
                "person_ids": person_ids,
                "owners": [at for at, _ in rows],
                "keys": [key for _, key in rows],
            },
        )
