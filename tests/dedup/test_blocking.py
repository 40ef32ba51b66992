import pytest
from hypothesis import given
from hypothesis import strategies as st

from dedup.blocking import key_hasher, keys, texts
from dedup.record import Document
from tests.dedup.make import person

HASHER = key_hasher(b"a test's secret, long enough")
ME = "María José / Pérez Gómez"
CEDULA = (("ve-cedula", "V-12.345.678"),)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (person(ME), person("Maria / Peres", "1990-05-17")),
        (person(ME), person("Pérez Gómez / María José", "1991-12-01")),
        (person(ME, "1990-05-04"), person(ME, "1990-04-05")),
        (person(ME, "1990-05-04"), person("María / Pérez", "1990-01-01", birth_precision="year")),
        (person(ME, "1990-05-04"), person("María / Pérez", "1991-04-05")),
        (person(ME, None), person("José María / Gómez Pérez", None)),
        (person(ME, phones=("+51987654321",)), person("Mari / X", None, phones=("987654321",))),
        (person(ME, phones=("987654321",)), person("X / X", "1990-09-09", phones=("987654321",))),
        (person(ME, documents=CEDULA), person("X / Y", None, documents=(("other", "12345678"),))),
        (
            person(ME, documents=CEDULA),
            person("Mary / Y", None, documents=(("pe-ce", "12345679"),)),
        ),
        (
            person(ME, documents=CEDULA),
            person("Mary / Y", None, documents=(("pe-ce", "12435678"),)),
        ),
        (person(ME, documents=CEDULA), person("Mary / Y", None, documents=(("pe-ce", "1234678"),))),
        (person("Pepe / Pérez"), person("José / Parra")),
    ],
)
def test_two_registrations_of_one_person_share_a_key(one, other):
    assert keys(one, HASHER) & keys(other, HASHER)


def test_every_rule_gives_its_keys_and_no_others():
    record = person(
        "Pepe / de la Cruz",
        "1990-05-04",
        phones=("+51 987 654 321",),
        documents=(("pe-ce", "000012340"), ("pe-tam", "777")),
        ubigeo="240101",
    )
    assert texts(record) == {
        *("token-date pepe 1990-05-04", "token-date yose 1990-05-04"),
        *("token-date krus 1990-05-04", "date-place 1990-05-04 240101"),
        *("pair-year krus pepe 1990", "pair-day krus pepe 4 5", "all krus pepe"),
        *("phone-given 987654321 pep", "phone-year 987654321 1990"),
        *("document 12340", "document-near 12340 p", "document-near 2340 p"),
        *("document-near 1340 p", "document-near 1240 p", "document-near 1230 p"),
        "document-near 1234 p",
    }


@pytest.mark.parametrize(
    ("facts", "kinds"),
    [
        ({"born": None}, {"all"}),
        ({"birth_precision": "year"}, {"all", "pair-year"}),
        ({"birth_precision": "month"}, {"all", "pair-year"}),
        ({"name": "Ana"}, {"token-date"}),
        ({"name": "", "ubigeo": "240101"}, {"date-place"}),
        ({"name": "", "ubigeo": "240101", "birth_precision": "month"}, set()),
        ({"name": "Ana María"}, {"token-date", "all"}),
        ({"name": "", "phones": ("987654321",)}, {"phone-year"}),
        ({"name": "", "born": None, "phones": ("987654321",)}, set()),
        ({"name": "", "documents": CEDULA}, {"document", "document-near"}),
        ({"name": "NN / XX", "documents": (("ve-cedula", "1.2E7"),)}, set()),
    ],
)
def test_what_is_not_known_gives_no_key(facts, kinds):
    assert {text.split()[0] for text in texts(person(**facts))} == kinds


def test_strangers_share_no_key():
    one = person(ME, documents=CEDULA, phones=("987654321",))
    other = person("Luis / Rojas", "1975-02-03", documents=(("pe-dni", "44556677"),))
    assert not keys(one, HASHER) & keys(other, HASHER)


def test_a_record_that_says_nothing_has_no_key():
    assert keys(person("", None), HASHER) == frozenset()


def test_keys_are_signed_64_bit_numbers_and_differ_with_the_secret():
    record = person(ME, documents=CEDULA)
    found = keys(record, HASHER)
    assert len(found) == len(texts(record))
    assert all(-(2**63) <= key < 2**63 for key in found)
    assert not found & keys(record, key_hasher(b"another secret, long enough"))


def test_a_short_secret_is_refused():
    with pytest.raises(ValueError, match="16 bytes"):
        key_hasher(b"short")


@given(st.lists(st.text(), max_size=3), st.text(), st.dates(), st.text(), st.text())
def test_keys_depend_on_the_record_only(given_names, surname, born, number, phone):
    record = person(
        "",
        born.isoformat(),
        phones=(phone,),
    )
    record = type(record)(
        person_id=record.person_id,
        household_id=record.household_id,
        given=tuple(given_names),
        surnames=(surname,),
        birth_date=born,
        documents=(Document(type="passport", number=number),),
        phones=(phone, phone),
    )
    assert keys(record, HASHER) == keys(record, HASHER)
