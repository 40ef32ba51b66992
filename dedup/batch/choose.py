"""Choose among weighed pairs what can be true together: one-to-one, and clusters of persons."""

from collections import defaultdict

import numpy as np
from numpy.typing import NDArray

from dedup.batch.columns import Ints
from dedup.batch.weigh import Bits

CLUSTER_MAX = 40


def one_to_one(
    registration: Ints, a: Ints, b: Ints, weights: Bits, *, twice: tuple[Ints, Ints] | None = None
) -> NDArray[np.bool_]:
    """Keep, between any two registrations, each person's strongest pair only.

    A person of one registration is at most one person of another; what is left over between
    them is kin who look alike. Rows that `twice` says are one person entered twice count as
    one. Equal weights: the pair of the earlier rows.
    """
    if not len(a):
        return np.zeros(0, dtype=np.bool_)
    one, other = a.astype(np.int64), b.astype(np.int64)
    if twice is not None and len(twice[0]):
        person = _persons(len(registration), *twice)
        one, other = person[one], person[other]
    # Pairs of the same two persons stand or fall together, by the strongest of them.
    order = np.lexsort((b, a, -weights))
    rows = np.int64(len(registration))
    code = np.minimum(one, other)[order] * rows + np.maximum(one, other)[order]
    unique, best, back = np.unique(code, return_index=True, return_inverse=True)
    rank = np.argsort(best, kind="stable")
    kept = np.zeros(len(unique), dtype=np.bool_)
    low, high = unique[rank] // rows, unique[rank] % rows
    kept[rank] = _greedy(registration.astype(np.int64), low, high)
    result = np.zeros(len(a), dtype=np.bool_)
    result[order] = kept[back]
    return result


def _greedy(
    registration: NDArray[np.int64], low: NDArray[np.int64], high: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Take pairs as they come, unless one of the two has met the other's registration before."""
    registrations = registration.max() + 1
    slots = np.concatenate(
        (low * registrations + registration[high], high * registrations + registration[low])
    )
    # Who meets a registration in one pair only has nothing to lose there.
    _, slot, shared = np.unique(slots, return_inverse=True, return_counts=True)
    slot_a, slot_b = np.split(slot, 2)
    kept = (shared[slot_a] == 1) & (shared[slot_b] == 1)
    at = np.flatnonzero(~kept)
    taken: set[int] = set()
    for pair, one, other in zip(at.tolist(), slot_a[at].tolist(), slot_b[at].tolist(), strict=True):
        if one not in taken and other not in taken:
            taken.add(one)
            taken.add(other)
            kept[pair] = True
    return np.asarray(kept)


def _persons(rows: int, low: Ints, high: Ints) -> NDArray[np.int64]:
    """Number persons: the lowest row of those that are one person entered several times."""
    person = np.arange(rows)
    for one, other in sorted(zip(low.tolist(), high.tolist(), strict=True)):
        person[other] = person[one] = min(person[one], person[other])
    return person


def clusters(
    registration: Ints, a: Ints, b: Ints, weights: Bits, *, twice: tuple[Ints, Ints]
) -> Ints:
    """Number the clusters that pairs join, strongest pair first; a row's cluster is its number.

    Two persons of one registration never join, unless `twice` says that they are one entered
    twice; nor do clusters grow beyond CLUSTER_MAX. So no chain of weak links joins strangers.
    """
    parent = np.arange(len(registration), dtype=np.int32)
    members: dict[int, list[int]] = {}
    stands_in: dict[int, set[int]] = {}
    allowed = {(one, other) for one, other in zip(*(side.tolist() for side in twice), strict=True)}
    twins: defaultdict[int, set[int]] = defaultdict(set)
    for one, other in allowed:
        twins[one].add(other)
        twins[other].add(one)
    root = list(range(len(registration)))

    def top(row: int) -> int:
        while root[row] != row:
            root[row] = root[root[row]]
            row = root[row]
        return row

    number = registration.tolist()
    order = np.lexsort((b, a, -weights))
    for one, other in [*sorted(allowed), *zip(a[order].tolist(), b[order].tolist(), strict=True)]:
        x, y = top(one), top(other)
        if x == y:
            continue
        rows_x, rows_y = members.get(x) or [x], members.get(y) or [y]
        if len(rows_x) + len(rows_y) > CLUSTER_MAX:
            continue
        if len(rows_x) < len(rows_y):
            x, y, rows_x, rows_y = y, x, rows_y, rows_x
        in_x = stands_in.get(x) or {number[x]}
        clash = [row for row in rows_y if number[row] in in_x]
        if clash and not all(
            row in twins and any(other in twins[row] for other in rows_x) for row in clash
        ):
            continue
        root[y] = x
        members[x] = rows_x + rows_y
        stands_in[x] = in_x | {number[row] for row in rows_y}
        members.pop(y, None)
        stands_in.pop(y, None)
    for row in range(len(root)):
        parent[row] = top(row)
    _, found = np.unique(parent, return_inverse=True)
    return found.astype(np.int32)
