"""The Merkle tree of RFC 6962 (hashing as in RFC 9162), and what a transfer's leaf is.

Leaves are hashed with a 0x00 before them and inner nodes with 0x01, so that neither can be taken
for the other.
"""

import struct
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from typing import NamedTuple
from uuid import UUID

import msgspec

EMPTY_ROOT = sha256(b"").digest()
SALT_BYTES = 16
MARK_LEVELS = 8
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
Range = tuple[int, int]  # leaves from, and up to but without


class SealedTransfer(msgspec.Struct, frozen=True, kw_only=True):
    """A transfer as the log seals it: every column, and no personal data among them."""

    transfer_id: UUID
    entry_id: UUID
    partner_id: UUID
    kind: str
    debit_account: UUID
    credit_account: UUID
    currency: str
    amount_minor: int
    payment_id: UUID | None
    attempt_no: int | None
    reverses: UUID | None
    effective_on: date
    booked_on: date | None
    posted_at: datetime
    actor_id: UUID
    xid: int


class SealedDigest(msgspec.Struct, frozen=True, kw_only=True):
    """A digest as the log seals it, of something that lies outside the transfers."""

    digest_id: UUID
    partner_id: UUID
    subject: str
    sha256: bytes
    made_at: datetime
    actor_id: UUID
    xid: int


Sealed = SealedTransfer | SealedDigest
VERSIONS: dict[type, bytes] = {
    SealedTransfer: b"cbi-transfer-v2",
    SealedDigest: b"cbi-digest-v1",
}


def leaf_bytes(sealed: Sealed, salt: bytes) -> bytes:
    """Encode what is sealed for its leaf: version, salt, then each field with its length before it.

    Without the salt nobody can test a guess of a transfer against its leaf hash.
    """
    if len(salt) != SALT_BYTES:
        raise ValueError(f"a salt has {SALT_BYTES} bytes")
    return head_of(type(sealed)) + salt + body_of(sealed)


def head_of(sealed: type) -> bytes:
    """Return what a leaf begins with: its version, and the length of the salt that follows."""
    return _with_length(VERSIONS[sealed]) + struct.pack(">I", SALT_BYTES)


def body_of(sealed: Sealed) -> bytes:
    """Encode the fields, in their order; `ledger/leaf.py` lets the database do the same."""
    return b"".join(_field(getattr(sealed, name)) for name in sealed.__struct_fields__)


def _with_length(part: bytes) -> bytes:
    return struct.pack(">I", len(part)) + part


