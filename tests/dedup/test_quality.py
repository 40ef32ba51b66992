"""How well the whole chain works on made-up people; the seeds were not used to set the weights."""

import numpy as np
import pytest

from dedup.batch.columns import encode
from dedup.batch.local import match
from dedup.evaluate import Report, measure
from dedup.model import load
from tests.dedup.people import World


def measured(seed: int, persons: int) -> Report:
    world = World(seed, persons)
    person = np.array([world.truth[one.person_id] for one in world.records], dtype=np.int32)
    found = match(encode(world.records), load())
    return measure(found, person, load(), seconds=0.0, peak_rss_mb=0.0)


@pytest.mark.parametrize("seed", [90_210, 48_151])
def test_nearly_all_duplicates_are_found_and_nearly_none_is_false(seed):
    report = measured(seed, 2_000)
    assert report.precision_review >= 0.99
    assert report.recall_review >= 0.93
    assert report.completeness >= 0.98
    assert report.cluster_f1 >= 0.96


def test_strong_pairs_are_right_and_most_duplicates_are_strong():
    report = measured(7_316, 2_000)
    assert report.precision_auto >= 0.999
    assert report.recall_auto >= 0.7
