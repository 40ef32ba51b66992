"""Make probabilities mean what they say, from a few hundred pairs that people have labelled.

Platt scaling (Platt 1999, "Probabilistic Outputs for Support Vector Machines"): two numbers,
applied to the log-odds. More would fit the few labels instead of the truth behind them.
"""

from math import log
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dedup.model import LOGIT_MAX, Calibration, Model

Numbers = NDArray[np.float64]
Flags = NDArray[np.bool_]
Places = NDArray[np.intp]

LABELS = 600
BINS = 20
# Bands of log-odds, natural: e^-5 is 1 in 150, and beyond e^10 nobody is in doubt.
BAND_LOGITS = 1.0
BANDS = (-5, 10)
# What is believed without labels: no change, but a slope may well be half or double. It stops
# the fit from running away where weights part the labels without a doubtful pair.
SLOPE_LOG_SPREAD = 1.0
INTERCEPT_SPREAD = 10.0
STEPS_MAX = 100
STEP_MIN = 1e-9


class Sample(NamedTuple):
    """Pairs to label and the rest, in row order, and how many of the whole each stands for."""

    chosen: Places
    chosen_for: Numbers
    rest: Places
    rest_for: Numbers


def logits(weights: Numbers, model: Model) -> Numbers:
    """Return the natural log-odds of weights in bits, as `Model.logit` does for one."""
    calibration = model.content.calibration
    return calibration.slope * ((weights + model.prior_bits) * log(2)) + calibration.intercept


def scaled(logits: Numbers, calibration: Calibration) -> Numbers:
    """Return log-odds after scaling."""
    return calibration.slope * logits + calibration.intercept


def probabilities(logits: Numbers) -> Numbers:
    """Return probabilities of natural log-odds, without overflow."""
    return np.asarray(1 / (1 + np.exp(-np.clip(logits, -LOGIT_MAX, LOGIT_MAX))))


def error(probabilities: Numbers, is_match: Flags, stands_for: Numbers | None = None) -> float:
    """Return the expected calibration error: how far probabilities are from the share of matches.

    In BINS equal bins of probability, each counting by its pairs (Naeini et al. 2015), or by
    what its pairs stand for.
    """
    weights = np.ones_like(probabilities) if stands_for is None else stands_for
    place = np.minimum((probabilities * BINS).astype(np.int64), BINS - 1)
    said = np.bincount(place, probabilities * weights, minlength=BINS)
    true = np.bincount(place, is_match * weights, minlength=BINS)
    return float(np.abs(said - true).sum() / weights.sum())


def sample_bands(logits: Numbers, count: int, *, seed: int) -> Sample:
    """Choose up to `count` pairs to label, as many from each band of log-odds.

    Nearly all pairs are beyond doubt, and a plain sample would hold hardly one of the others.
    At most half of a band is chosen, so that the rest can tell what the labels are worth; what
    a small band can't give is taken from the others.
    """
    chance = np.random.default_rng(seed)
    low, high = BANDS
    band = np.floor(np.clip(logits, low, high - STEP_MIN) / BAND_LOGITS).astype(np.int8)
    order = np.argsort(band, kind="stable")
    _, starts, sizes = np.unique(band[order], return_index=True, return_counts=True)
    taken = _shares(sizes // 2, count)
    is_chosen = np.zeros(len(band), dtype=np.bool_)
    for start, size, take in zip(starts, sizes, taken, strict=True):
        is_chosen[order[start + chance.choice(size, take, replace=False, shuffle=False)]] = True
    chosen, rest = np.flatnonzero(is_chosen), np.flatnonzero(~is_chosen)
    bands = np.zeros(len(band), dtype=np.intp)
    bands[order] = np.repeat(np.arange(len(sizes)), sizes)
    return Sample(
        chosen=chosen,
        chosen_for=sizes[bands[chosen]] / taken[bands[chosen]],
        rest=rest,
        rest_for=sizes[bands[rest]] / (sizes - taken)[bands[rest]],
    )


def fit(logits: Numbers, is_match: Flags, stands_for: Numbers) -> Calibration:
    """Return the scaling of these log-odds that explains the labels best; its slope is > 0.

    A label counts by the root of the pairs it stands for. Counting in full, one odd label
    outweighs hundreds; counting all alike, the fit serves doubtful pairs at the expense of the
    many others where no scaling fits both. docs/matching.md tells what each cost in trials.
    """
    # A certain pair that is wrong is one wrong label, however certain.
    z = np.clip(logits, *BANDS)
    y = is_match.astype(np.float64)
    weights = np.sqrt(stands_for)
    weights *= len(weights) / weights.sum()
    precision = np.array([SLOPE_LOG_SPREAD**-2, INTERCEPT_SPREAD**-2])
    # The slope's logarithm is fitted: so it can't turn the order of pairs round.
    at = np.zeros(2)

    def loss(at: Numbers) -> float:
        x = np.exp(at[0]) * z + at[1]
        losses = weights * (np.logaddexp(0, x) - y * x)
        return float(losses.sum() + (precision * at**2).sum() / 2)

    now = loss(at)
    for _ in range(STEPS_MAX):
        slope = np.exp(at[0])
        q = probabilities(slope * z + at[1])
        sides = np.stack((slope * z, np.ones_like(z)))
        gradient = sides @ (weights * (q - y)) + precision * at
        bend = (sides * (weights * q * (1 - q))) @ sides.T + np.diag(precision)
        step = np.linalg.solve(bend, gradient)
        size = 1.0
        while (then := loss(at - size * step)) > now and size > STEP_MIN:
            size /= 2
        if then >= now - STEP_MIN:
            break
        at, now = at - size * step, then
    return Calibration(slope=float(np.exp(at[0])), intercept=float(at[1]))


def _shares(sizes: Places, count: int) -> Places:
    """Share `count` evenly among bands of these sizes, no band more than it has."""
    taken = np.zeros_like(sizes)
    left = min(count, int(sizes.sum()))
    while left:
        room = np.flatnonzero(taken < sizes)
        # The last few go to the first bands that have room.
        add = np.minimum(sizes[room] - taken[room], max(1, left // len(room)))[:left]
        taken[room[: len(add)]] += add
        left -= int(add.sum())
    return taken