def _field(value: object) -> bytes:
    """Write one value so that its type shows: nothing, an id, a number, a text, a day, a time."""
    match value:
        case None:
            part = b"n"
        case UUID():
            part = b"u" + value.bytes
        case int():
            part = b"i" + str(value).encode()
        case str():
            part = b"s" + value.encode()
        case bytes():
            part = b"b" + value
        case datetime():
            part = b"t" + str((value - EPOCH) // timedelta(microseconds=1)).encode()
        case date():
            part = b"d" + value.isoformat().encode()
        case _:
            raise TypeError(f"{type(value).__name__} has no place in a leaf")
    return _with_length(part)


def leaf_hash(leaf: bytes) -> bytes:
    """Hash one leaf's bytes."""
    return sha256(b"\x00" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash two subtrees into one."""
    return sha256(b"\x01" + left + right).digest()


class Mark(NamedTuple):
    """The root of a perfect subtree, kept so that a proof need not read the whole log.

    It covers 2^level leaves; `place` counts the subtrees of that level from the left.
    """

    level: int
    place: int
    root: bytes


class Accumulator:
    """The root of a log that only grows, from O(log n) hashes.

    `peaks` are the roots of the perfect subtrees that make up the log, largest first: one for each
    1 in the binary form of `size`. `marks` are those that were finished on the way, of every
    MARK_LEVELS-th level.
    """

    def __init__(self, size: int = 0, peaks: Iterable[bytes] = ()) -> None:
        self.size = size
        self.peaks = list(peaks)
        self.marks: list[Mark] = []
        if len(self.peaks) != size.bit_count():
            raise ValueError("the peaks do not belong to this size")

    def add(self, leaf: bytes) -> None:
        """Append one leaf hash."""
        joined, place, level = leaf, self.size, 0
        while place & 1:
            joined = node_hash(self.peaks.pop(), joined)
            place, level = place >> 1, level + 1
            if level % MARK_LEVELS == 0:
                self.marks.append(Mark(level, place, joined))
        self.peaks.append(joined)
        self.size += 1

    def root(self) -> bytes:
        """Return the root hash of everything added."""
        return root_over(self.peaks)


def root_over(roots: Sequence[bytes]) -> bytes:
    """Return the root over perfect subtrees that stand side by side, largest first."""
    if not roots:
        return EMPTY_ROOT
    root = roots[-1]
    for peak in reversed(roots[:-1]):
        root = node_hash(peak, root)
    return root


def root_of(leaf_hashes: Iterable[bytes]) -> bytes:
    """Return the root over leaf hashes in order; of none, the hash of nothing."""
    log = Accumulator()
    for leaf in leaf_hashes:
        log.add(leaf)
    return log.root()


def inclusion_path(size: int, leaf_no: int) -> list[Range]:
    """Return whose roots lead from leaf `leaf_no` to the root of `size` leaves, lowest first."""
    if not 0 <= leaf_no < size:
        raise ValueError("no such leaf")
    path: list[Range] = []
    start, end = 0, size
    while end - start > 1:
        half = start + _half(end - start)
        if leaf_no < half:
            path.append((half, end))
            end = half
        else:
            path.append((start, half))
            start = half
    return path[::-1]


def inclusion_proof(leaf_hashes: Sequence[bytes], leaf_no: int) -> list[bytes]:
    """Return the hashes that lead from leaf `leaf_no` to the root, lowest first."""
    path = inclusion_path(len(leaf_hashes), leaf_no)
    return [root_of(leaf_hashes[start:end]) for start, end in path]


def includes(root: bytes, *, size: int, leaf_no: int, leaf: bytes, proof: Sequence[bytes]) -> bool:
    """Say whether `proof` shows the leaf hash at `leaf_no` in the log (RFC 9162 2.1.3.2)."""
    if not 0 <= leaf_no < size:
        return False
    node, last, joined = leaf_no, size - 1, leaf
    for sibling in proof:
        if last == 0:
            return False
        if node & 1 or node == last:
            joined = node_hash(sibling, joined)
            # On the right edge there are levels without a sibling: climb past them.
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            joined = node_hash(joined, sibling)
        node, last = node >> 1, last >> 1
    return last == 0 and joined == root


def consistency_path(old_size: int, new_size: int) -> list[Range]:
    """Return whose roots show the log of `old_size` to be the beginning of that of `new_size`."""
    if not 0 < old_size <= new_size:
        raise ValueError("no such earlier log")
    path: list[Range] = []
    start, end, whole = 0, new_size, True
    while old_size < end:
        half = start + _half(end - start)
        if old_size <= half:
            path.append((half, end))
            end = half
        else:
            path.append((start, half))
            start, whole = half, False
    # Where the old log is itself a perfect subtree, who checks the proof knows its root.
    return (path if whole else [*path, (start, end)])[::-1]


def consistency_proof(leaf_hashes: Sequence[bytes], old_size: int) -> list[bytes]:
    """Return the hashes that show the log of `old_size` to be the beginning of this one."""
    path = consistency_path(old_size, len(leaf_hashes))
    return [root_of(leaf_hashes[start:end]) for start, end in path]


def perfect_parts(start: int, end: int) -> list[tuple[int, int]]:
    """Cut a range of a path into perfect subtrees (level, place), largest first."""
    parts = []
    while start < end:
        level = (end - start).bit_length() - 1
        parts.append((level, start >> level))
        start += 1 << level
    return parts


def extends(
    old_root: bytes, old_size: int, new_root: bytes, new_size: int, proof: Sequence[bytes]
) -> bool:
    """Say whether `proof` shows the old log to be a prefix of the new one (RFC 9162 2.1.4.2)."""
    if old_size == new_size:
        return old_root == new_root and not proof
    if not 0 < old_size < new_size:
        return False
    path = [old_root, *proof] if old_size.bit_count() == 1 else list(proof)
    if not path:
        return False
    node, last = old_size - 1, new_size - 1
    while node & 1:
        node, last = node >> 1, last >> 1
    old = new = path[0]
    for sibling in path[1:]:
        if last == 0:
            return False
        if node & 1 or node == last:
            old, new = node_hash(sibling, old), node_hash(sibling, new)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            new = node_hash(new, sibling)
        node, last = node >> 1, last >> 1
    return last == 0 and old == old_root and new == new_root


def _half(size: int) -> int:
    """Return the largest power of two below `size`."""
    return 1 << (size - 1).bit_length() - 1
