"""How well the whole chain works on made-up people; the seeds were not used to set the weights."""

import time
from collections import defaultdict
from uuid import UUID

import pytest

from dedup.blocking import texts
from dedup.compare import prepare
from dedup.evaluate import evaluate
from dedup.find import Pair, one_to_one
from dedup.model import load
from dedup.score import score_prepared
from tests.dedup.people import World

PARTNER = UUID(int=1)


def search(world):
    """Do in memory what `find` does with the database; also return the seconds spent per pair."""
    by_key = defaultdict(set)
    for record in world.records:
        for text in texts(record):
            by_key[text].add(record.person_id)
    candidates = {
        (a, b)
        for block in by_key.values()
        if len(block) <= 500
        for a in block
        for b in block
        if a < b
    }
    records = {record.person_id: record for record in world.records}
    prepared = {person_id: prepare(record) for person_id, record in records.items()}
    household = {person_id: record.household_id for person_id, record in records.items()}
    crossing = sorted(pair for pair in candidates if household[pair[0]] != household[pair[1]])
    model = load()
    started = time.perf_counter()
    scores = [score_prepared(prepared[a], prepared[b], model) for a, b in crossing]
    seconds = (time.perf_counter() - started) / max(1, len(crossing))
    pairs = [
        Pair(
            person_id=a,
            household_id=household[a],
            other_person_id=b,
            other_household_id=household[b],
            other_partner_id=PARTNER,
            score=score,
        )
        for (a, b), score in zip(crossing, scores, strict=True)
        if score.weight_bits >= model.review_bits
    ]
    return one_to_one(pairs), crossing, seconds


@pytest.mark.parametrize("seed", [90_210, 48_151])
def test_nearly_all_duplicates_are_found_and_nearly_none_is_false(seed):
    world = World(seed, 2_000)
    found, _, _ = search(world)
    quality = evaluate(
        [(pair.person_id, pair.other_person_id) for pair in found], world.true_pairs()
    )
    assert quality.precision >= 0.99
    assert quality.recall >= 0.93


def test_strong_pairs_are_right_and_most_duplicates_are_strong():
    world = World(7_316, 2_000)
    found, _, _ = search(world)
    strong = [
        (pair.person_id, pair.other_person_id) for pair in found if pair.score.strength == "strong"
    ]
    quality = evaluate(strong, world.true_pairs())
    assert quality.precision >= 0.999
    assert quality.recall >= 0.7
