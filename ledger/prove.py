"""Prove that the log holds what it says: receipts of payments, and that it only grew."""

from uuid import UUID

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.merkle import (
    MARK_LEVELS,
    Range,
    SealedTransfer,
    consistency_path,
    inclusion_path,
    perfect_parts,
    root_of,
    root_over,
)
from ledger.receipt import Opening, Receipt
from ledger.refusal import CheckpointUnknown, NotSealed

# Attempts are few, and each has a handful of transfers.
TRANSFERS_MAX = 1_000

_LEAF_HASHES = text("""
    SELECT leaf_hash FROM ledger.leaf
    WHERE leaf_no >= :start AND leaf_no < :end ORDER BY leaf_no""")

_MARKS = text("""
    SELECT root FROM ledger.mark
    WHERE level = :level AND place >= :start AND place < :end ORDER BY place""")

_SEALED = text("""
    SELECT l.leaf_no, l.salt, t.transfer_id, t.entry_id, t.partner_id, t.kind, t.debit_account,
        t.credit_account, t.currency, t.amount_minor, t.payment_id, t.attempt_no, t.reverses,
        t.effective_on, t.posted_at, t.actor_id, t.xid
    FROM ledger.transfer t JOIN ledger.leaf l USING (transfer_id)
    WHERE t.payment_id = :payment_id AND l.leaf_no < :size ORDER BY l.leaf_no LIMIT :limit""")

_NEWEST = text("SELECT size, note FROM ledger.checkpoint ORDER BY size DESC LIMIT 1")

_AT = text("SELECT note FROM ledger.checkpoint WHERE size = :size")


async def receipt(conn: AsyncConnection, payment_id: UUID) -> Receipt:
    """Return what the newest checkpoint holds of a payment, to be checked by anybody.

    Raises NotSealed where it holds nothing of it: unknown, foreign, or waiting for the sealer.
    """
    newest = (await conn.execute(_NEWEST)).one_or_none()
    if newest is None:
        raise NotSealed(payment_id=payment_id)
    facts = {"payment_id": payment_id, "size": newest.size, "limit": TRANSFERS_MAX}
    rows = (await conn.execute(_SEALED, facts)).mappings().all()
    if not rows:
        raise NotSealed(payment_id=payment_id)
    openings = []
    for row in rows:
        path = inclusion_path(newest.size, row["leaf_no"])
        openings.append(
            Opening(
                leaf_no=row["leaf_no"],
                salt=row["salt"].hex(),
                transfer=msgspec.convert(
                    {name: row[name] for name in SealedTransfer.__struct_fields__}, SealedTransfer
                ),
                proof=tuple([(await subtree_root(conn, one)).hex() for one in path]),
            )
        )
    return Receipt(payment_id=payment_id, openings=tuple(openings), checkpoint=newest.note)


async def consistency(conn: AsyncConnection, old_size: int, new_size: int) -> list[bytes]:
    """Return the hashes that show one checkpoint's log to be the beginning of another's.

    Raises CheckpointUnknown for a size at which nothing was signed.
    """
    for size in (old_size, new_size):
        if await conn.scalar(_AT, {"size": size}) is None:
            raise CheckpointUnknown(size=size)
    if old_size > new_size:
        raise CheckpointUnknown(size=old_size)
    return [await subtree_root(conn, one) for one in consistency_path(old_size, new_size)]


async def subtree_root(conn: AsyncConnection, leaves: Range) -> bytes:
    """Return the root over a range of a proof's path, from marks and less than 256 leaves."""
    return root_over([await _perfect(conn, *part) for part in perfect_parts(*leaves)])


async def _perfect(conn: AsyncConnection, level: int, place: int) -> bytes:
    """Return the root of a perfect subtree from the marks, or leaves, up to 7 levels below it."""
    base = level - level % MARK_LEVELS
    many = 1 << (level - base)
    facts = {"start": place * many, "end": (place + 1) * many}
    if base:
        hashes = (await conn.scalars(_MARKS, {"level": base, **facts})).all()
    else:
        hashes = (await conn.scalars(_LEAF_HASHES, facts)).all()
    # The log has them, or something was deleted, and there is nothing to prove.
    assert len(hashes) == many
    return root_of(hashes)
