"""Learning without labels: what is learned must be what the made-up world did."""

import dataclasses

import numpy as np
import pytest

from dedup import model, train
from dedup.batch import keys, levels, local
from dedup.batch.columns import encode
from dedup.compare import FIELDS, LEVELS
from tests.dedup.people import World


@pytest.fixture(scope="module")
def world():
    made = World(seed=21, persons=8000)
    columns = encode(made.records)
    truth = np.array([made.truth[person] for person in columns.person_ids])
    return columns, truth, train.fit(columns, model.load(), seed=3)


def rate(content, field, level):
    return content.fields[field][level]


def test_m_is_close_to_the_rates_among_true_pairs(world):
    columns, truth, learned = world
    found = keys.candidates(columns)
    true = truth[found.a] == truth[found.b]
    codes = levels.compare(columns, found.a[true], found.b[true]).codes
    for field, level in (
        ("given1", "exact"),
        ("surname1", "exact"),
        ("birth_date", "exact"),
        ("document", "exact"),
        ("phone", "different"),
        ("sex", "same"),
        ("place", "district"),
    ):
        column = codes[:, FIELDS.index(field)]
        stated = column[column > 0]
        observed = np.mean(stated == LEVELS[field].index(level))
        assert rate(learned.content, field, level).m == pytest.approx(observed, abs=0.03)


def test_kin_share_surnames_and_not_given_names_or_birth_dates(world):
    content = world[2].content
    surname, given = rate(content, "surname1", "exact"), rate(content, "given1", "exact")
    assert surname.kin > 10 * surname.u
    assert given.kin < given.m / 5
    assert rate(content, "birth_date", "exact").kin < 0.1
    assert content.prior_kin > content.prior_match


def test_no_level_tells_a_person_from_kin_by_more_than_the_bound(world):
    bits = [one.kin_bits for field in world[2].evidence for one in field]
    assert max(bits) <= train.KIN_BITS_MAX + 0.1


def test_learning_twice_from_the_same_records_gives_the_same_model(world):
    columns, _, learned = world
    again = train.fit(columns, model.load(), seed=3, processes=2)
    assert again.model_id == learned.model_id


def test_without_registrations_of_two_there_are_two_classes(world):
    columns, truth, learned = world
    alone = dataclasses.replace(columns, registration=np.arange(len(columns), dtype=np.int32))
    two = train.fit(alone, model.load(), seed=3)
    assert two.content.prior_kin == 0
    with_kin, without = best_f1(columns, truth, learned), best_f1(alone, truth, two)
    # Families are in the data all the same, and are taken for one person.
    assert with_kin > without


def best_f1(columns, truth, weights):
    found = local.match(columns, weights)
    kept = found.kept
    order = np.argsort(-found.weight_bits[kept], kind="stable")
    right = np.cumsum((truth[found.a] == truth[found.b])[kept][order])
    counts = np.bincount(np.unique(truth, return_inverse=True)[1])
    pairs = (counts * (counts - 1) // 2).sum()
    return (2 * right / (np.arange(1, len(right) + 1) + pairs)).max()


def test_what_is_learned_finds_more_than_what_it_started_from(world):
    columns, truth, learned = world
    assert best_f1(columns, truth, learned) >= best_f1(columns, truth, model.load()) - 0.001


def test_records_without_any_candidate_leave_the_model_as_it_was():
    columns = encode(World(seed=22, persons=3).records[:1])
    assert train.fit(columns, model.load()) is model.load()


def test_a_level_that_the_data_does_not_have_says_what_it_said_before(world):
    columns, _, learned = world
    dated = dataclasses.replace(
        columns, precision=np.where(columns.birth > 0, 1, 0).astype(np.int8)
    )
    fitted = train.fit(dated, model.load(), seed=3)
    at = FIELDS.index("birth_date")
    for level in ("month", "about"):
        code = LEVELS["birth_date"].index(level)
        before, after = model.load().evidence[at][code], fitted.evidence[at][code]
        assert after.bits == pytest.approx(before.bits, abs=1e-6)
        assert after.kin_bits == pytest.approx(before.kin_bits, abs=1e-6)
    assert learned.model_id != fitted.model_id


def test_the_model_that_ships_never_takes_what_agrees_for_what_differs():
    for field in model.load().evidence:
        worst = min(
            one.bits
            for one in field
            if one.level in {"different", "other_type", "none"} or one.level == "missing"
        )
        for one in field:
            assert one.bits >= min(worst, 0) or one.field == "order"
    born = {one.level: one.bits for one in model.load().evidence[FIELDS.index("birth_date")]}
    assert born["month"] > born["year"] > born["about"] > 0 > born["different"]
