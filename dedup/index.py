"""Make persons findable: store their matching keys."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from dedup.blocking import Hasher, keys
from dedup.record import Record

# A transaction holding one lock per key must not exhaust the server's lock table (about 6,400
# on default settings, for all connections together).
KEYS_LOCKED_MAX = 400

_LOCK_INDEX = text("SELECT pg_advisory_xact_lock(hashtextextended('dedup.key_entry', 0))")
_SHARE_INDEX = text("SELECT pg_advisory_xact_lock_shared(hashtextextended('dedup.key_entry', 0))")
# Locks are taken in the order of the rows, and the rows are sorted, so two registrations that
# share several keys never wait for each other crosswise.
_LOCK_KEYS = text(
    "SELECT count(pg_advisory_xact_lock(s.key)) FROM"
    " (SELECT q.key FROM unnest(:keys ::bigint[]) AS q(key) ORDER BY q.key OFFSET 0) AS s"
)


async def add(
    conn: AsyncConnection, records: Sequence[Record], *, partner_id: UUID, hasher: Hasher
) -> None:
    """Store the keys of all records; adding one twice changes nothing.

    Call it once per transaction, before `find`, under READ COMMITTED: it waits for any other
    registration that shares a key, so that of two registrations of one person at the same
    moment the later sees the earlier.
    """
    rows = [(key, record) for record in records for key in keys(record, hasher)]
    await _lock(conn, sorted({key for key, _ in rows}))
    await conn.execute(
        text(
            "INSERT INTO dedup.key_entry (key, person_id, household_id, partner_id)"
            " SELECT q.key, q.person_id, q.household_id, :partner_id ::uuid"
            " FROM unnest(:keys ::bigint[], :person_ids ::uuid[], :household_ids ::uuid[])"
            " AS q(key, person_id, household_id) ORDER BY q.key, q.person_id"
            " ON CONFLICT DO NOTHING"
        ),
        {
            "keys": [key for key, _ in rows],
            "person_ids": [record.person_id for _, record in rows],
            "household_ids": [record.household_id for _, record in rows],
            "partner_id": partner_id,
        },
    )


async def _lock(conn: AsyncConnection, wanted: Sequence[int]) -> None:
    """Keep others with one of these keys waiting until this transaction ends.

    A small add shares the lock of the whole index and takes one per key; a large one (an
    import) takes the whole index for itself.
    """
    if len(wanted) > KEYS_LOCKED_MAX:
        await conn.execute(_LOCK_INDEX)
        return
    await conn.execute(_SHARE_INDEX)
    await conn.execute(_LOCK_KEYS, {"keys": wanted})
