"""The example population: the same for the same seed, valid, and lossless through its files."""

from collections import Counter
from datetime import date

import pytest
from stdnum.pe import cui

from api.demo.files import write
from api.demo.names import MEN, SPELLINGS, SURNAMES, WOMEN
from api.demo.population import population
from cbi import intake
from cbi.account import compact, instrument_fault

TODAY = date(2026, 5, 1)


@pytest.fixture(scope="module")
def people():
    return population(1)


def registrations(people):
    return [each for partner in people.partners for each in partner.registrations]


def test_its_size_is_what_the_journey_needs(people):
    times = Counter(each.person for each in people.truth.persons)
    assert people.households == 600
    assert 1_900 <= people.persons <= 2_200
    assert 250 <= sum(count > 1 for count in times.values()) <= 350
    assert len(people.truth.pairs()) >= sum(count > 1 for count in times.values())
    assert all(one[0] != other[0] for one, other in people.truth.pairs())


@pytest.mark.parametrize("seed", range(2, 6))
def test_every_seed_gives_about_as_many(seed):
    times = Counter(each.person for each in population(seed).truth.persons)
    assert 250 <= sum(count > 1 for count in times.values()) <= 350


def test_the_truth_names_every_person_of_every_registration(people):
    assert [
        (partner.code, each.reference, index)
        for partner in people.partners
        for each in partner.registrations
        for index in range(len(each.persons))
    ] == sorted(
        ((each.partner, each.reference, each.index) for each in people.truth.persons),
        key=lambda place: (["PUENTE", "SOLMAR", "PARROQUIA"].index(place[0]), place[1:]),
    )


def test_births_documents_and_accounts_hold_their_rules(people):
    for each in registrations(people):
        for person in each.persons:
            assert date(1930, 1, 1) <= person.birth_date <= date(2025, 12, 31)
            for document in person.documents:
                assert document.type != "pe-dni" or cui.is_valid(document.number)
        assert instrument_fault(each.instrument) == ""
    lengths = Counter(len(compact(each.instrument.account)) for each in registrations(people))
    assert set(lengths) == {0, 14, 20}
    assert 8 <= lengths[14] <= 14


def test_some_decline_the_duplicate_check_and_some_the_bank(people):
    declined = Counter(
        answer.kind
        for each in registrations(people)
        for answer in each.consents
        if not answer.granted
    )
    assert set(declined) == {"duplicate_check", "fsp"}
    assert 8 <= declined["duplicate_check"] <= 30
    assert 4 <= declined["fsp"] <= 24
    paid_by_hand = [each for each in registrations(people) if each.instrument.account == ""]
    assert len(paid_by_hand) == declined["fsp"]


def test_twins_and_siblings_are_there_to_be_told_apart(people):
    twins = sum(
        one.birth_date == other.birth_date and one.surnames == other.surnames
        for each in registrations(people)
        for index, one in enumerate(each.persons)
        for other in each.persons[:index]
    )
    assert twins >= 20


def test_names_are_long_enough_to_be_looked_for():
    assert len(WOMEN + MEN) >= 120
    assert len(set(SURNAMES)) >= 150
    assert all(len(name) >= 4 for name in (*WOMEN, *MEN, *SURNAMES))
    assert set(SPELLINGS) <= {*WOMEN, *MEN, *SURNAMES}


def test_the_files_read_back_give_the_registrations_without_a_fault(people, tmp_path):
    files = write(people, tmp_path / "files")
    for partner, file in zip(people.partners, files.partners, strict=True):
        assert file.code == partner.code
        rows = intake.rows(file.path.read_bytes(), format=file.format, ubigeo_system="inei")
        for row, registration in zip(rows, partner.registrations, strict=True):
            found = intake.read(row, today=TODAY)
            assert found.faults == ()
            assert found.registration == registration


def test_the_same_seed_gives_the_same_bytes(people, tmp_path):
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        write(population(1), folder)
    for path in sorted(folders[0].iterdir()):
        assert path.read_bytes() == (folders[1] / path.name).read_bytes()
    assert population(2) != people
