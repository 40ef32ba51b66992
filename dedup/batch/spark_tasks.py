"""What Spark's workers do: keys, levels, weights and choices of the lines that they are given.

A frame is a batch of lines, as Arrow cuts them; frames come and go one by one.
"""

from collections.abc import Iterator
from typing import NamedTuple

import msgspec
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dedup.batch import choose, levels, local, weigh
from dedup.batch import keys as kinds
from dedup.batch.columns import Columns, Ints, encode
from dedup.batch.words import Codes, Flags
from dedup.compare import FIELDS, LEVELS
from dedup.model import Model
from dedup.record import Record

Rows = NDArray[np.int64]
Frames = Iterator[pd.DataFrame]

# A worker holds the records and pairs of one bucket at a time.
PAIRS_PER_BUCKET = 100_000
KEYS = "kind string, key long, row long, registration long"
PAIR = "a long, b long, registration_a long, registration_b long"
_LEVELS = ", ".join(f"{field} tinyint" for field in FIELDS)
WEIGHED = f"{PAIR}, alone boolean, bits double, kin_bits double, weight_bits double, {_LEVELS}"
PAIRS = f"{PAIR}, weight_bits double, probability double, kept boolean, twice boolean, {_LEVELS}"
TWICE = f"{PAIRS}, sure boolean"


class Twins(NamedTuple):
    """Who surely is one person entered twice: rows a < b, and their registration."""

    a: Rows
    b: Rows
    registration: Rows

    def of(self, registrations: Rows) -> "Twins":
        """Return those of some registrations."""
        at = np.isin(self.registration, registrations)
        return Twins(self.a[at], self.b[at], self.registration[at])


class Numbered(NamedTuple):
    """Pairs whose rows are numbered from 0 on, in their order; `rows` tells what they were."""

    rows: Rows
    registration: Ints
    a: Ints
    b: Ints
    twice: tuple[Ints, Ints]


_DECODER = msgspec.msgpack.Decoder(Record)


def keys(frames: Frames) -> Frames:
    """Turn records into keys."""
    for frame in frames:
        columns = _columns(frame["record"])
        rows, registration = frame["row"].to_numpy(), frame["registration"].to_numpy()
        for family in kinds.families(columns):
            yield pd.DataFrame(
                {
                    "kind": family.name,
                    "key": family.keys.view(np.int64),
                    "row": rows[family.rows],
                    "registration": registration[family.rows],
                }
            )


def weighed(frames: Frames, model: Model) -> Frames:
    """Compare the pairs of each bucket, its records first."""
    for frame in whole(frames, "bucket"):
        is_record = frame["b"].to_numpy() < 0
        people, pairs = frame[is_record], frame[~is_record]
        columns, rows = _columns(people["record"]), people["a"].to_numpy()
        table, members = weigh.tables(model, columns), people["members"].to_numpy()
        for start in range(0, len(pairs), PAIRS_PER_BUCKET):
            part = pairs.iloc[start : start + PAIRS_PER_BUCKET]
            a, b = (np.searchsorted(rows, part[side]).astype(np.int32) for side in ("a", "b"))
            compared = levels.compare(columns, a, b)
            evidence = weigh.evidence(compared, table)
            yield pd.DataFrame(
                {
                    **{name: part[name].to_numpy() for name in _names(PAIR)},
                    "alone": (members[a] < 2) | (members[b] < 2),
                    "bits": evidence.bits,
                    "kin_bits": evidence.kin_bits,
                    "weight_bits": weigh.weight_bits(evidence, table),
                    **_by_field(compared.codes),
                }
            )


