"""Verify the whole ledger: every leaf, every checkpoint, every balance, every attempt."""

import asyncio
from collections.abc import Mapping, Sequence
from uuid import UUID

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from sqlalchemy import Row, RowMapping, text
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger import note
from ledger.account import Account
from ledger.checks import CHECKS
from ledger.exchanges import exchanges
from ledger.leaf import DIGEST_BODY, DIGEST_HEAD, TRANSFER_BODY, TRANSFER_HEAD
from ledger.merkle import Accumulator, Mark, leaf_hash
from ledger.period import digest_id, trial_bytes
from ledger.trial import trial_balance

PAGE = 10_000
FAULTS_MAX = 100
# A number, its salt and hash; what is sealed, which of the two it is, in which transaction, and its
# body.
_Leaf = Row[int, bytes, bytes, UUID, bool, int | None, bytes | None]


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
        self.before: tuple[int, UUID, bool] | None = None

    def fault(self, kind: str, detail: object) -> None:
        if len(self.faults) < FAULTS_MAX:
            self.faults.append(Fault(kind=kind, detail=str(detail)))


_BOUNDS = text("""
    SELECT (SELECT coalesce(max(leaf_no) + 1, 0) FROM ledger.leaf) AS leaves,
        (SELECT coalesce(max(size), 0) FROM ledger.checkpoint) AS signed,
        (SELECT count(*) FROM ledger.transfer) AS transfers,
        current_setting('transaction_isolation') AS isolation""")

_LEAVES = text(f"""
    SELECT l.leaf_no, l.salt, l.leaf_hash, l.sealed_id, l.is_digest, coalesce(t.xid, d.xid) AS xid,
        CASE WHEN l.is_digest THEN {DIGEST_BODY} ELSE {TRANSFER_BODY} END AS body
    FROM ledger.leaf AS l
    LEFT JOIN ledger.transfer AS t ON t.transfer_id = l.sealed_id AND NOT l.is_digest
    LEFT JOIN ledger.digest AS d ON d.digest_id = l.sealed_id AND l.is_digest
    WHERE l.leaf_no >= :start AND l.leaf_no < :end ORDER BY l.leaf_no""")  # noqa: S608 -- our own names

_CHECKPOINTS = text("""
    SELECT size, root, peaks, note FROM ledger.checkpoint
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
        SELECT coalesce(t.xid, d.xid) AS xid, l.sealed_id, l.is_digest FROM ledger.leaf AS l
        LEFT JOIN ledger.transfer AS t ON t.transfer_id = l.sealed_id AND NOT l.is_digest
        LEFT JOIN ledger.digest AS d ON d.digest_id = l.sealed_id AND l.is_digest
        WHERE l.leaf_no < :leaves ORDER BY l.leaf_no DESC LIMIT 1
    ), made AS (
        SELECT xid, transfer_id AS sealed_id, false AS is_digest FROM ledger.transfer
        UNION ALL SELECT xid, digest_id, true FROM ledger.digest
    ), waiting AS (
        SELECT m.sealed_id, coalesce((m.xid, m.sealed_id, m.is_digest)
            < (last.xid, last.sealed_id, last.is_digest), false) AS slipped_in
        FROM made AS m LEFT JOIN last ON true
        WHERE NOT EXISTS (SELECT FROM ledger.leaf AS l
            WHERE l.sealed_id = m.sealed_id AND l.is_digest = m.is_digest))
    SELECT sealed_id, slipped_in, count(*) OVER () AS waiting FROM waiting
    ORDER BY slipped_in DESC, sealed_id LIMIT :page""")

_PERIODS = text(
    "SELECT partner_id, until, trial, digest_id FROM ledger.period ORDER BY partner_id, until"
)

_ACCOUNTS = text("""
    SELECT account_id, code, currency, normal, floor_minor FROM ledger.account
    WHERE account_id > :after ORDER BY account_id LIMIT :page""")


