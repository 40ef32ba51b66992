"""Probabilities that mean what they say, from few labels."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dedup import calibrate, model
from dedup.model import Calibration

LOGITS = st.lists(st.floats(-600, 600), min_size=1, max_size=200).map(np.array)


def labels(logits, scaling, seed):
    """Draw who is a match, with the probabilities that the scaling says."""
    chances = calibrate.probabilities(calibrate.scaled(logits, scaling))
    return np.random.default_rng(seed).random(len(logits)) < chances


def fit(logits, is_match):
    """Fit labels that all stand for the same number of pairs."""
    return calibrate.fit(logits, is_match, np.ones(len(logits)))


def fit_sample(logits, is_match, drawn):
    return calibrate.fit(logits[drawn.chosen], is_match[drawn.chosen], drawn.chosen_for)


@pytest.mark.parametrize("slope", [0.4, 1.0, 2.0])
@pytest.mark.parametrize("intercept", [-3.0, 0.0, 1.5])
def test_a_known_scaling_is_recovered_from_many_labels(slope, intercept):
    scaling = Calibration(slope=slope, intercept=intercept)
    logits = np.random.default_rng(41).uniform(-5, 10, 50_000)
    found = fit(logits, labels(logits, scaling, 42))
    assert found.slope == pytest.approx(slope, rel=0.06)
    assert found.intercept == pytest.approx(intercept, abs=0.12)


def test_labels_drawn_evenly_from_bands_recover_the_scaling_of_an_uneven_population():
    scaling = Calibration(slope=0.6, intercept=-1.0)
    logits = np.random.default_rng(7).normal(8, 4, 400_000)
    is_match = labels(logits, scaling, 8)
    found = fit_sample(logits, is_match, calibrate.sample_bands(logits, 20_000, seed=9))
    assert found.slope == pytest.approx(0.6, rel=0.08)
    assert found.intercept == pytest.approx(-1.0, abs=0.15)


def test_six_hundred_labels_mend_an_overconfident_model():
    truth = Calibration(slope=0.5, intercept=-1.5)
    for seed in range(10):
        logits = np.random.default_rng(seed).uniform(-4, 14, 50_000)
        is_match = labels(logits, truth, seed + 100)
        found = fit_sample(logits, is_match, calibrate.sample_bands(logits, 600, seed=seed))
        before = calibrate.error(calibrate.probabilities(logits), is_match)
        after = calibrate.probabilities(calibrate.scaled(logits, found))
        assert before > 0.1
        assert calibrate.error(after, is_match) < before / 3


@given(LOGITS, st.randoms(use_true_random=False))
def test_no_labels_turn_the_order_of_pairs_round_or_run_away(logits, rng):
    is_match = np.array([rng.random() < 0.5 for _ in logits])
    found = fit(logits, is_match)
    assert 1e-3 < found.slope < 1e3
    assert abs(found.intercept) < 1e3
    ordered = calibrate.scaled(np.sort(logits), found)
    assert (np.diff(ordered) >= 0).all()


@pytest.mark.parametrize("is_match", [[True] * 4, [False] * 4, [False, False, True, True]])
def test_labels_without_a_doubtful_pair_give_modest_numbers(is_match):
    logits = np.array([-3.0, -1.0, 1.0, 3.0])
    found = fit(logits, np.array(is_match))
    assert 0.2 < found.slope < 10
    assert abs(found.intercept) < 10


def test_labels_that_contradict_the_weights_leave_a_slope_above_zero():
    logits = np.linspace(-5, 10, 600)
    found = fit(logits, logits < 2)
    assert 0 < found.slope < 0.2


def test_one_wrong_label_among_the_surest_changes_little():
    logits = np.random.default_rng(3).uniform(-5, 10, 600)
    is_match = labels(logits, Calibration(), 4)
    without = fit(logits, is_match)
    odd = fit(np.append(logits, 80.0), np.append(is_match, False))
    assert odd.slope > without.slope / 2


@pytest.mark.parametrize(
    ("probabilities", "is_match", "error"),
    [
        ([0.0, 1.0], [False, True], 0.0),
        ([0.9, 0.9], [False, False], 0.9),
        # Two bins, one right and one off by a half, each half of the pairs.
        ([0.0, 0.0, 0.52, 0.52], [False, False, False, False], 0.26),
        # What cancels out inside one bin is no error.
        ([0.5, 0.5], [True, False], 0.0),
    ],
)
def test_the_error_is_the_distance_in_each_bin_by_its_pairs(probabilities, is_match, error):
    found = calibrate.error(np.array(probabilities), np.array(is_match))
    assert found == pytest.approx(error)


def test_pairs_count_in_the_error_by_what_they_stand_for():
    told, is_match = np.array([0.02, 0.9]), np.array([False, False])
    stands_for = np.array([9.0, 1.0])
    assert calibrate.error(told, is_match, stands_for) == pytest.approx(0.18 / 10 + 0.9 / 10)


@given(LOGITS, st.integers(1, 250), st.integers(0, 9))
def test_a_sample_and_the_rest_are_all_pairs_and_each_stands_for_them(logits, count, seed):
    drawn = calibrate.sample_bands(logits, count, seed=seed)
    assert len(drawn.chosen) <= min(count, len(logits) // 2)
    assert sorted([*drawn.chosen, *drawn.rest]) == list(range(len(logits)))
    assert drawn.rest_for.sum() == pytest.approx(len(logits))
    assert (drawn.chosen_for >= 2).all()
    again = calibrate.sample_bands(logits, count, seed=seed)
    assert (drawn.chosen == again.chosen).all()


def test_each_band_gives_as_many_and_a_small_one_half_of_what_it_has():
    logits = np.concatenate((np.full(7, -4.5), np.full(1_000, 0.5), np.full(90_000, 40.0)))
    drawn = calibrate.sample_bands(logits, 203, seed=1)
    chosen = logits[drawn.chosen]
    assert [(chosen == value).sum() for value in (-4.5, 0.5, 40.0)] == [3, 100, 100]
    assert drawn.chosen_for[chosen == 0.5] == pytest.approx(10)
    assert drawn.rest_for[logits[drawn.rest] == -4.5] == pytest.approx(7 / 4)


def test_where_no_scaling_fits_all_the_many_count_more_than_the_few():
    # Doubtful pairs are never right, sure ones nearly always: no two numbers tell both.
    logits = np.concatenate((np.full(300, 4.5), np.full(20_000, 8.5)))
    is_match = logits > 5
    drawn = calibrate.sample_bands(logits, 200, seed=2)
    weighted = fit_sample(logits, is_match, drawn)
    alike = fit(logits[drawn.chosen], is_match[drawn.chosen])
    surest = [float(each.slope * 8.5 + each.intercept) for each in (weighted, alike)]
    assert surest[0] > surest[1]


def test_nobody_gives_no_sample():
    assert calibrate.sample_bands(np.zeros(0), 10, seed=1).chosen.tolist() == []


def test_another_seed_draws_other_pairs():
    logits = np.zeros(1_000)
    one, other = (calibrate.sample_bands(logits, 100, seed=seed).chosen for seed in (1, 2))
    assert (one != other).any()


def test_log_odds_are_the_models_own():
    own = model.load()
    weights = np.array([-20.0, 0.0, 19.5, 60.0])
    assert calibrate.logits(weights, own) == pytest.approx([own.logit(each) for each in weights])
    assert calibrate.probabilities(calibrate.logits(weights, own)) == pytest.approx(
        [own.probability(each) for each in weights]
    )
