"""Match everybody with everybody on one machine: how the work is split, nothing else.

Pairs are compared in chunks by forked processes, which see the columns without a copy.
"""

import multiprocessing
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from dedup.batch import choose, keys, levels, weigh
from dedup.batch.columns import Columns, Ints, registrations_of
from dedup.batch.weigh import Bits, Evidence, Tables
from dedup.batch.words import Codes
from dedup.compare import FIELDS, LEVELS
from dedup.model import Model
from dedup.within import ABOUT, ANOTHER_NAME, NOT_TWINS, SAME_NAME, TWICE_PRIOR

CHUNK_PAIRS = 200_000
# Registrations that share somebody are compared whole, unless that is too much to be a family's.
PAIRS_OF_LINKED_MAX = 400
_NONE, _ONE, _SEVERAL = (LEVELS["household"].index(level) for level in ("none", "one", "several"))
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Matched:
    """All candidate pairs, a < b, in order, and what can be said of them.

    `kept` survives one-to-one (or is one person entered twice in a registration); `clusters`
    gives the number of each row's cluster; `crowds` what was not searched, by kind of key.
    """

    a: Ints
    b: Ints
    weight_bits: Bits
    probability: Bits
    household: NDArray[np.uint8]
    kept: NDArray[np.bool_]
    clusters: Ints
    candidates: int
    crowds: dict[str, int]


def match(columns: Columns, model: Model, *, processes: int = 1) -> Matched:
    """Find, compare and weigh all pairs that share a key, and choose what holds together."""
    found = keys.candidates(columns)
    table = weigh.tables(model, columns)
    evidence = weighed(columns, found.a, found.b, table, processes=processes)
    double = twice(columns, table, model)
    # A clerk who enters two persons mostly means two, such as twins: only the surest count as one.
    sure = double[2] >= model.strong_bits
    one_person = double[0][sure], double[1][sure]
    a, b, evidence, household = in_context(
        columns, found.a, found.b, evidence, table, model, processes=processes
    )
    weights = weigh.weight_bits(evidence, table)
    floor = weights >= 0
    kept = np.zeros(len(a), dtype=np.bool_)
    kept[floor] = choose.one_to_one(
        columns.registration, a[floor], b[floor], weights[floor], twice=one_person
    )
    joined = kept & (weights >= model.review_bits)
    numbers = choose.clusters(
        columns.registration, a[joined], b[joined], weights[joined], twice=one_person
    )
    a, b = np.concatenate((a, double[0])), np.concatenate((b, double[1]))
    weights = np.concatenate((weights, double[2]))
    return Matched(
        a=a,
        b=b,
        weight_bits=weights,
        probability=weigh.probability(weights, model),
        household=np.concatenate((household, np.zeros(len(double[0]), dtype=np.uint8))),
        kept=np.concatenate((kept, np.ones(len(double[0]), dtype=np.bool_))),
        clusters=numbers,
        candidates=len(found.a),
        crowds=found.crowds,
    )


def weighed(columns: Columns, a: Ints, b: Ints, table: Tables, *, processes: int) -> Evidence:
    """Compare and weigh pairs, in chunks."""

    def chunk(start: int) -> tuple[Bits, Bits]:
        part = slice(start, start + CHUNK_PAIRS)
        found = weigh.evidence(levels.compare(columns, a[part], b[part]), table)
        return found.bits, found.kin_bits

    parts = list(in_processes(chunk, range(0, len(a), CHUNK_PAIRS), processes))
    if not parts:
        return Evidence(np.empty(0), np.empty(0))
    return Evidence(*(np.concatenate(side) for side in zip(*parts, strict=True)))


def in_context(
    columns: Columns,
    a: Ints,
    b: Ints,
    evidence: Evidence,
    table: Tables,
    model: Model,
    *,
    processes: int,
) -> tuple[Ints, Ints, Evidence, NDArray[np.uint8]]:
    """Add the pairs between registrations that share somebody, and what their families say.

    Returns the pairs, their evidence with the household's, and the household's level.
    """
    registrations = int(columns.registration.max(initial=-1)) + 1
    weights = weigh.weight_bits(evidence, table)
    at = np.flatnonzero(weights >= model.review_bits)
    sure = at[choose.one_to_one(columns.registration, a[at], b[at], weights[at])]
    linked, matches = np.unique(
        weigh.pairs_of(columns.registration[a[sure]], columns.registration[b[sure]], registrations),
        return_counts=True,
    )
    more_a, more_b = _across(columns, linked, registrations, a, b)
    more = weighed(columns, more_a, more_b, table, processes=processes)
    is_sure = np.zeros(len(a) + len(more_a), dtype=np.bool_)
    is_sure[sure] = True
    a, b = np.concatenate((a, more_a)), np.concatenate((b, more_b))
    evidence = Evidence(
        np.concatenate((evidence.bits, more.bits)),
        np.concatenate((evidence.kin_bits, more.kin_bits)),
    )
    household = _household(columns, a, b, linked, matches, is_sure)
    order = np.lexsort((b, a))
    evidence = weigh.in_context(evidence, household, table)
    return a[order], b[order], evidence.take(order), household[order]


