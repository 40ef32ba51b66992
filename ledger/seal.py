"""Seal committed transfers in the Merkle log and sign a checkpoint over it."""

from collections.abc import Callable
from datetime import datetime

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger import note
from ledger.merkle import SALT_BYTES, Accumulator, SealedTransfer, leaf_bytes, leaf_hash
from ledger.note import Checkpoint

TRANSFERS_MAX = 10_000
HASH_BYTES = 32

_LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended('ledger.seal', 0))")

_LAST = text("SELECT size, root, peaks FROM ledger.checkpoint ORDER BY size DESC LIMIT 1")

# Below the horizon every transaction has ended: no row can appear any more before the ones that
# are taken here, so the order (xid, transfer_id) is final.
_NEXT = text("""
    WITH last AS (
        SELECT t.xid, t.transfer_id FROM ledger.leaf JOIN ledger.transfer t USING (transfer_id)
        WHERE leaf_no = :size - 1
    )
    SELECT t.transfer_id, t.entry_id, t.partner_id, t.kind, t.debit_account, t.credit_account,
        t.currency, t.amount_minor, t.payment_id, t.attempt_no, t.reverses, t.effective_on,
        t.posted_at, t.actor_id, CAST(CAST(t.xid AS text) AS bigint) AS xid
    FROM ledger.transfer t
    WHERE t.xid < pg_snapshot_xmin(pg_current_snapshot())
        AND (NOT EXISTS (SELECT FROM last)
            OR (t.xid, t.transfer_id) > (SELECT xid, transfer_id FROM last))
    ORDER BY t.xid, t.transfer_id LIMIT :limit""")

_LEAVES = text("""
    INSERT INTO ledger.leaf (leaf_no, transfer_id, salt, leaf_hash)
    SELECT :size + position - 1, transfer_id, salt, leaf_hash
    FROM unnest(CAST(:transfer_ids AS uuid[]), CAST(:salts AS bytea[]), CAST(:hashes AS bytea[]))
        WITH ORDINALITY AS new(transfer_id, salt, leaf_hash, position)
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
    found = await conn.execute(_NEXT, {"size": size, "limit": min(limit, TRANSFERS_MAX)})
    transfers = [msgspec.convert(dict(row), SealedTransfer) for row in found.mappings()]
    if not transfers:
        return None
    salts = [random(SALT_BYTES) for _ in transfers]
    hashes = [
        leaf_hash(leaf_bytes(transfer, salt))
        for transfer, salt in zip(transfers, salts, strict=True)
    ]
    for leaf in hashes:
        log.add(leaf)
    signed = note.checkpoint(log.size, log.root(), signer=signer, name=name)
    leaves = {
        "size": size,
        "transfer_ids": [transfer.transfer_id for transfer in transfers],
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
