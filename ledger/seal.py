"""Seal committed transfers and digests in the Merkle log and sign a checkpoint over it."""

from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger import note
from ledger.leaf import DIGEST_BODY, DIGEST_HEAD, TRANSFER_BODY, TRANSFER_HEAD
from ledger.merkle import SALT_BYTES, Accumulator, leaf_hash
from ledger.note import Checkpoint

TRANSFERS_MAX = 10_000
HASH_BYTES = 32

# One at a time. And by index, whatever the planner believes of a table that grows by a million
# rows between two of its looks.
_LOCK = text("""
    SELECT set_config('enable_seqscan', 'off', true), set_config('enable_bitmapscan', 'off', true),
        pg_advisory_xact_lock(hashtextextended('ledger.seal', 0))""")

_LAST = text("SELECT size, root, peaks FROM ledger.checkpoint ORDER BY size DESC LIMIT 1")

_SEALED_LAST = text("""
    SELECT s.xid, l.sealed_id, l.is_digest FROM ledger.leaf AS l
    CROSS JOIN LATERAL (
        SELECT xid FROM ledger.transfer WHERE transfer_id = l.sealed_id AND NOT l.is_digest
        UNION ALL SELECT xid FROM ledger.digest WHERE digest_id = l.sealed_id AND l.is_digest) AS s
    WHERE l.leaf_no = :leaf_no""")

# Below the horizon every transaction has ended: no row can appear any more before the ones that
# are taken here, so the order is final.
_NEXT = text(f"""
    (SELECT t.xid, t.transfer_id AS sealed_id, false AS is_digest, {TRANSFER_BODY} AS body
     FROM ledger.transfer AS t
     WHERE t.xid < ledger.ended_below() AND t.xid >= :xid
        AND (t.xid, t.transfer_id, false)
            > (CAST(:xid AS bigint), CAST(:sealed_id AS uuid), CAST(:is_digest AS boolean))
     ORDER BY t.xid, t.transfer_id LIMIT :limit)
    UNION ALL
    (SELECT d.xid, d.digest_id, true, {DIGEST_BODY}
     FROM ledger.digest AS d
     WHERE d.xid < ledger.ended_below() AND d.xid >= :xid
        AND (d.xid, d.digest_id, true)
            > (CAST(:xid AS bigint), CAST(:sealed_id AS uuid), CAST(:is_digest AS boolean))
     ORDER BY d.xid, d.digest_id LIMIT :limit)
    ORDER BY xid, sealed_id, is_digest LIMIT :limit""")  # noqa: S608 -- our own names

_LEAVES = text("""
    INSERT INTO ledger.leaf (leaf_no, sealed_id, is_digest, salt, leaf_hash)
    SELECT :size + position - 1, sealed_id, is_digest, salt, leaf_hash
    FROM unnest(CAST(:sealed_ids AS uuid[]), CAST(:are_digests AS boolean[]),
        CAST(:salts AS bytea[]), CAST(:hashes AS bytea[]))
        WITH ORDINALITY AS new(sealed_id, is_digest, salt, leaf_hash, position)
    ORDER BY position""")

_MARKS = text("""
    INSERT INTO ledger.mark (level, place, root)
    SELECT level, place, root
    FROM unnest(CAST(:levels AS smallint[]), CAST(:places AS bigint[]), CAST(:roots AS bytea[]))
        AS new(level, place, root)
    ORDER BY level, place""")

_CHECKPOINT = text("""
    INSERT INTO ledger.checkpoint (size, root, peaks, note, sealed_at)
    VALUES (:size, :root, :peaks, :note, :at)""")


class _Before(NamedTuple):
    xid: int
    sealed_id: UUID
    is_digest: bool


_NOTHING = _Before(0, UUID(int=0), is_digest=False)


async def seal(
    conn: AsyncConnection,
    *,
    signer: Ed25519PrivateKey,
    name: str,
    at: datetime,
    random: Callable[[int], bytes],
    limit: int = TRANSFERS_MAX,
) -> Checkpoint | None:
    """Append the oldest unsealed transfers to the log and sign it; None when there were none.

    Takes `limit` at most: call again, each time in a transaction of its own, until None. Acts as
    a sealer; two sealers take turns. Relies on READ COMMITTED. `random` gives n random bytes.
    """
    await conn.execute(_LOCK)
    last = (await conn.execute(_LAST)).one_or_none()
    log = Accumulator() if last is None else Accumulator(last.size, _split(last.peaks))
    # A checkpoint that contradicts its own peaks must not be built upon and signed again.
    assert last is None or log.root() == last.root
    size = log.size
    # A log without its last transfer was tampered with, and is not continued.
    before = (await conn.execute(_SEALED_LAST, {"leaf_no": size - 1})).one() if size else _NOTHING
    facts = {name: getattr(before, name) for name in _Before._fields}
    found = await conn.execute(_NEXT, {**facts, "limit": min(limit, TRANSFERS_MAX)})
    rows = found.all()
    if not rows:
        return None
    drawn = random(SALT_BYTES * len(rows))
    salts = [drawn[at : at + SALT_BYTES] for at in range(0, len(drawn), SALT_BYTES)]
    hashes = []
    for (_, _, is_digest, body), salt in zip(rows, salts, strict=True):
        leaf = leaf_hash((DIGEST_HEAD if is_digest else TRANSFER_HEAD) + salt + body)
        hashes.append(leaf)
        log.add(leaf)
    signed = note.checkpoint(log.size, log.root(), signer=signer, name=name)
    leaves = {
        "size": size,
        "sealed_ids": [row.sealed_id for row in rows],
        "are_digests": [row.is_digest for row in rows],
        "salts": salts,
        "hashes": hashes,
    }
    await conn.execute(_LEAVES, leaves)
    if log.marks:
        levels, places, roots = zip(*log.marks, strict=True)
        marks = {"levels": list(levels), "places": list(places), "roots": list(roots)}
        await conn.execute(_MARKS, marks)
    row = {"size": log.size, "root": log.root(), "peaks": b"".join(log.peaks)}
    await conn.execute(_CHECKPOINT, {**row, "note": signed.note, "at": at})
    return signed


def _split(peaks: bytes) -> list[bytes]:
    return [peaks[i : i + HASH_BYTES] for i in range(0, len(peaks), HASH_BYTES)]