def twice(columns: Columns, table: Tables, model: Model) -> tuple[Ints, Ints, Bits]:
    """Find persons entered twice in one registration, as `dedup.within` does; and weights."""
    a, b = within(columns)
    compared = levels.compare(columns, a, b)
    weights = (
        weigh.evidence(compared, table).kin_bits
        + np.log2(TWICE_PRIOR / (1 - TWICE_PRIOR))
        - model.prior_bits
    )
    at = np.flatnonzero((weights >= model.review_bits) & _tells_apart_from_kin(compared.codes))
    return a[at], b[at], weights[at]


def _tells_apart_from_kin(codes: Codes) -> NDArray[np.bool_]:
    given1, given2, born, document = (
        codes[:, FIELDS.index(field)] for field in ("given1", "given2", "birth_date", "document")
    )
    named = np.isin(given1, SAME_NAME) & ~np.isin(given2, ANOTHER_NAME)
    return np.asarray(np.isin(document, NOT_TWINS) | (named & (born > ABOUT)))


def within(columns: Columns) -> tuple[Ints, Ints]:
    """Return all pairs of persons that stand in one registration."""
    none = np.empty(0, dtype=np.int32)
    low, high = [none], [none]
    by_size: dict[int, list[Ints]] = {}
    for rows in registrations_of(columns):
        by_size.setdefault(len(rows), []).append(rows)
    for size, lines in by_size.items():
        table = np.stack(lines)
        one, other = np.triu_indices(size, 1)
        low.append(table[:, one].ravel())
        high.append(table[:, other].ravel())
    return np.concatenate(low), np.concatenate(high)


def in_processes(work: Callable[[int], T], starts: range, processes: int) -> Iterator[T]:
    """Do pieces of work in forked processes, in order; one after the other where none can fork."""
    if processes < 2 or len(starts) < 2 or sys.platform != "linux":
        yield from map(work, starts)
        return
    global _work  # noqa: PLW0603 -- a fork inherits it; a closure can't be sent
    _work = work
    with multiprocessing.get_context("fork").Pool(processes) as pool:
        yield from pool.imap(_call, starts)


_work: Callable[[int], object] | None = None


def _call(start: int) -> object:
    assert _work is not None
    return _work(start)


def _across(
    columns: Columns, linked: NDArray[np.int64], registrations: int, a: Ints, b: Ints
) -> tuple[Ints, Ints]:
    """Return the pairs between linked registrations that no key has found, a < b."""
    rows = np.int64(len(columns))
    order = np.argsort(columns.registration, kind="stable")
    starts = np.searchsorted(columns.registration[order], np.arange(registrations + 1))
    sizes = np.diff(starts)
    first, second = linked // registrations, linked % registrations
    many = sizes[first] * sizes[second]
    first, second, many = (one[many <= PAIRS_OF_LINKED_MAX] for one in (first, second, many))
    pair = np.repeat(np.arange(len(many)), many)
    step = np.arange(len(pair)) - np.repeat(np.cumsum(many) - many, many)
    one = order[starts[first[pair]] + step // sizes[second[pair]]]
    other = order[starts[second[pair]] + step % sizes[second[pair]]]
    codes = np.minimum(one, other) * rows + np.maximum(one, other)
    codes = np.setdiff1d(codes, a.astype(np.int64) * rows + b)
    return (codes // rows).astype(np.int32), (codes % rows).astype(np.int32)


def _household(
    columns: Columns,
    a: Ints,
    b: Ints,
    linked: NDArray[np.int64],
    matches: NDArray[np.intp],
    is_sure: NDArray[np.bool_],
) -> NDArray[np.uint8]:
    """Count for each pair the other persons of its two registrations that match."""
    registrations = int(columns.registration.max(initial=-1)) + 1
    sizes = np.bincount(columns.registration, minlength=registrations)
    one, other = columns.registration[a], columns.registration[b]
    code = weigh.pairs_of(one, other, registrations)
    at = np.minimum(np.searchsorted(linked, code), max(len(linked) - 1, 0))
    others = np.where(linked[at] == code, matches[at], 0) if len(linked) else np.zeros(len(a), int)
    others = others - is_sure
    level = np.select([others >= 2, others == 1], [_SEVERAL, _ONE], _NONE)
    alone = (sizes[one] < 2) | (sizes[other] < 2)
    return np.where(alone, 0, level).astype(np.uint8)
