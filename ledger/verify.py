"""Verify the whole ledger: every leaf, every checkpoint, every balance, every attempt."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from sqlalchemy import Row, RowMapping, text
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger import note
from ledger.account import Account
from ledger.merkle import Accumulator, Mark, SealedTransfer, leaf_hash, leaf_of
from ledger.seal import FIELDS

PAGE = 10_000
FAULTS_MAX = 100
FIELDS_SEALED = len(SealedTransfer.__struct_fields__)


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is not as it was sealed or may not be; `detail` names ids only."""

    kind: str
    detail: str


class Verification(msgspec.Struct, frozen=True, kw_only=True):
    """What verifying found. `faults` holds 100 at most; `unsealed` transfers await the sealer."""

    whole: bool
    transfers: int
    leaves: int
    unsealed: int
    checkpoint_size: int
    root: str
    faults: list[Fault]


class _Finding:
    """The log as far as it has been walked, and the faults so far."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []
        self.log = Accumulator()
        self.before: tuple[int, bytes] | None = None

    def fault(self, kind: str, detail: object) -> None:
        if len(self.faults) < FAULTS_MAX:
            self.faults.append(Fault(kind=kind, detail=str(detail)))


# Read at once, so that a seal that commits while we walk does not look like a fault.
_BOUNDS = text("""
    SELECT (SELECT coalesce(max(leaf_no) + 1, 0) FROM ledger.leaf) AS leaves,
        (SELECT coalesce(max(size), 0) FROM ledger.checkpoint) AS signed,
        (SELECT count(*) FROM ledger.transfer) AS transfers""")

_LEAVES = text(f"""
    SELECT {FIELDS}, l.leaf_no, l.salt, l.leaf_hash, l.transfer_id AS leaf_transfer_id
    FROM ledger.leaf l LEFT JOIN ledger.transfer t USING (transfer_id)
    WHERE l.leaf_no >= :start AND l.leaf_no < :end ORDER BY l.leaf_no""")  # noqa: S608 -- our own names

_CHECKPOINTS = text("""
    SELECT size, root, note FROM ledger.checkpoint
    WHERE size > :above AND size <= :signed ORDER BY size LIMIT :page""")

# A transfer without a leaf is new if it stands behind the last sealed one; before it, somebody
# slipped it in.
# Those that are finished behind one leaf and up to another.
_MARKS = text("""
    SELECT level, place, root FROM ledger.mark
    WHERE place >= (CAST(:start AS bigint) >> level) AND place < (CAST(:until AS bigint) >> level)
    ORDER BY level, place""")

_MARKS_BEYOND = text("""
    SELECT level || '/' || place FROM ledger.mark
    WHERE place >= (CAST(:leaves AS bigint) >> level) ORDER BY level, place LIMIT :page""")

_UNSEALED = text("""
    WITH last AS (
        SELECT t.xid, t.transfer_id FROM ledger.leaf JOIN ledger.transfer t USING (transfer_id)
        WHERE leaf_no < :leaves ORDER BY leaf_no DESC LIMIT 1
    )
    SELECT t.transfer_id, coalesce((t.xid, t.transfer_id) < (last.xid, last.transfer_id), false)
        AS slipped_in
    FROM ledger.transfer t LEFT JOIN last ON true
    WHERE NOT EXISTS (SELECT FROM ledger.leaf l WHERE l.transfer_id = t.transfer_id)
    ORDER BY slipped_in DESC, t.transfer_id LIMIT :page""")

_ACCOUNTS = text("""
    SELECT account_id, code, currency, normal FROM ledger.account
    WHERE account_id > :after ORDER BY account_id LIMIT :page""")

_CHECKS = {
    "balance_differs": """
        SELECT coalesce(moved.account_id, delta.account_id) AS detail
        FROM (SELECT account_id, sum(debit) AS debit, sum(credit) AS credit FROM (
                SELECT debit_account AS account_id, amount_minor AS debit, 0 AS credit
                FROM ledger.transfer
                UNION ALL SELECT credit_account, 0, amount_minor FROM ledger.transfer) AS side
            GROUP BY account_id) AS moved
        FULL JOIN (SELECT account_id, sum(debit_minor) AS debit, sum(credit_minor) AS credit
            FROM ledger.delta GROUP BY account_id) AS delta USING (account_id)
        WHERE (moved.debit, moved.credit) IS DISTINCT FROM (delta.debit, delta.credit)""",
    "snapshot_differs": """
        SELECT s.account_id AS detail
        FROM (SELECT DISTINCT ON (account_id) * FROM ledger.snapshot
              ORDER BY account_id, below DESC) AS s
        CROSS JOIN LATERAL (
            SELECT coalesce(sum(debit_minor), 0) AS debit, coalesce(sum(credit_minor), 0) AS credit
            FROM ledger.delta WHERE account_id = s.account_id AND xid < s.below) AS d
        WHERE (s.debit_minor, s.credit_minor) IS DISTINCT FROM (d.debit, d.credit)""",
    "account_differs": """
        SELECT t.transfer_id AS detail FROM ledger.transfer t
        LEFT JOIN ledger.account d ON d.account_id = t.debit_account
        LEFT JOIN ledger.account c ON c.account_id = t.credit_account
        WHERE t.amount_minor <= 0 OR t.debit_account = t.credit_account
            OR (d.currency, d.partner_id) IS DISTINCT FROM (t.currency, t.partner_id)
            OR (c.currency, c.partner_id) IS DISTINCT FROM (t.currency, t.partner_id)""",
    "below_floor": """
        SELECT a.account_id AS detail FROM ledger.account a JOIN ledger.delta d USING (account_id)
        WHERE a.floor_minor IS NOT NULL GROUP BY a.account_id, a.normal, a.floor_minor
        HAVING sum(d.debit_minor - d.credit_minor)
            * CASE a.normal WHEN 'debit' THEN 1 ELSE -1 END < a.floor_minor""",
    "outcome_twice": """
        SELECT payment_id || '/' || attempt_no AS detail FROM ledger.outcome
        GROUP BY payment_id, attempt_no HAVING count(*) > 1""",
    "outcome_without_attempt": """
        SELECT o.payment_id || '/' || o.attempt_no AS detail FROM ledger.outcome o
        WHERE NOT EXISTS (SELECT FROM ledger.attempt a
            WHERE (a.payment_id, a.attempt_no, a.partner_id)
                = (o.payment_id, o.attempt_no, o.partner_id))""",
    "attempt_without_void": """
        SELECT a.payment_id || '/' || a.attempt_no AS detail FROM ledger.attempt a
        WHERE a.attempt_no > 1 AND NOT EXISTS (SELECT FROM ledger.outcome o
            WHERE o.payment_id = a.payment_id AND o.attempt_no = a.attempt_no - 1
                AND o.outcome = 'void')""",
    "attempt_after_delivery": """
        SELECT a.payment_id || '/' || a.attempt_no AS detail FROM ledger.attempt a
        JOIN ledger.outcome o ON o.payment_id = a.payment_id AND o.attempt_no < a.attempt_no
        WHERE o.outcome = 'post'""",
    "attempt_amount_differs": """
        SELECT DISTINCT a.payment_id || '/' || a.attempt_no AS detail FROM ledger.attempt a
        JOIN ledger.transfer t USING (payment_id, attempt_no)
        WHERE t.kind = 'reserve'
            AND (a.amount_minor, a.currency) IS DISTINCT FROM (t.amount_minor, t.currency)""",
    "giveback_without_reversal": """
        SELECT DISTINCT g.payment_id || '/' || g.attempt_no AS detail FROM ledger.giveback g
        JOIN ledger.transfer t USING (payment_id, attempt_no)
        WHERE t.kind = 'post'
            AND NOT EXISTS (SELECT FROM ledger.transfer r WHERE r.reverses = t.transfer_id)""",
    "reversal_without_giveback": """
        SELECT r.transfer_id AS detail FROM ledger.transfer r
        JOIN ledger.transfer o ON o.transfer_id = r.reverses
        WHERE o.kind = 'post' AND o.payment_id IS NOT NULL
            AND NOT EXISTS (SELECT FROM ledger.giveback g
                WHERE (g.payment_id, g.attempt_no, g.partner_id)
                    = (o.payment_id, o.attempt_no, o.partner_id))""",
    "booked_without_outcome": """
        SELECT t.transfer_id AS detail FROM ledger.transfer t
        WHERE t.kind IN ('post', 'void') AND t.payment_id IS NOT NULL
            AND NOT EXISTS (SELECT FROM ledger.outcome o
                WHERE (o.payment_id, o.attempt_no, o.outcome)
                    = (t.payment_id, t.attempt_no, t.kind))""",
    "reversal_differs": """
        SELECT r.transfer_id AS detail FROM ledger.transfer r
        LEFT JOIN ledger.transfer o ON o.transfer_id = r.reverses
        WHERE r.reverses IS NOT NULL
            AND (r.debit_account, r.credit_account, r.currency, r.amount_minor)
                IS DISTINCT FROM (o.credit_account, o.debit_account, o.currency, o.amount_minor)""",
}


async def verify(
    conn: AsyncConnection, *, public_key: Ed25519PublicKey, name: str, kept: Sequence[str] = ()
) -> Verification:
    """Walk the ledger and say whether it is whole; acts as an auditor, who sees everything.

    `kept` are signed checkpoints that partners kept: only with one of them can a tail that was
    deleted together with its checkpoint, or a history written anew, be seen.
    """
    bounds = (await conn.execute(_BOUNDS)).mappings().one()
    finding = _Finding()
    roots = _kept_roots(finding, kept, public_key=public_key, name=name)
    await _walk(conn, finding, bounds, roots, public_key=public_key, name=name)
    if bounds["signed"] != bounds["leaves"]:
        kind = "leaves_deleted" if bounds["signed"] > bounds["leaves"] else "leaves_unsigned"
        finding.fault(kind, f"{bounds['leaves']} leaves, checkpoint at {bounds['signed']}")
    for size in sorted(roots):
        if size > bounds["leaves"]:
            finding.fault("kept_checkpoint_ahead", size)
    unsealed = await _unsealed(conn, finding, bounds)
    await _accounts(conn, finding)
    for kind, check in _CHECKS.items():
        found = await conn.execute(text(f"{check} ORDER BY detail LIMIT {FAULTS_MAX}"))
        for detail in found.scalars():
            finding.fault(kind, detail)
    return Verification(
        whole=not finding.faults,
        transfers=bounds["transfers"],
        leaves=bounds["leaves"],
        unsealed=unsealed,
        checkpoint_size=bounds["signed"],
        root=finding.log.root().hex(),
        faults=finding.faults,
    )


def _kept_roots(
    finding: _Finding, kept: Sequence[str], *, public_key: Ed25519PublicKey, name: str
) -> dict[int, bytes]:
    roots: dict[int, bytes] = {}
    for signed in kept:
        said = note.read_checkpoint(signed, public_key=public_key, name=name)
        if said is None:
            finding.fault("kept_checkpoint_unsigned", "")
        elif roots.setdefault(said.size, said.root) != said.root:
            finding.fault("kept_checkpoints_fork", said.size)
    return roots


async def _walk(
    conn: AsyncConnection,
    finding: _Finding,
    bounds: RowMapping,
    kept: dict[int, bytes],
    *,
    public_key: Ed25519PublicKey,
    name: str,
) -> None:
    """Recompute every leaf, and the root at each size that a checkpoint speaks of."""
    signed: dict[int, bytes] = {}
    above = expected = 0
    for start in range(0, bounds["leaves"], PAGE):
        # A range, not a limit: to find the first so many the planner would join all that follow.
        end = min(start + PAGE, bounds["leaves"])
        page = (await conn.execute(_LEAVES, {"start": start, "end": end})).all()
        # The checkpoints that lie within this page: no more than it has leaves.
        facts = {"above": above, "signed": min(end, bounds["signed"]), "page": PAGE}
        for point in (await conn.execute(_CHECKPOINTS, facts)).mappings():
            above = point["size"]
            signed[above] = point["root"]
            _check_note(finding, point, public_key=public_key, name=name)
        expected = _add_page(finding, page, expected, (signed, kept))
        signed.clear()
        await _check_marks(conn, finding, start, end)
    start = expected
    beyond = await conn.scalars(_MARKS_BEYOND, {"leaves": start, "page": FAULTS_MAX})
    for detail in beyond:
        finding.fault("mark_beyond_leaves", detail)
    facts = {"above": above, "signed": bounds["signed"], "page": PAGE}
    for point in (await conn.execute(_CHECKPOINTS, facts)).mappings():
        finding.fault("checkpoint_beyond_leaves", point["size"])


def _add_page(
    finding: _Finding,
    page: Sequence[Row[Any]],
    start: int,
    roots: tuple[Mapping[int, bytes], Mapping[int, bytes]],
) -> int:
    """Add leaves from `start` on, and compare the root at every size that is spoken of."""
    signed, kept = roots
    for row in page:
        if row.leaf_no != start:
            finding.fault("leaf_gap", start)
        _add_leaf(finding, row)
        start = row.leaf_no + 1
        if start in signed and signed[start] != finding.log.root():
            finding.fault("root_differs", start)
        if start in kept and kept[start] != finding.log.root():
            finding.fault("kept_checkpoint_differs", start)
    return start


async def _check_marks(conn: AsyncConnection, finding: _Finding, start: int, until: int) -> None:
    """Compare the marks that were finished by these leaves with those that are kept."""
    found = await conn.execute(_MARKS, {"start": start, "until": until})
    kept = {Mark(*row) for row in found}
    recomputed = set(finding.log.marks)
    finding.log.marks.clear()
    for level, place in sorted({(one.level, one.place) for one in kept ^ recomputed}):
        finding.fault("mark_differs", f"{level}/{place}")


def _check_note(
    finding: _Finding, row: RowMapping, *, public_key: Ed25519PublicKey, name: str
) -> None:
    said = note.read_checkpoint(row["note"], public_key=public_key, name=name)
    if said is None:
        finding.fault("checkpoint_unsigned", row["size"])
    elif (said.size, said.root) != (row["size"], row["root"]):
        finding.fault("checkpoint_differs", row["size"])


def _add_leaf(finding: _Finding, row: Row[Any]) -> None:
    if row.transfer_id is None:
        finding.fault("transfer_missing", f"leaf {row.leaf_no}: {row.leaf_transfer_id}")
        finding.log.add(row.leaf_hash)
        return
    leaf = leaf_hash(leaf_of(row[:FIELDS_SEALED], row.salt))
    if leaf != row.leaf_hash:
        finding.fault("leaf_differs", f"leaf {row.leaf_no}: {row.transfer_id}")
    place = (row.xid, row.transfer_id.bytes)
    if finding.before is not None and place <= finding.before:
        finding.fault("leaf_out_of_order", f"leaf {row.leaf_no}: {row.transfer_id}")
    finding.before = place
    finding.log.add(leaf)


async def _accounts(conn: AsyncConnection, finding: _Finding) -> None:
    """Recompute every account's id; leaves name accounts by it, so a code is sealed only there."""
    after = UUID(int=0)
    while True:
        page = (await conn.execute(_ACCOUNTS, {"after": after, "page": PAGE})).mappings().all()
        if not page:
            return
        for row in page:
            if _is_renamed(row):
                finding.fault("account_renamed", row["account_id"])
        after = page[-1]["account_id"]


def _is_renamed(row: RowMapping) -> bool:
    try:
        account = Account(code=row["code"], currency=row["currency"], normal=row["normal"])
    except ValueError:
        # No account is opened in a currency that is not known, so this one was edited.
        return True
    return bool(account.account_id != row["account_id"])


async def _unsealed(conn: AsyncConnection, finding: _Finding, bounds: RowMapping) -> int:
    """Return how many transfers wait for the sealer; report those that stand in sealed ground."""
    facts = {"leaves": bounds["leaves"], "page": FAULTS_MAX}
    for row in (await conn.execute(_UNSEALED, facts)).mappings():
        if row["slipped_in"]:
            finding.fault("transfer_unsealed", row["transfer_id"])
    count = await conn.execute(
        text(
            "SELECT count(*) FROM ledger.transfer t"
            " WHERE NOT EXISTS (SELECT FROM ledger.leaf l WHERE l.transfer_id = t.transfer_id)"
        )
    )
    return int(count.scalar_one())
