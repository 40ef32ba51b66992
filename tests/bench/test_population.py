"""The benchmark's population holds what it promises, whatever the seed."""

import re
import unicodedata
from collections import Counter
from datetime import date

import numpy as np
import pytest

from bench.names import names
from bench.population import COLUMNS, Population, generate
from bench.population_clerks import respelled
from bench.population_conditions import HARD, NORMAL
from bench.population_desks import partners, registrations
from bench.population_papers import CEDULA, papers
from bench.population_people import CHILD, people

RECORDS = 5000


@pytest.fixture(scope="module", params=[False, True], ids=["normal", "hard"])
def made(request) -> Population:
    return generate(RECORDS, seed=31, hard=request.param)


@pytest.fixture(scope="module", params=[NORMAL, HARD], ids=["normal", "hard"])
def world(request):
    rng = np.random.default_rng(32)
    who = people(rng, 5000, request.param)
    return who, papers(rng, who, request.param), request.param


def plain(text: str) -> str:
    """Numbers without marks, country code and leading zeros; names in plain small letters."""
    digits = re.sub(r"\D", "", text)[-9:].lstrip("0")
    return digits or unicodedata.normalize("NFD", text).encode("ascii", "ignore").decode().lower()


def share_of_pairs(made: Population, columns: tuple[str, ...]) -> float:
    """Of the true pairs, those that have a value of the columns in common."""
    left, right = made.pairs()
    rows = zip(*(made.columns[c] for c in columns), strict=True)
    values = [{plain(text) for text in row} - {""} for row in rows]
    return float(np.mean([bool(values[a] & values[b]) for a, b in zip(left, right, strict=True)]))


def test_the_same_seed_gives_the_same_records_and_another_seed_others():
    one, again, other = (generate(800, seed=seed) for seed in (5, 5, 6))
    assert all((one.columns[name] == again.columns[name]).all() for name in COLUMNS)
    assert (one.person == again.person).all()
    assert any((one.columns[name] != other.columns[name]).any() for name in COLUMNS)


def test_there_are_as_many_records_as_asked_for_in_the_format_of_the_evaluation(made):
    assert len(made) == RECORDS
    assert tuple(made.columns) == COLUMNS
    assert len(set(made.columns["record_id"])) == RECORDS
    for text in made.columns["birth_date"]:
        assert text == "" or date.fromisoformat(text) <= date(2026, 12, 31)
    assert set(made.columns["sex"]) <= {"F", "M", ""}
    for number in ("1", "2"):
        kinds, texts = made.columns[f"doc{number}_type"], made.columns[f"doc{number}"]
        assert ((kinds == "") == (texts == "")).all()


def test_registrations_come_one_after_another_with_all_their_records(made):
    seen = []
    for rows in made.registrations():
        assert len({row["registration_id"] for row in rows}) == 1
        assert len({row["partner"] for row in rows}) == 1
        seen += [row["record_id"] for row in rows]
        assert all("" not in row.values() for row in rows)
    assert seen == made.columns["record_id"].tolist()
    assert len({rows[0]["registration_id"] for rows in made.registrations()}) == sum(
        1 for _ in made.registrations()
    )


