"""Match everybody with everybody on one machine: how the work is split, nothing else.

Pairs are compared in chunks by forked processes, which see the columns without a copy.
"""

import ctypes
import gc
import multiprocessing
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from dedup.batch import choose, keys, levels, weigh
from dedup.batch.columns import Columns, Ints, registrations_of
from dedup.batch.levels import Levels
from dedup.batch.weigh import Bits, Evidence, Tables
from dedup.batch.words import Codes
from dedup.compare import FIELDS, LEVELS, NEAR
from dedup.model import Model
from dedup.within import ABOUT, ANOTHER_NAME, NOT_TWINS, SAME_NAME, TWICE_PRIOR

CHUNK_PAIRS = 100_000
# Registrations that share somebody are compared whole, unless that is too much to be a family's.
PAIRS_OF_LINKED_MAX = 400
# A registration that is linked to more than this many others is no family's.
LINKS_MAX = 20
# See prctl(2).
PR_SET_PDEATHSIG = 1
# From here on two entries of one registration may count as one person.
TWICE_SURE = 0.8
_NONE, _ONE, _SEVERAL = (LEVELS["household"].index(level) for level in ("none", "one", "several"))
T = TypeVar("T")


@dataclass(frozen=True)
class Pairs:
    """Pairs of rows, a < b, in order, compared; `crowds` is what was not searched, by kind."""

    a: Ints
    b: Ints
    levels: Levels
    crowds: dict[str, int]


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
    household: Codes
    kept: NDArray[np.bool_]
    clusters: Ints
    candidates: int
    crowds: dict[str, int]


def compared(columns: Columns, *, processes: int = 1) -> Pairs:
    """Find all pairs that share a key, and compare them: the work that no model changes."""
    found = keys.candidates(columns)
    return Pairs(
        found.a, found.b, levels_of(columns, found.a, found.b, processes=processes), found.crowds
    )


