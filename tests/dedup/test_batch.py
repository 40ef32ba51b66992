"""The batch engine against the scalar one: two drivers, one scorer."""

import os
import signal
import subprocess
import sys
from concurrent.futures.process import BrokenProcessPool
from itertools import combinations
from pathlib import Path

import numpy as np
import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dedup import blocking, model
from dedup.batch import choose, keys, levels, local, weigh
from dedup.batch.columns import concatenate, encode
from dedup.compare import EXACT, FIELDS, LEVELS, compare, prepare
from dedup.model import Frequencies
from dedup.score import weight_bits
from dedup.train import frequencies
from tests.dedup.make import RECORDS
from tests.dedup.people import World

ROOT = Path(__file__).parents[2]


def weigher(records, columns):
    """A model that counts words as these records have them, so that rarity is compared too."""
    content = model.load().content
    return model.build(
        type(content)(
            **{name: getattr(content, name) for name in content.__struct_fields__}
            | {"frequencies": frequencies(columns)}
        )
    )


def scalar(records, a, b, weights):
    prepared = [prepare(record) for record in records]
    codes, found = [], []
    for one, other in zip(a.tolist(), b.tolist(), strict=True):
        compared = compare(prepared[one], prepared[other])
        codes.append(compared.codes)
        found.append(weight_bits(compared, records[one].ubigeo, weights))
    return np.array(codes), np.array(found)


def test_levels_and_weights_of_both_drivers_are_the_same_on_many_pairs():
    records = World(seed=11, persons=6000).records
    columns = encode(records)
    found = keys.candidates(columns)
    rng = np.random.default_rng(4)
    a, b = (rng.integers(0, len(records), 20_000, dtype=np.int32) for _ in range(2))
    a, b = np.concatenate((found.a, a)), np.concatenate((found.b, b))
    assert len(a) >= 20_000
    weights = weigher(records, columns)
    assert weights.rarity[2]  # some surnames are counted, or rarity would not be tested
    codes, expected = scalar(records, a, b, weights)
    compared = levels.compare(columns, a, b)
    table = weigh.tables(weights, columns)
    np.testing.assert_array_equal(compared.codes, codes)
    got = weigh.weight_bits(weigh.evidence(compared, table), table)
    np.testing.assert_allclose(got, expected, atol=1e-9, rtol=0)
    for field, words in enumerate(LEVELS.values()):
        seen = set(np.unique(codes[:, field]).tolist())
        assert len(seen) >= min(len(words), 2) or FIELDS[field] == "household"
    assert (codes[:, 0] == EXACT).sum() > 1000


@settings(max_examples=150, deadline=None)
@given(st.lists(RECORDS, min_size=2, max_size=8))
def test_both_drivers_agree_on_anything_a_clerk_may_write(records):
    columns = encode(records)
    pairs = np.array(list(combinations(range(len(records)), 2)), dtype=np.int32)
    a, b = pairs[:, 0], pairs[:, 1]
    codes, expected = scalar(records, a, b, model.load())
    compared = levels.compare(columns, a, b)
    np.testing.assert_array_equal(compared.codes, codes)
    np.testing.assert_array_equal(levels.compare(columns, b, a).codes, codes)
    np.testing.assert_array_equal(levels.compare(columns, b, a).words, compared.words)
    table = weigh.tables(model.load(), columns)
    got = weigh.weight_bits(weigh.evidence(compared, table), table)
    np.testing.assert_allclose(got, expected, atol=1e-9, rtol=0)


def sharing(records, per_block):
    """Pairs that share a key of `dedup.blocking`, found the slow way."""
    blocks = {}
    for row, record in enumerate(records):
        for text in blocking.texts(record):
            blocks.setdefault(text, []).append(row)
    return {
        (one, other)
        for block in blocks.values()
        if len(block) <= per_block
        for one, other in combinations(block, 2)
        if records[one].household_id != records[other].household_id
    }


@settings(max_examples=150, deadline=None)
@given(st.lists(RECORDS, min_size=2, max_size=12))
def test_candidates_are_those_that_share_a_key_online(records):
    found = keys.candidates(encode(records))
    got = list(zip(found.a.tolist(), found.b.tolist(), strict=True))
    assert got == sorted(sharing(records, keys.PER_BLOCK))


@pytest.mark.parametrize("per_block", [3, 200])
def test_candidates_of_many_are_those_that_share_a_key_and_crowds_are_told(per_block):
    records = World(seed=12, persons=3000).records
    found = keys.candidates(encode(records), per_block=per_block)
    got = set(zip(found.a.tolist(), found.b.tolist(), strict=True))
    assert got == sharing(records, per_block)
    assert bool(found.crowds) is (per_block == 3)


def test_columns_made_apart_and_put_together_are_those_made_at_once():
    records = World(seed=13, persons=900).records
    whole = encode(records)
    parts = concatenate([encode(records[:10]), encode(records[10:11]), encode(records[11:])])
    found, same = keys.candidates(whole), keys.candidates(parts)
    np.testing.assert_array_equal(found.a, same.a)
    np.testing.assert_array_equal(found.b, same.b)
    one, other = (levels.compare(columns, found.a, found.b) for columns in (whole, parts))
    np.testing.assert_array_equal(one.codes, other.codes)
    np.testing.assert_array_equal(one.words, other.words)
    assert parts.person_ids == whole.person_ids
    assert parts.vocabulary.texts == whole.vocabulary.texts