def test_the_pairs_are_all_pairs_of_one_person(made):
    left, right = made.pairs()
    assert (left < right).all()
    assert (made.person[left] == made.person[right]).all()
    times = Counter(made.person.tolist()).values()
    assert len(left) == sum(count * (count - 1) // 2 for count in times)


def test_some_three_of_ten_families_are_registered_more_than_once(world):
    who, true, conditions = world
    rng = np.random.default_rng(33)
    desks = partners(rng)
    rows = registrations(rng, who, true, desks, conditions)
    households = Counter(
        household
        for household, _ in set(
            zip(who.household[rows.person].tolist(), rows.registration.tolist(), strict=True)
        )
    )
    again = sum(count > 1 for count in households.values()) / len(households)
    assert 0.25 < again < 0.33
    assert 40 <= len(desks) <= 80


def test_there_are_people_twice_in_one_registration_and_people_registered_alone(made):
    ids = made.columns["registration_id"]
    left, right = made.pairs()
    inside = int((ids[left] == ids[right]).sum())
    assert 0.001 * RECORDS < inside < 0.007 * RECORDS
    alone = Counter(ids.tolist())
    assert 0.15 < sum(size == 1 for size in alone.values()) / len(alone) < 0.45


def test_kin_are_registered_apart(made):
    """Many records have a relative, not themselves, in a registration they aren't in."""
    ids = made.columns["registration_id"]
    by_clan: dict[int, set[tuple[int, str]]] = {}
    for clan, person, registration in zip(
        made.clan.tolist(), made.person.tolist(), ids, strict=True
    ):
        by_clan.setdefault(clan, set()).add((person, registration))
    with_kin = sum(
        any(person != other and there != registration for other, there in by_clan[clan])
        for clan, person, registration in zip(
            made.clan.tolist(), made.person.tolist(), ids, strict=True
        )
    )
    assert with_kin / RECORDS > 0.4


def test_twins_share_birth_and_surnames_and_their_numbers_follow(world):
    who, true, _ = world
    later = np.flatnonzero(who.twin)
    later = later[who.household[later] == who.household[later - 1]]
    assert len(later) > 0.005 * len(who)
    assert (who.birth[later] == who.birth[later - 1]).all()
    assert (who.given1[later] != who.given1[later - 1]).any()
    numbers = true.numbers[CEDULA]
    both = later[(numbers[later] > 0) & (numbers[later - 1] > 0)]
    assert len(both) > 5
    assert np.mean(numbers[both] - numbers[both - 1] == 1) > 0.85


def test_some_children_bear_their_fathers_whole_name(world):
    who, _, conditions = world
    sons = np.flatnonzero((who.role == CHILD) & ~who.female & (who.father >= 0))
    fathers = who.father[sons]
    assert (who.surname1[sons] == who.surname1[fathers]).all()
    same = who.given1[sons] == who.given1[fathers]
    assert 0.3 * conditions.one_name < same.mean() < conditions.one_name
    assert (same & (who.given2[sons] == who.given2[fathers])).any()


def test_no_two_people_have_one_number_but_for_birth_certificates(world):
    _, true, _ = world
    for kind, numbers in enumerate(true.numbers):
        held = numbers[numbers > 0]
        assert len(held) > 0
        if kind != 7:
            assert len(np.unique(held)) == len(held)


def test_documents_phones_and_dates_are_often_other_or_missing(made):
    documents = share_of_pairs(made, ("doc1", "doc2"))
    assert 0.15 < documents < 0.65
    phones = share_of_pairs(made, ("phone",))
    assert 0.05 < phones < 0.5
    dates = share_of_pairs(made, ("birth_date",))
    assert 0.7 < dates < 0.95
    assert 0.05 < np.mean(made.columns["doc1"] == "") < 0.4


def test_hard_is_harder():
    normal, hard = (generate(RECORDS, seed=34, hard=hard) for hard in (False, True))
    for columns in (("doc1", "doc2"), ("phone",), ("birth_date",), ("given1",), ("surname1",)):
        assert share_of_pairs(hard, columns) < share_of_pairs(normal, columns)


def test_common_names_are_common_and_the_tail_is_long():
    pool = names().surnames
    drawn = pool.words[pool.draw(np.random.default_rng(35), 50_000)]
    counts = Counter(drawn.tolist())
    assert 0.03 < counts["González"] / 50_000 < 0.055
    assert 0.025 < counts["Rodríguez"] / 50_000 < 0.05
    assert len(counts) > 2000


def test_a_name_is_respelled_by_ear_and_never_into_nothing():
    rng = np.random.default_rng(36)
    heard = {respelled("Yaquelin", rng.random(4)) for _ in range(200)}
    assert "Jacqueline" in heard
    assert len(heard) > 5
    for word in names().surnames.words[::37]:
        assert len(respelled(word, rng.random(4))) >= len(word) - 3


def test_files_hold_what_was_made(tmp_path):
    made = generate(300, seed=37)
    records, truth = made.write(tmp_path)
    lines = records.read_text(encoding="utf-8").splitlines()
    assert lines[0] == ",".join(COLUMNS)
    assert len(lines) == 301
    told = [line.split(",") for line in truth.read_text(encoding="utf-8").splitlines()[1:]]
    assert [person for _, person in told] == made.person_ids().tolist()