def match(
    columns: Columns, model: Model, *, processes: int = 1, pairs: Pairs | None = None
) -> Matched:
    """Weigh all pairs that share a key, and choose what can be true together.

    `pairs` may be given where they were compared before.
    """
    found = compared(columns, processes=processes) if pairs is None else pairs
    table = weigh.tables(model, columns)
    double = twice(columns, table, model, processes=processes)
    same = one_person(columns, double, model)
    whole, evidence, household = in_context(columns, found, table, model, processes=processes)
    a, b, weights = whole.a, whole.b, weigh.weight_bits(evidence, table)
    floor = weights >= 0
    kept = np.zeros(len(a), dtype=np.bool_)
    kept[floor] = choose.one_to_one(
        columns.registration, a[floor], b[floor], weights[floor], twice=same
    )
    joined = kept & (weights >= model.review_bits)
    numbers = choose.clusters(
        columns.registration, a[joined], b[joined], weights[joined], twice=same
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


def in_context(
    columns: Columns, pairs: Pairs, table: Tables, model: Model, *, processes: int = 1
) -> tuple[Pairs, Evidence, Codes]:
    """Add the pairs between registrations that share somebody, and what their families say.

    Returns the pairs, their evidence with the household's, and the household's level.
    """
    registrations = int(columns.registration.max(initial=-1)) + 1
    evidence = weigh.evidence(pairs.levels, table)
    weights = weigh.weight_bits(evidence, table)
    at = np.flatnonzero(weights >= model.review_bits)
    sure = at[choose.one_to_one(columns.registration, pairs.a[at], pairs.b[at], weights[at])]
    linked, matches = np.unique(
        weigh.pairs_of(
            columns.registration[pairs.a[sure]], columns.registration[pairs.b[sure]], registrations
        ),
        return_counts=True,
    )
    near = np.union1d(linked, _through_a_third(linked, registrations))
    more_a, more_b = _across(columns, near, registrations, pairs.a, pairs.b)
    more = levels_of(columns, more_a, more_b, processes=processes)
    is_sure = np.zeros(len(pairs.a) + len(more_a), dtype=np.bool_)
    is_sure[sure] = True
    a, b = np.concatenate((pairs.a, more_a)), np.concatenate((pairs.b, more_b))
    household = _household(columns, a, b, linked, matches, is_sure)
    order = np.lexsort((b, a))
    whole = Pairs(a[order], b[order], _joined([pairs.levels, more]).take(order), pairs.crowds)
    household = household[order]
    return whole, weigh.in_context(weigh.evidence(whole.levels, table), household, table), household


def levels_of(columns: Columns, a: Ints, b: Ints, *, processes: int = 1) -> Levels:
    """Compare pairs, in chunks."""

    def chunk(start: int) -> Levels:
        part = slice(start, start + CHUNK_PAIRS)
        return levels.compare(columns, a[part], b[part])

    parts = list(in_processes(chunk, range(0, len(a), CHUNK_PAIRS), processes))
    return _joined(parts) if parts else levels.compare(columns, a, b)


def _joined(parts: Sequence[Levels]) -> Levels:
    return Levels(
        np.concatenate([part.codes for part in parts]),
        np.concatenate([part.words for part in parts]),
        np.concatenate([part.place for part in parts]),
    )


def twice(
    columns: Columns, table: Tables, model: Model, *, processes: int = 1
) -> tuple[Ints, Ints, Bits]:
    """Find persons entered twice in one registration, as `dedup.within` does; and weights."""
    a, b = within(columns)
    compared = levels_of(columns, a, b, processes=processes)
    weights = (
        weigh.evidence(compared, table).kin_bits
        + np.log2(TWICE_PRIOR / (1 - TWICE_PRIOR))
        - model.prior_bits
    )
    at = np.flatnonzero((weights >= model.review_bits) & _tells_apart_from_kin(compared.codes))
    return a[at], b[at], weights[at]


def one_person(
    columns: Columns, double: tuple[Ints, Ints, Bits], model: Model
) -> tuple[Ints, Ints]:
    """Leave, of the persons that `twice` found, those that count as one when pairs are chosen.

    A clerk who enters two mostly means two. Twins may share the first name, so either a document
    or the second name must agree.
    """
    codes = levels.compare(columns, double[0], double[1]).codes
    given2, document = (codes[:, FIELDS.index(field)] for field in ("given2", "document"))
    sure = np.isin(document, NOT_TWINS) | (given2 > NEAR)
    sure &= weigh.probability(double[2], model) >= TWICE_SURE
    return double[0][sure], double[1][sure]


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
    # Unlike a Pool's, its workers are never ended by a signal, which can be lost or leave a lock
    # held; and one that dies, for want of memory say, is an error instead of a wait for ever.
    fork = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(processes, fork, initializer=_begin) as pool:
        try:
            yield from cast("Iterator[T]", pool.map(_call, starts))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _begin() -> None:
    # A killed program must not leave processes that hold opened records, and its locks. On Linux
    # the kernel sees to it from here on.
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    parent = multiprocessing.parent_process()
    if parent is None or not parent.is_alive():
        sys.exit(1)
    # Nothing here makes cycles, and looking for them would copy the pages that are shared.
    gc.disable()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


_work: Callable[[int], object] | None = None


def _call(start: int) -> object:
    assert _work is not None
    return _work(start)


def _through_a_third(linked: NDArray[np.int64], registrations: int) -> NDArray[np.int64]:
    """Return the pairs of registrations that are both linked to a third one."""
    first, second = linked // registrations, linked % registrations
    centre, other = np.concatenate((first, second)), np.concatenate((second, first))
    order = np.argsort(centre, kind="stable")
    centre, other = centre[order], other[order]
    found = [np.empty(0, dtype=np.int64)]
    for step in range(1, LINKS_MAX):
        both = np.flatnonzero(centre[step:] == centre[:-step])
        if not len(both):
            break
        found.append(weigh.pairs_of(other[both], other[both + step], registrations))
    return np.unique(np.concatenate(found))


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
) -> Codes:
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