def test_rows_taken_in_another_order_are_the_same_persons():
    records = World(seed=13, persons=300).records
    order = np.arange(len(records))[::-1]
    turned, expected = encode(records).take(order), encode(records[::-1])
    assert list(turned.person_ids) == [record.person_id for record in records[::-1]]
    for columns in (turned, expected):
        of = [columns.registrations[number] for number in columns.registration.tolist()]
        assert of == [record.household_id for record in records[::-1]]
    found, same = keys.candidates(turned), keys.candidates(expected)
    np.testing.assert_array_equal(found.a, same.a)
    one, other = (levels.compare(each, found.a, found.b) for each in (turned, expected))
    np.testing.assert_array_equal(one.codes, other.codes)


def test_one_process_or_two_and_any_order_of_records_give_the_same_result():
    world = World(seed=14, persons=2500)
    one = encode(world.records)
    other = encode(world.records[::-1])
    weights = model.load()
    found, same = local.match(one, weights), local.match(one, weights, processes=2)
    for name in ("a", "b", "weight_bits", "kept", "clusters"):
        np.testing.assert_array_equal(getattr(found, name), getattr(same, name))
    turned = local.match(other, weights)

    def pairs(columns, matched):
        kept = matched.kept & (matched.weight_bits >= weights.review_bits)
        return {
            (*sorted((columns.person_ids[i], columns.person_ids[j])), round(weight, 9))
            for i, j, weight in zip(
                matched.a[kept].tolist(),
                matched.b[kept].tolist(),
                matched.weight_bits[kept].tolist(),
                strict=True,
            )
        }

    assert pairs(one, found) == pairs(other, turned)


def columns_of(*registrations):
    return np.array(registrations, dtype=np.int32)


def rows(*numbers):
    return np.array(numbers, dtype=np.int32)


def test_between_two_registrations_a_person_is_paired_once_with_the_strongest():
    registration = columns_of(0, 0, 1, 1, 2)
    a, b = rows(0, 0, 1, 0), rows(2, 3, 2, 4)
    kept = choose.one_to_one(registration, a, b, np.array([30.0, 20.0, 25.0, 5.0]))
    assert kept.tolist() == [True, False, False, True]


def test_a_chain_never_joins_two_members_of_one_registration():
    registration = columns_of(0, 0, 1)
    nobody = (rows(), rows())
    weights = np.array([30.0, 20.0])
    found = choose.clusters(registration, rows(0, 1), rows(2, 2), weights, twice=nobody)
    assert found[0] == found[2] != found[1]
    double = (rows(0), rows(1))
    found = choose.clusters(registration, rows(0, 1), rows(2, 2), weights, twice=double)
    assert found[0] == found[1] == found[2]


def test_a_cluster_does_not_grow_beyond_its_bound():
    many = choose.CLUSTER_MAX + 5
    registration = np.arange(many, dtype=np.int32)
    a, b = np.arange(many - 1, dtype=np.int32), np.arange(1, many, dtype=np.int32)
    found = choose.clusters(registration, a, b, np.full(many - 1, 40.0), twice=(rows(), rows()))
    assert np.bincount(found).max() <= choose.CLUSTER_MAX


def test_words_that_few_people_bear_are_not_written_into_a_model():
    columns = encode(World(seed=15, persons=1500).records)
    for counted in frequencies(columns).values():
        assert isinstance(counted, Frequencies)
        assert all(share * len(columns) * 8 >= 20 for share in counted.words.values())


def test_pieces_of_work_come_back_in_order_and_their_faults_as_they_are():
    assert list(local.in_processes(lambda at: at * at, range(7), 2)) == [at * at for at in range(7)]

    def odd(at: int) -> int:
        if at == 3:
            raise LookupError(at)
        return at

    with pytest.raises(LookupError):
        list(local.in_processes(odd, range(9), 2))


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing is forked")
def test_a_process_that_dies_is_an_error_and_no_wait_for_ever():
    def dying(at: int) -> int:
        if at == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return at

    with pytest.raises(BrokenProcessPool):
        list(local.in_processes(dying, range(4), 2))


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing is forked")
def test_who_looks_at_the_first_piece_only_is_not_kept_waiting():
    pieces = local.in_processes(lambda at: at, range(4), 2)
    assert next(pieces) == 0
    pieces.close()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing is forked")
def test_a_killed_program_leaves_no_process_that_holds_records():
    script = (
        "import os\n"
        "from dedup.batch import local\n"
        "read, write = os.pipe()\n"
        "def work(at):\n"
        "    print(os.getpid(), flush=True)\n"
        "    os.read(read, 1)\n"  # For ever: nobody writes.
        "list(local.in_processes(work, range(2), 2))\n"
    )
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as program:
        # One is at work; whether the other has got its piece yet is for the pool to say.
        program.stdout.readline()
        workers = psutil.Process(program.pid).children()
        program.kill()
        gone, alive = psutil.wait_procs(workers, timeout=30)
    assert (len(gone), alive) == (2, [])
