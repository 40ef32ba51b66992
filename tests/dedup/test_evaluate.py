"""Measures of matching, counted by hand and against sets of pairs."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dedup import evaluate, model
from dedup.batch.local import Matched
from dedup.evaluate import Labelled

MODEL = model.load()
SURE, DOUBTFUL, WEAK = MODEL.strong_bits + 1, MODEL.review_bits, MODEL.review_bits - 1


def matched(pairs, clusters, kept=None):
    """What matching would return for {(a, b): weight}."""
    a, b = (np.array([pair[side] for pair in pairs], dtype=np.int32) for side in (0, 1))
    weights = np.array(list(pairs.values()), dtype=np.float64)
    return Matched(
        a=a,
        b=b,
        weight_bits=weights,
        probability=np.array([MODEL.probability(weight) for weight in weights]),
        household=np.zeros(len(a), dtype=np.uint8),
        kept=np.ones(len(a), dtype=np.bool_) if kept is None else np.array(kept),
        clusters=np.array(clusters, dtype=np.int32),
        candidates=len(a),
        crowds={},
    )


def persons(*numbers):
    return np.array(numbers, dtype=np.int32)


def measured(found, person):
    return evaluate.measure(found, person, MODEL, seconds=2.5, peak_rss_mb=100.0)


def test_every_measure_of_a_case_counted_by_hand():
    # Rows 0, 1, 2 are one person and 3, 4 another; 5 and 6 are somebody each.
    found = matched(
        {(0, 1): SURE, (0, 5): SURE, (3, 4): DOUBTFUL, (1, 2): WEAK, (5, 6): WEAK, (0, 2): SURE},
        clusters=[0, 0, 1, 2, 2, 3, 4],
        kept=[True, True, True, True, True, False],
    )
    report = measured(found, persons(0, 0, 0, 1, 1, 2, 3))
    assert report.records == 7
    assert report.pairs_true == 4
    assert report.completeness == 1.0
    assert (report.precision_auto, report.recall_auto) == (1 / 2, 1 / 4)
    assert (report.precision_review, report.recall_review) == (2 / 3, 2 / 4)
    # All five pairs that are kept: three of them right.
    assert report.best_f1 == pytest.approx(2 * 3 / (5 + 4))
    assert report.best_f1_bits == WEAK
    assert (report.cluster_precision, report.cluster_recall) == (1.0, 2 / 4)
    assert report.cluster_f1 == pytest.approx(2 / 3)
    assert report.review_per_1000 == pytest.approx(1000 / 7)
    assert report.model_id == MODEL.model_id


def test_a_pair_that_was_never_compared_lowers_completeness():
    found = matched({(0, 1): WEAK, (2, 3): WEAK}, clusters=range(4), kept=[False, False])
    assert measured(found, persons(0, 0, 0, 1)).completeness == pytest.approx(1 / 3)


def test_a_pair_that_two_searches_found_counts_once_as_compared():
    found = matched({(0, 1): SURE, (0, 2): WEAK}, clusters=[0, 0, 1])
    found.b[1] = 1
    assert evaluate.compared(found, persons(0, 0, 1)) == 1


def test_pairs_of_one_weight_stand_or_fall_together():
    labelled = Labelled(
        weight_bits=np.array([9.0, 5.0, 5.0, 5.0]),
        is_match=np.array([True, True, False, False]),
        pairs_true=2,
    )
    # Taking the right one of the three alone would give 1.0.
    assert evaluate.best(labelled) == (pytest.approx(2 / 3), 9.0)
    found, right, bits = evaluate.curve(labelled)
    assert (found.tolist(), right.tolist(), bits.tolist()) == ([1, 4], [1, 2], [9.0, 5.0])


@pytest.mark.parametrize(
    ("pairs", "person", "empty"),
    [
        ({}, (0, 0), {"precision_auto", "precision_review", "best_f1", "calibration_error"}),
        ({(0, 1): SURE}, (0, 1), {"recall_auto", "recall_review", "completeness", "best_f1"}),
    ],
)
def test_a_share_of_nothing_is_none_and_never_perfect(pairs, person, empty):
    report = measured(matched(pairs, clusters=[0, 1]), persons(*person))
    assert {name for name in empty if getattr(report, name) is not None} == set()


@st.composite
def cases(draw):
    size = draw(st.integers(2, 9))
    person = draw(st.lists(st.integers(0, 3), min_size=size, max_size=size))
    clusters = draw(st.lists(st.integers(0, 3), min_size=size, max_size=size))
    pairs = draw(st.lists(st.sampled_from(list(combinations(range(size), 2))), unique=True))
    weights = {pair: float(draw(st.integers(10, 40))) for pair in pairs}
    kept = [draw(st.booleans()) for _ in pairs]
    return person, clusters, weights, kept


@given(cases())
def test_all_counts_are_those_of_sets_of_pairs(case):
    person, clusters, weights, kept = case
    true = {pair for pair in combinations(range(len(person)), 2) if _same(person, pair)}
    joined = {pair for pair in combinations(range(len(person)), 2) if _same(clusters, pair)}
    chosen = {pair: bits for (pair, bits), keep in zip(weights.items(), kept, strict=True) if keep}
    report = measured(matched(weights, clusters, kept), persons(*person))
    assert report.pairs_true == len(true)
    assert report.completeness == _share(true & set(weights), true)
    assert report.cluster_precision == _share(joined & true, joined)
    assert report.cluster_recall == _share(joined & true, true)
    for bits, precision, recall in (
        (MODEL.strong_bits, report.precision_auto, report.recall_auto),
        (MODEL.review_bits, report.precision_review, report.recall_review),
    ):
        found = {pair for pair, weight in chosen.items() if weight >= bits}
        assert precision == _share(found & true, found)
        assert recall == _share(found & true, true)
    if true and chosen:
        assert report.best_f1 == pytest.approx(
            max(_f1({p for p, w in chosen.items() if w >= bits}, true) for bits in chosen.values())
        )


def _same(group, pair):
    return group[pair[0]] == group[pair[1]]


def _share(part, whole):
    return len(part) / len(whole) if whole else None


def _f1(found, true):
    return 2 * len(found & true) / (len(found) + len(true))


def simulated(shift, count=40_000):
    """Kept pairs whose truth is drawn from the model's own probabilities, its log-odds shifted."""
    chance = np.random.default_rng(11)
    logits = chance.uniform(-12, 14, count)
    weights = np.sort([MODEL.bits_of(logit) for logit in logits])[::-1]
    logits = np.sort(logits)[::-1]
    is_match = chance.random(count) < 1 / (1 + np.exp(-(logits - shift)))
    return Labelled(weight_bits=weights, is_match=is_match, pairs_true=int(is_match.sum()))


def test_a_model_that_says_the_truth_has_a_small_error_before_and_after():
    error, error_raw, labels = evaluate.calibration(simulated(0), MODEL)
    assert labels == 600
    assert error_raw < 0.01
    assert error < 0.015


def test_labels_mend_an_overconfident_model():
    error, error_raw, _ = evaluate.calibration(simulated(3), MODEL)
    assert error_raw > 0.08
    assert error < 0.015


def test_pairs_that_nobody_would_look_at_dont_make_the_error_small():
    labelled = simulated(3)
    hopeless = Labelled(
        weight_bits=np.append(labelled.weight_bits, np.full(1_000_000, MODEL.bits_of(-9.0))),
        is_match=np.append(labelled.is_match, np.zeros(1_000_000, dtype=bool)),
        pairs_true=labelled.pairs_true,
    )
    assert evaluate.calibration(hopeless, MODEL) == evaluate.calibration(labelled, MODEL)


def test_too_few_pairs_tell_no_error():
    few = Labelled(weight_bits=np.full(99, SURE), is_match=np.ones(99, dtype=bool), pairs_true=99)
    assert evaluate.calibration(few, MODEL) == (None, None, 0)