async def verify(
    conn: AsyncConnection, *, public_key: Ed25519PublicKey, name: str, kept: Sequence[str] = ()
) -> Verification:
    """Walk the ledger and say whether it is whole; acts as an auditor, who sees everything.

    Needs a transaction that sees one moment (REPEATABLE READ): what is posted and sealed while it
    walks would look like a fault.
    `kept` are signed checkpoints that partners kept: only with one of them can a tail that was
    deleted together with its checkpoint, or a history written anew, be seen.
    """
    bounds = (await conn.execute(_BOUNDS)).mappings().one()
    assert bounds["isolation"] == "repeatable read"
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
    await _periods(conn, finding)
    async for entry_id, exchange in exchanges(conn):
        if exchange is None or exchange.entry_id != entry_id:
            finding.fault("exchange_edited", entry_id)
    for kind, check in CHECKS.items():
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
    above = 0
    fetching = _fetch(conn, 0, bounds["leaves"])
    try:
        for start in range(0, bounds["leaves"], PAGE):
            end = min(start + PAGE, bounds["leaves"])
            page = await fetching
            # The checkpoints that lie within this page: no more than it has leaves.
            facts = {"above": above, "signed": min(end, bounds["signed"]), "page": PAGE}
            signed: dict[int, tuple[bytes, bytes]] = {}
            for point in (await conn.execute(_CHECKPOINTS, facts)).mappings():
                above = point["size"]
                signed[above] = point["root"], point["peaks"]
                _check_note(finding, point, public_key=public_key, name=name)
            marks = {
                Mark(*row) for row in await conn.execute(_MARKS, {"start": start, "until": end})
            }
            # The database encodes the next page while this one is hashed.
            fetching = _fetch(conn, end, bounds["leaves"])
            await asyncio.sleep(0)
            _add_page(finding, page, start, (signed, kept))
            _check_marks(finding, marks)
    finally:
        await asyncio.wait([fetching])
    beyond = await conn.scalars(_MARKS_BEYOND, {"leaves": bounds["leaves"], "page": FAULTS_MAX})
    for detail in beyond:
        finding.fault("mark_beyond_leaves", detail)
    facts = {"above": above, "signed": bounds["signed"], "page": PAGE}
    for point in (await conn.execute(_CHECKPOINTS, facts)).mappings():
        finding.fault("checkpoint_beyond_leaves", point["size"])


def _fetch(conn: AsyncConnection, start: int, leaves: int) -> asyncio.Task[Sequence[_Leaf]]:
    """Begin to fetch the leaves of a page; behind the last there are none."""

    async def fetched() -> Sequence[_Leaf]:
        # A range, not a limit: to find the first so many the planner would join all that follow.
        facts = {"start": start, "end": min(start + PAGE, leaves)}
        return (await conn.execute(_LEAVES, facts)).all() if start < leaves else []

    return asyncio.create_task(fetched())


def _add_page(
    finding: _Finding,
    page: Sequence[_Leaf],
    expected: int,
    roots: tuple[Mapping[int, tuple[bytes, bytes]], Mapping[int, bytes]],
) -> None:
    """Add leaves from `expected` on, and compare the root at every size that is spoken of."""
    signed, kept = roots
    log = finding.log
    for leaf_no, salt, kept_hash, sealed_id, is_digest, xid, body in page:
        if leaf_no != expected:
            finding.fault("leaf_gap", expected)
        expected = leaf_no + 1
        if body is not None:
            leaf = leaf_hash((DIGEST_HEAD if is_digest else TRANSFER_HEAD) + salt + body)
        else:
            finding.fault("transfer_missing", f"leaf {leaf_no}: {sealed_id}")
            leaf = kept_hash
        if leaf != kept_hash:
            finding.fault("leaf_differs", f"leaf {leaf_no}: {sealed_id}")
        if xid is not None:
            place = (xid, sealed_id, is_digest)
            if finding.before is not None and place <= finding.before:
                finding.fault("leaf_out_of_order", f"leaf {leaf_no}: {sealed_id}")
            finding.before = place
        log.add(leaf)
        if expected in signed:
            _check_point(finding, expected, *signed[expected])
        if expected in kept and kept[expected] != log.root():
            finding.fault("kept_checkpoint_differs", expected)


def _check_point(finding: _Finding, size: int, root: bytes, peaks: bytes) -> None:
    if root != finding.log.root():
        finding.fault("root_differs", size)
    elif peaks != b"".join(finding.log.peaks):
        finding.fault("peaks_differ", size)


def _check_marks(finding: _Finding, kept: set[Mark]) -> None:
    """Compare the marks that were finished by these leaves with those that are kept."""
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


async def _periods(conn: AsyncConnection, finding: _Finding) -> None:
    """Sum up every closed period again, and compare with what was said of it when it was closed."""
    for partner_id, until, trial, kept_id in (await conn.execute(_PERIODS)).all():
        if kept_id != digest_id(partner_id, until):
            finding.fault("period_unsealed", f"{partner_id}/{until}")
        rows = await trial_balance(conn, booked_until=until, partner_id=partner_id)
        if trial_bytes(until, rows) != trial:
            finding.fault("period_differs", f"{partner_id}/{until}")


def _is_renamed(row: RowMapping) -> bool:
    try:
        account = Account(**{name: row[name] for name in Account.__struct_fields__})
    except ValueError:
        # No account is opened in a currency that is not known, so this one was edited.
        return True
    return bool(account.account_id != row["account_id"])


async def _unsealed(conn: AsyncConnection, finding: _Finding, bounds: RowMapping) -> int:
    """Return how many wait for the sealer; report those that stand in sealed ground."""
    facts = {"leaves": bounds["leaves"], "page": FAULTS_MAX}
    rows = (await conn.execute(_UNSEALED, facts)).all()
    for row in rows:
        if row.slipped_in:
            finding.fault("transfer_unsealed", row.sealed_id)
    return rows[0].waiting if rows else 0
