"""Prove that the log holds what it says: receipts, and that it only grew."""

from datetime import date
from uuid import UUID

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.merkle import (
    MARK_LEVELS,
    Range,
    SealedDigest,
    SealedTransfer,
    consistency_path,
    inclusion_path,
    perfect_parts,
    root_of,
    root_over,
)
from ledger.note import Checkpoint
from ledger.period import digest_id
from ledger.receipt import Opening, PeriodOpening, PeriodReceipt, Receipt
from ledger.refusal import CheckpointUnknown, NotSealed
from ledger.transfer import ids_beside
from ledger.witness import Consistency

# Attempts are few, and each has a handful of transfers.
TRANSFERS_MAX = 1_000
_FIELDS = ", ".join(f"t.{name}" for name in SealedTransfer.__struct_fields__)
_DIGEST_FIELDS = ", ".join(f"d.{name}" for name in SealedDigest.__struct_fields__)

_LEAF_HASHES = text("SELECT leaf_hash FROM ledger.leaf_hashes(:start, :end)")

_MARKS = text("""
    SELECT root FROM ledger.mark
    WHERE level = :level AND place >= :start AND place < :end ORDER BY place""")

# The transfers of a payment stand together: their ids begin as its does.
_SEALED = text(f"""
    SELECT {_FIELDS}, l.leaf_no, l.salt
    FROM ledger.transfer t JOIN ledger.leaf l ON l.sealed_id = t.transfer_id AND NOT l.is_digest
    WHERE t.transfer_id BETWEEN :first AND :last AND t.payment_id = :payment_id
        AND l.leaf_no < :size ORDER BY l.leaf_no LIMIT :limit""")  # noqa: S608 -- our own names

_SEALED_PERIOD = text(f"""
    SELECT {_DIGEST_FIELDS}, p.trial, l.leaf_no, l.salt
    FROM ledger.period p JOIN ledger.digest d USING (digest_id)
    JOIN ledger.leaf l ON l.sealed_id = d.digest_id AND l.is_digest
    WHERE d.digest_id = :digest_id AND l.leaf_no < :size""")  # noqa: S608 -- our own names

_NEWEST = text("SELECT size, root, note FROM ledger.checkpoint ORDER BY size DESC LIMIT 1")

_AT = text("SELECT note FROM ledger.checkpoint WHERE size = :size")


async def newest_checkpoint(conn: AsyncConnection) -> Checkpoint | None:
    """Return the newest signed checkpoint; None before anything is sealed."""
    row = (await conn.execute(_NEWEST)).one_or_none()
    return None if row is None else Checkpoint(size=row.size, root=row.root, note=row.note)


async def receipt(conn: AsyncConnection, payment_id: UUID) -> Receipt:
    """Return what the newest checkpoint holds of a payment, to be checked by anybody.

    Raises NotSealed where it holds nothing of it: unknown, foreign, or waiting for the sealer.
    """
    newest = await newest_checkpoint(conn)
    if newest is None:
        raise NotSealed(wanted=payment_id)
    first, last = ids_beside(payment_id)
    among = {"payment_id": payment_id, "first": first, "last": last}
    facts = {**among, "size": newest.size, "limit": TRANSFERS_MAX}
    rows = (await conn.execute(_SEALED, facts)).mappings().all()
    if not rows:
        raise NotSealed(wanted=payment_id)
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


async def period_receipt(conn: AsyncConnection, *, partner_id: UUID, until: date) -> PeriodReceipt:
    """Return the trial balance of a closed period with its proof, to be checked by anybody.

    Raises NotSealed where the newest checkpoint doesn't hold it: not closed, or waiting.
    """
    newest = await newest_checkpoint(conn)
    wanted = digest_id(partner_id, until)
    facts = {"digest_id": wanted, "size": 0 if newest is None else newest.size}
    row = (await conn.execute(_SEALED_PERIOD, facts)).mappings().one_or_none()
    if newest is None or row is None:
        raise NotSealed(wanted=until)
    path = inclusion_path(newest.size, row["leaf_no"])
    return PeriodReceipt(
        until=until,
        trial=row["trial"].decode(),
        opening=PeriodOpening(
            leaf_no=row["leaf_no"],
            salt=row["salt"].hex(),
            digest=msgspec.convert(
                {name: row[name] for name in SealedDigest.__struct_fields__}, SealedDigest
            ),
            proof=tuple([(await subtree_root(conn, one)).hex() for one in path]),
        ),
        checkpoint=newest.note,
    )


async def consistency(conn: AsyncConnection, old_size: int, new_size: int) -> Consistency:
    """Show one checkpoint's log to be the beginning of another's.

    Raises CheckpointUnknown for a size at which nothing was signed.
    """
    for size in (old_size, new_size):
        if await conn.scalar(_AT, {"size": size}) is None:
            raise CheckpointUnknown(size=size)
    if old_size > new_size:
        raise CheckpointUnknown(size=old_size)
    path = consistency_path(old_size, new_size)
    proof = tuple([(await subtree_root(conn, one)).hex() for one in path])
    return Consistency(old_size=old_size, new_size=new_size, proof=proof)


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
