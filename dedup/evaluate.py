"""How good found pairs and clusters are against the known truth.

`pairs_true` are all pairs of records of one person, also of one entered twice in a registration.
Nothing divided by nothing is None: without a pair to judge there is no precision.
"""

from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from dedup import calibrate
from dedup.batch.local import Matched
from dedup.model import Model

Persons = NDArray[np.int32]

# Who is less likely one person than this is neither shown to anybody nor worth calibrating, and
# a million such pairs would make any error look small.
PROBABILITY_MIN = 0.01
# With fewer labels an error says more about them than about the model.
LABELS_MIN = 50
# One draw of labels may be lucky; the error reported is the mean over these.
DRAWS = 20


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What `cbi dedup evaluate` tells. Shares are 0 to 1; docs/matching.md defines each."""

    records: int
    pairs_true: int
    candidates: int
    completeness: float | None
    precision_auto: float | None
    recall_auto: float | None
    f1_auto: float | None
    precision_review: float | None
    recall_review: float | None
    f1_review: float | None
    best_f1: float | None
    best_f1_bits: float | None
    cluster_precision: float | None
    cluster_recall: float | None
    cluster_f1: float | None
    calibration_error: float | None
    calibration_error_raw: float | None
    calibration_labels: int
    review_per_1000: float | None
    seconds: float
    peak_rss_mb: float
    model_id: str


@dataclass(frozen=True, kw_only=True)
class Labelled:
    """The pairs that matching keeps, strongest first, and which of them are one person."""

    weight_bits: NDArray[np.float64]
    is_match: NDArray[np.bool_]
    pairs_true: int


@dataclass(frozen=True, kw_only=True)
class Quality:
    """Counts of unordered pairs, and what follows from them."""

    true: int
    found: int
    right: int

    @property
    def precision(self) -> float | None:
        """The share of found pairs that are right."""
        return _share(self.right, self.found)

    @property
    def recall(self) -> float | None:
        """The share of true pairs that were found."""
        return _share(self.right, self.true)

    @property
    def f1(self) -> float | None:
        """The harmonic mean of precision and recall."""
        return _share(2 * self.right, self.true + self.found)


def measure(
    matched: Matched, person: Persons, model: Model, *, seconds: float, peak_rss_mb: float
) -> Report:
    """Compare what was matched with the truth: `person` has the number of each row's person."""
    labelled = label(matched, person)
    auto, review = (at_least(labelled, bits) for bits in (model.strong_bits, model.review_bits))
    clusters = of_clusters(matched.clusters, person)
    best_f1, best_f1_bits = best(labelled)
    error, error_raw, labels = calibration(labelled, model)
    return Report(
        records=len(person),
        pairs_true=labelled.pairs_true,
        candidates=matched.candidates,
        completeness=_share(compared(matched, person), labelled.pairs_true),
        precision_auto=auto.precision,
        recall_auto=auto.recall,
        f1_auto=auto.f1,
        precision_review=review.precision,
        recall_review=review.recall,
        f1_review=review.f1,
        best_f1=best_f1,
        best_f1_bits=best_f1_bits,
        cluster_precision=clusters.precision,
        cluster_recall=clusters.recall,
        cluster_f1=clusters.f1,
        calibration_error=error,
        calibration_error_raw=error_raw,
        calibration_labels=labels,
        review_per_1000=_share(1_000 * (review.found - auto.found), len(person)),
        seconds=seconds,
        peak_rss_mb=peak_rss_mb,
        model_id=model.model_id,
    )


def label(matched: Matched, person: Persons) -> Labelled:
    """Sort the kept pairs by weight and say which are one person."""
    kept = np.flatnonzero(matched.kept)
    order = kept[np.argsort(-matched.weight_bits[kept], kind="stable")]
    return Labelled(
        weight_bits=matched.weight_bits[order],
        is_match=person[matched.a[order]] == person[matched.b[order]],
        pairs_true=_pairs_within(person),
    )


def compared(matched: Matched, person: Persons) -> int:
    """Count the true pairs that were compared at all, whatever came of it."""
    true = np.flatnonzero(person[matched.a] == person[matched.b])
    pairs = matched.a[true].astype(np.int64) * len(person) + matched.b[true]
    return len(np.unique(pairs))


def at_least(labelled: Labelled, bits: float) -> Quality:
    """Judge the kept pairs of this weight or more."""
    found = int((labelled.weight_bits >= bits).sum())
    right = int(labelled.is_match[:found].sum())
    return Quality(true=labelled.pairs_true, found=found, right=right)


def best(labelled: Labelled) -> tuple[float | None, float | None]:
    """Return the best F1 that any threshold gives, and the threshold."""
    found, right, bits = curve(labelled)
    if not len(found) or not labelled.pairs_true:
        return None, None
    f1 = 2 * right / (found + labelled.pairs_true)
    at = int(np.argmax(f1))
    return float(f1[at]), float(bits[at])


def curve(
    labelled: Labelled,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Return pairs found, those of them right, and the threshold, for each threshold there is.

    Pairs of one weight come together: no threshold parts them.
    """
    weights = labelled.weight_bits
    last = np.flatnonzero(np.diff(weights, append=-np.inf))
    right = np.cumsum(labelled.is_match, dtype=np.int64)
    return last.astype(np.int64) + 1, right[last], weights[last]


def of_clusters(clusters: Persons, person: Persons) -> Quality:
    """Judge clusters by the pairs of records that they join."""
    both = clusters.astype(np.int64) * (int(person.max(initial=0)) + 1) + person
    return Quality(
        true=_pairs_within(person), found=_pairs_within(clusters), right=_pairs_within(both)
    )


def calibration(labelled: Labelled, model: Model) -> tuple[float | None, float | None, int]:
    """Return the calibration error after labelling some pairs, the error before, and how many.

    Of the kept pairs with PROBABILITY_MIN or more under the model, up to 600 are labelled (at
    most half of them; None where that is too few) and Platt scaling is fitted to these. The
    error is that of the pairs that were not labelled, standing for all; the mean over DRAWS.
    """
    logits = calibrate.logits(labelled.weight_bits, model)
    probable = calibrate.probabilities(logits) >= PROBABILITY_MIN
    logits, is_match = logits[probable], labelled.is_match[probable]
    errors, labels = [], 0
    for seed in range(DRAWS):
        drawn = calibrate.sample_bands(logits, calibrate.LABELS, seed=seed)
        labels = len(drawn.chosen)
        if labels < LABELS_MIN:
            return None, None, 0
        scaling = calibrate.fit(logits[drawn.chosen], is_match[drawn.chosen], drawn.chosen_for)
        after = calibrate.probabilities(calibrate.scaled(logits[drawn.rest], scaling))
        errors.append(calibrate.error(after, is_match[drawn.rest], drawn.rest_for))
    error_raw = calibrate.error(calibrate.probabilities(logits), is_match)
    return float(np.mean(errors)), error_raw, labels


def _pairs_within(groups: NDArray[np.int32] | NDArray[np.int64]) -> int:
    _, sizes = np.unique(groups, return_counts=True)
    return int((sizes * (sizes - 1) // 2).sum())


def _share(part: float, whole: float) -> float | None:
    return part / whole if whole else None
