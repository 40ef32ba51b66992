"""What people's decisions teach: which pairs are one person, and how sure a model may be."""

from collections.abc import Sequence

import msgspec
import numpy as np

from dedup import calibrate
from dedup.case import Verdict
from dedup.model import Calibration, Model, build

# A few hundred are wanted; fewer than these say little, and so do a handful of either kind.
LABELS_MIN = 100
LABELS_OF_A_KIND_MIN = 20
# One label: a pair's weight in bits, and whether it is one person.
Label = tuple[float, bool]


class Calibrated(msgspec.Struct, frozen=True, kw_only=True):
    """A model with probabilities fitted to labels, and the error on these before and after."""

    model: Model
    labels: int
    error_before: float
    error_after: float


def labels(verdict: Verdict, weights: Sequence[float]) -> list[Label]:
    """Return what a verdict says of the pairs of its case, given their weights.

    Of two registrations of one family all pairs are one person each. "same_person" is only sure
    of the strongest. A split household and a mistake in the data say nothing of single persons.
    """
    if verdict in ("different", "relative"):
        return [(weight, False) for weight in weights]
    if verdict == "same_household":
        return [(weight, True) for weight in weights]
    if verdict == "same_person" and weights:
        return [(max(weights), True)]
    return []


def enough(found: Sequence[Label]) -> bool:
    """Say whether there are labels enough, of both kinds."""
    ones = sum(is_one for _, is_one in found)
    return len(found) >= LABELS_MIN and min(ones, len(found) - ones) >= LABELS_OF_A_KIND_MIN


def calibrated(model: Model, found: Sequence[Label]) -> Calibrated:
    """Fit a model's probabilities to labels anew; weights and thresholds stay as they are."""
    weights = np.array([weight for weight, _ in found])
    is_one = np.array([one for _, one in found])
    raw = build(msgspec.structs.replace(model.content, calibration=Calibration()))
    # Every pair that was decided is here, so each stands for itself.
    fitted = calibrate.fit(calibrate.logits(weights, raw), is_one, np.ones(len(weights)))
    content = msgspec.structs.replace(
        model.content,
        calibration=fitted,
        note=f"{model.content.note}; calibrated on {len(found):,} reviewed pairs",
    )
    after = build(content)
    errors = [
        calibrate.error(calibrate.probabilities(calibrate.logits(weights, each)), is_one)
        for each in (model, after)
    ]
    return Calibrated(model=after, labels=len(found), error_before=errors[0], error_after=errors[1])
