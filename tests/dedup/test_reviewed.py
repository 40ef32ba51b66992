"""Decisions as labels, and probabilities that follow them."""

import random
from math import exp, log

import msgspec
import pytest

from dedup.model import Calibration, build, load
from dedup.reviewed import LABELS_MIN, LABELS_OF_A_KIND_MIN, calibrated, enough, labels

WEIGHTS = [31.0, 25.0, 20.5]


@pytest.mark.parametrize(
    ("verdict", "expected"),
    [
        ("different", [(31.0, False), (25.0, False), (20.5, False)]),
        ("relative", [(31.0, False), (25.0, False), (20.5, False)]),
        ("same_household", [(31.0, True), (25.0, True), (20.5, True)]),
        ("same_person", [(31.0, True)]),
        ("household_split", []),
        ("data_error", []),
        ("unresolved", []),
    ],
)
def test_a_verdict_says_only_what_it_says_of_single_pairs(verdict, expected):
    assert labels(verdict, WEIGHTS) == expected
    assert labels(verdict, []) == []


def test_few_labels_or_labels_of_one_kind_are_not_enough():
    ones, others = [(20.0, True)] * LABELS_MIN, [(20.0, False)] * LABELS_OF_A_KIND_MIN
    assert not enough(ones)
    assert enough([*ones[len(others) :], *others])
    assert not enough([*ones, *others[1:]])
    assert not enough([*ones[len(others) + 1 :], *others])


def labelled(model, slope: float, intercept: float, count: int = 4000):
    """Labels drawn from other probabilities than the model believes in."""
    rng = random.Random(3)
    found = []
    for _ in range(count):
        weight = rng.uniform(model.review_bits, model.strong_bits + 5)
        raw = (weight + model.prior_bits) * log(2)
        found.append((weight, rng.random() < 1 / (1 + exp(-(slope * raw + intercept)))))
    return found


@pytest.mark.parametrize(("slope", "intercept"), [(0.5, -1.0), (1.0, 0.0), (1.6, -2.0)])
def test_probabilities_come_to_mean_what_they_say(slope, intercept):
    model = load()
    done = calibrated(model, labelled(model, slope, intercept))
    assert done.error_after < 0.03
    assert done.error_after <= done.error_before + 0.005
    assert done.model.content.calibration.slope == pytest.approx(slope, rel=0.2)
    assert done.labels == 4000


def test_weights_and_thresholds_stay_and_the_model_is_another():
    model = load()
    done = calibrated(model, labelled(model, 0.5, -1.0)).model
    assert done.model_id != model.model_id
    same = {"calibration": model.content.calibration, "note": model.content.note}
    assert msgspec.structs.replace(done.content, **same) == model.content
    assert "4,000 reviewed pairs" in done.content.note


def test_an_earlier_calibration_is_replaced_not_added_to():
    model = load()
    found = labelled(model, 0.7, -0.5)
    skewed = build(
        msgspec.structs.replace(
            model.content, calibration=Calibration(slope=3.0, intercept=4.0), note="skewed"
        )
    )
    fits = [calibrated(each, found).model.content.calibration for each in (model, skewed)]
    assert fits[0] == fits[1]