def chosen(frames: Frames, twins: Twins, model: Model) -> Frames:
    """Weigh pairs in their context, as `local.in_context` does, and keep the strongest."""
    table = weigh.tables(model, encode(()))
    for together in whole(frames, "lower"):
        # A pair that was found by a key comes before the same pair found through its family.
        frame = together.sort_values("found", ascending=False, kind="stable")
        frame = frame.drop_duplicates(["a", "b"])
        column = {name: frame[name].to_numpy() for name in frame}
        registrations = np.unique((column["registration_a"], column["registration_b"]))
        _, registration, a, b, twice = numbered(
            *(column[name] for name in _names(PAIR)), twins=twins.of(registrations)
        )
        at = np.flatnonzero(column["found"] & (column["weight_bits"] >= model.review_bits))
        sure = at[choose.one_to_one(registration, a[at], b[at], column["weight_bits"][at])]
        household = _household(registration[a], registration[b], sure, column["alone"])
        evidence = weigh.Evidence(column["bits"], column["kin_bits"])
        evidence = weigh.in_context(evidence, household, table)
        weights = weigh.weight_bits(evidence, table)
        kept = np.zeros(len(a), dtype=np.bool_)
        floor = np.flatnonzero(weights >= 0)
        kept[floor] = choose.one_to_one(
            registration, a[floor], b[floor], weights[floor], twice=twice
        )
        yield frame.assign(
            weight_bits=weights,
            probability=weigh.probability(weights, model),
            household=household.astype(np.int8),
            kept=kept,
            twice=False,
        )[_names(PAIRS)]


def twice(frames: Frames, model: Model) -> Frames:
    """Find who was entered twice in one registration."""
    for frame in whole(frames, "registration"):
        columns = _columns(frame["record"])
        rows, registration = frame["row"].to_numpy(), frame["registration"].to_numpy()
        found = local.twice(columns, weigh.tables(model, columns), model)
        (a, b, weights), one_person = found, local.one_person(columns, found, model)
        yield pd.DataFrame(
            {
                "a": rows[a],
                "b": rows[b],
                "registration_a": registration[a],
                "registration_b": registration[b],
                "weight_bits": weights,
                "probability": weigh.probability(weights, model),
                "kept": True,
                "twice": True,
                "sure": np.isin(_codes(a, b), _codes(*one_person)),
                **_by_field(levels.compare(columns, a, b).codes),
            }
        )


def whole(frames: Frames, by: str) -> Frames:
    """Cut sorted frames anew, so that lines of one value stay together."""
    rest: pd.DataFrame | None = None
    for frame in frames:
        both = frame if rest is None else pd.concat((rest, frame), ignore_index=True)
        values = both[by].to_numpy()
        cut = int(np.searchsorted(values, values[-1])) if len(values) else 0
        if cut:
            yield both.iloc[:cut]
        rest = both.iloc[cut:]
    if rest is not None and len(rest):
        yield rest


def numbered(
    a: Rows, b: Rows, registration_a: Rows, registration_b: Rows, *, twins: Twins
) -> Numbered:
    """Number the rows, and the registrations, of pairs and twins."""
    lines = np.concatenate((a, twins.a, b, twins.b))
    homes = registration_a, twins.registration, registration_b, twins.registration
    rows, number = np.unique(lines, return_inverse=True)
    _, home = np.unique(np.concatenate(homes), return_inverse=True)
    registration = np.empty(len(rows), dtype=np.int32)
    registration[number] = home
    one, other = np.split(number.astype(np.int32), 2)
    count = len(a)
    return Numbered(rows, registration, one[:count], other[:count], (one[count:], other[count:]))


def _household(
    registration_a: Ints, registration_b: Ints, sure: NDArray[np.intp], alone: Flags
) -> Codes:
    """Count for each pair the other persons of its two registrations that match."""
    count = int(max(registration_a.max(), registration_b.max())) + 1
    links = weigh.pairs_of(registration_a, registration_b, count)
    _, link = np.unique(links, return_inverse=True)
    others = np.bincount(link[sure], minlength=len(link))[link]
    others[sure] -= 1
    none, several = (LEVELS["household"].index(level) for level in ("none", "several"))
    return np.where(alone, 0, np.minimum(none + others, several)).astype(np.uint8)


def _columns(records: "pd.Series[bytes]") -> Columns:
    return encode(map(_DECODER.decode, records))


def _codes(a: Ints, b: Ints) -> Rows:
    return a.astype(np.int64) << 32 | b


def _by_field(codes: Codes) -> dict[str, NDArray[np.int8]]:
    return {field: codes[:, at].astype(np.int8) for at, field in enumerate(FIELDS)}


def _names(schema: str) -> list[str]:
    return [column.split()[0] for column in schema.split(", ")]
