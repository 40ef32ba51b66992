"""The reasons of pairs that were matched as a whole are those of the pairs one by one."""

import numpy as np
import pytest

from dedup import model
from dedup.batch import local
from dedup.batch.columns import encode
from dedup.batch.reasons import scores
from dedup.compare import prepare
from dedup.score import score_prepared
from tests.dedup.people import World


def test_both_ways_give_one_score_with_the_same_reasons():
    records = World(seed=31, persons=2500).records
    columns = encode(records)
    found = local.match(columns, model.load())
    apart = columns.registration[found.a] != columns.registration[found.b]
    at = np.flatnonzero(apart & (found.weight_bits > -5))
    a, b, household = found.a[at], found.b[at], found.household[at]
    assert len(at) > 500
    # Families say something in some pairs, and nothing in others.
    assert len(np.unique(household)) >= 3
    prepared = [prepare(record) for record in records]
    explained = list(scores(columns, a, b, household, model.load()))
    for one, other, code, weight, got in zip(
        a.tolist(), b.tolist(), household.tolist(), found.weight_bits[at], explained, strict=True
    ):
        expected = score_prepared(prepared[one], prepared[other], model.load(), household=code)
        assert got.weight_bits == pytest.approx(weight, abs=1e-9)
        assert got.weight_bits == pytest.approx(expected.weight_bits, abs=1e-9)
        assert got.probability == pytest.approx(expected.probability, abs=1e-9)
        assert (got.model_id, got.strength) == (expected.model_id, expected.strength)
        assert got.fields == expected.fields


def test_no_pairs_have_no_reasons():
    none = np.empty(0, dtype=np.int32)
    columns = encode(World(seed=1, persons=20).records)
    assert list(scores(columns, none, none, none.astype(np.uint8), model.load())) == []
