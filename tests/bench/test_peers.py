"""The steps and the measure that the peers' results go through."""

import numpy as np
import pytest

from bench.peers import PeerResult, best_f1, exclusive

REGISTRATION = {"a1": "A", "a2": "A", "b1": "B", "b2": "B", "c1": "C"}
PERSON = {"a1": "x", "a2": "y", "b1": "x", "b2": "y", "c1": "x"}


def scored(*pairs: tuple[str, str, float]) -> PeerResult:
    left, right, weight = zip(*pairs, strict=True)
    return PeerResult(
        model="all",
        left=np.array(left, dtype=object),
        right=np.array(right, dtype=object),
        weight_bits=np.array(weight),
        seconds=1.0,
        peak_rss_mb=1.0,
    )


def test_nobody_is_paired_inside_a_registration_nor_twice_with_another():
    result = exclusive(
        scored(
            ("a1", "a2", 30.0),
            ("a1", "b2", 8.0),
            ("a1", "b1", 20.0),
            ("a2", "b1", 10.0),
            ("a2", "b2", 5.0),
            ("a1", "c1", 3.0),
        ),
        REGISTRATION,
    )
    kept = list(zip(result.left, result.right, strict=True))
    assert kept == [("a1", "b1"), ("a2", "b2"), ("a1", "c1")]


def test_the_best_threshold_is_found_and_equal_weights_stand_or_fall_together():
    result = scored(("a1", "b1", 9.0), ("a2", "b2", 7.0), ("a2", "c1", 7.0), ("b1", "c1", 1.0))
    # True are a1-b1, a1-c1, b1-c1 and a2-b2.
    best = best_f1(result, PERSON)
    assert best.threshold_bits == 1.0
    assert best.f1 == pytest.approx(2 * 3 / (4 + 4))
    assert (best.precision, best.recall) == (pytest.approx(0.75), pytest.approx(0.75))
    early = best_f1(scored(("a1", "b1", 9.0), ("a2", "c1", 7.0)), PERSON)
    assert (early.threshold_bits, early.precision) == (9.0, 1.0)


def test_pairs_inside_a_registration_count_only_where_asked():
    person = {"a1": "x", "a2": "x", "b1": "x"}
    result = scored(("a1", "b1", 9.0), ("a2", "b1", 8.0), ("a1", "a2", 7.0))
    assert best_f1(result, person).f1 == 1.0
    assert best_f1(scored(("a1", "b1", 9.0), ("a2", "b1", 8.0)), person).recall == (
        pytest.approx(2 / 3)
    )
    apart = best_f1(result, person, apart=REGISTRATION)
    assert apart.f1 == 1.0
    assert apart.threshold_bits == 8.0
