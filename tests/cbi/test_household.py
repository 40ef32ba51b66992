"""One reader for every door: every fault at once, each with its path and without its value."""

from copy import deepcopy
from datetime import date
from uuid import UUID

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cbi import consent, fault, household, place
from cbi.form import read_form

TODAY = date(2026, 6, 1)
CONSENT = {
    "kind": "registration",
    "granted": True,
    "text_version": "2026-1",
    "language": "es",
    "channel": "in_person",
    "given_on": "2026-02-03",
}
HEAD = {
    "given_names": "Yaquelin del Valle",
    "surnames": "Pérez Quispe",
    "birth_date": "1990-12-31",
    "sex": "F",
    "relationship": "head",
    "nationality": "VEN",
    "documents": [{"type": "ve-cedula", "number": "V-12345678"}],
    "phones": ["987 654 321"],
}
CHILD = {
    "given_names": "Usnavi",
    "surnames": "Pérez",
    "birth_date": "2015-01-01",
    "birth_precision": "year",
    "relationship": "child",
}
GOOD = {
    "reference": "FAM-1",
    "registered_on": "2026-02-03",
    "ubigeo": "240101",
    "population_type": "in_destination",
    "instrument": {"kind": "bank_account", "bank": "011", "account": "01136600010003254221"},
    "consents": [CONSENT, CONSENT | {"kind": "duplicate_check", "granted": False}],
    "persons": [HEAD, CHILD],
}


def form(*changes):
    """GOOD with changes, each a path and the new value; ... takes the field away."""
    raw = deepcopy(GOOD)
    for *path, key, value in changes:
        at = raw
        for part in path:
            at = at[part]
        if value is ...:
            del at[key]
        else:
            at[key] = value
    return raw


def faults(*changes):
    read = household.read(form(*changes), today=TODAY)
    assert (read.registration is None) == fault.has_errors(read.faults)
    return [(each.path, each.code, each.level) for each in read.faults]


def test_a_good_form_is_read_without_a_fault():
    read = household.read(GOOD, today=TODAY)
    assert read.faults == ()
    assert household.size(read.registration) == 2
    assert household.check(read.registration, today=TODAY) == ()
    again = household.read(msgspec.to_builtins(read.registration), today=TODAY)
    assert again.registration == read.registration


def test_what_is_implied_is_said():
    head = household.read(GOOD, today=TODAY).registration.persons[0]
    assert head.roles == ("head", "primary_collector")
    assert head.phones == ("+51987654321",)
    assert head.documents[0].country == "VEN"
    assert head.documents[0].number == "V-12345678"


def test_another_collector_is_kept():
    read = household.read(form(("persons", 1, "roles", ["primary_collector"])), today=TODAY)
    assert [each.roles for each in read.registration.persons] == [("head",), ("primary_collector",)]
    assert household.who(read.registration, "primary_collector") == 1
    assert household.who(read.registration, "alternate_collector") is None


FORM_FAULTS = [
    (("reference", ""), "reference", "text_empty"),
    (("reference", "x" * 61), "reference", "text_long"),
    (("reference", 7), "reference", "text_wanted"),
    (("reference", "a\x00b"), "reference", "text_characters"),
    (("reference", "a\ud800b"), "reference", "text_characters"),
    (("reference", ...), "reference", "field_missing"),
    (("registered_on", "3/2/2026"), "registered_on", "date_form"),
    (("registered_on", "2026-02-30"), "registered_on", "date_form"),
    (("registered_on", 20260203), "registered_on", "date_form"),
    (("population_type", "tourist"), "population_type", "code_unknown"),
    (("population_type", None), "population_type", "code_unknown"),
    (("surprise", 1), "surprise", "field_unknown"),
    (("12345678 is a number", 1), "?", "field_unknown"),
    (("persons", {}), "persons", "list_wanted"),
    (("persons", []), "persons", "list_short"),
    (("persons", 1, None), "persons[1]", "object_wanted"),
    (("persons", 1, "given_names", ...), "persons[1].given_names", "field_missing"),
    (("persons", 1, "lives_in_household", "no"), "persons[1].lives_in_household", "bool_wanted"),
    (("persons", 1, "documents", [3]), "persons[1].documents[0]", "object_wanted"),
    (("persons", 1, "phones", ["9"] * 6), "persons[1].phones", "list_long"),
    (("persons", 0, "documents", 0, "type", "dni"), "persons[0].documents[0].type", "code_unknown"),
    (("instrument", []), "instrument", "object_wanted"),
]


@pytest.mark.parametrize(("change", "path", "code"), FORM_FAULTS)
def test_a_fault_of_form_is_named_where_it_is(change, path, code):
    assert (path, code, "error") in faults(change)


RULES = [
    (("ubigeo", "2401"), "ubigeo", "ubigeo_form", "error"),
    (("ubigeo", "40101"), "ubigeo", "ubigeo_short", "error"),
    (("ubigeo", "260101"), "ubigeo", "ubigeo_department", "error"),
    (("registered_on", "2027-01-01"), "registered_on", "date_future", "error"),
    (("registered_on", "1999-01-01"), "registered_on", "date_early", "error"),
    (("persons", 1, "birth_date", "2026-06-02"), "persons[1].birth_date", "date_future", "error"),
    (("persons", 1, "birth_date", "1875-01-01"), "persons[1].birth_date", "date_early", "error"),
    (("persons", 1, "birth_date", None), "persons[1].birth_date", "birth_missing", "warning"),
    (("persons", 1, "surnames", ""), "persons[1].surnames", "surname_missing", "warning"),
    (("persons", 1, "given_names", "-"), "persons[1].given_names", "name_letters", "error"),
    (("persons", 1, "given_names", "12 34"), "persons[1].given_names", "name_letters", "error"),
    (("persons", 1, "surnames", ". ."), "persons[1].surnames", "name_letters", "error"),
    (("persons", 1, "nationality", "VE"), "persons[1].nationality", "country_unknown", "error"),
    (("persons", 0, "relationship", "child"), "persons", "head_missing", "error"),
    (("persons", 1, "relationship", "head"), "persons[1].roles", "head_twice", "error"),
    (("persons", 1, "roles", ["head"]), "persons[1].roles", "head_twice", "error"),
    (
        ("persons", 0, "lives_in_household", False),
        "persons[0].lives_in_household",
        "head_elsewhere",
        "error",
    ),
    (("persons", 0, "phones", ["none"]), "persons[0].phones[0]", "phone_digits", "error"),
    (("persons", 0, "phones", ["123"]), "persons[0].phones[0]", "phone_form", "warning"),
    (("instrument", "account", ""), "instrument.account", "account_missing", "error"),
    (("instrument", "account", "123"), "instrument.account", "account_form", "warning"),
    (
        ("instrument", "account", "01136600010003254222"),
        "instrument.account",
        "cci_check",
        "warning",
    ),
    (("instrument", "bank", "002"), "instrument.account", "cci_bank", "warning"),
    (
        ("instrument", "holder", "alternate_collector"),
        "instrument.holder",
        "holder_missing",
        "error",
    ),
    (("consents", 0, "granted", False), "consents", "consent_registration", "error"),
    (("consents", 0, "withdrawn_on", "2026-03-01"), "consents", "consent_registration", "error"),
    (
        ("consents", 0, "withdrawn_on", "2026-01-01"),
        "consents[0].withdrawn_on",
        "consent_withdrawn",
        "error",
    ),
    (("consents", 1, "kind", "registration"), "consents[1].kind", "consent_repeated", "error"),
    (("consents", 1, "kind", "contact"), "consents", "consent_absent", "warning"),
]


@pytest.mark.parametrize(("change", "path", "code", "level"), RULES)
def test_a_broken_rule_is_named_where_it_is(change, path, code, level):
    assert (path, code, level) in faults(change)


DOCUMENTS = [
    ("pe-dni", "10117410", None),
    ("pe-dni", "10117410-2", None),
    ("pe-dni", "10117410-G", None),
    ("pe-dni", "10117410-3", ("document_check", "error")),
    ("pe-dni", "1011741", ("document_short", "error")),
    ("pe-dni", "1011741A", ("document_form", "error")),
    ("pe-ruc", "20512333797", None),
    ("pe-ruc", "20512333798", ("document_check", "error")),
    ("pe-ruc", "2051233379", ("document_form", "error")),
    ("pe-ce", "001234567", None),
    ("pe-ce", "12", ("document_form", "warning")),
    ("ve-cedula", "E-84.123.456", None),
    ("ve-cedula", "12345678901", ("document_form", "warning")),
    ("passport", "098765432", ("document_country", "warning")),
    ("pe-asylum", "whatever 77", None),
    ("birth-cert", "--", ("document_form", "error")),
]


@pytest.mark.parametrize(("kind", "number", "expected"), DOCUMENTS)
def test_only_sure_forms_of_documents_refuse(kind, number, expected):
    found = faults(("persons", 1, "documents", [{"type": kind, "number": number}]))
    assert [each[1:] for each in found] == ([expected] if expected else [])


def test_one_document_twice_in_a_household_is_refused_unless_it_is_evidence_only():
    same = [{"type": "ve-cedula", "number": "v12345678"}]
    path = "persons[1].documents[0].number"
    assert faults(("persons", 1, "documents", same)) == [(path, "document_repeated", "error")]
    evidence = [{"type": "birth-cert", "number": "77"}, {"type": "birth-cert", "number": "77"}]
    assert faults(("persons", 1, "documents", evidence)) == []


def test_all_faults_come_at_once_in_the_order_of_the_input_and_hide_every_value():
    secret = "V99SECRET"
    read = household.read(
        form(
            ("ubigeo", secret),
            ("persons", 0, "documents", 0, "number", secret),
            ("persons", 0, "sex", secret),
            ("persons", 1, "birth_date", secret),
            ("consents", 0, "channel", secret),
        ),
        today=TODAY,
    )
    assert [each.path for each in read.faults] == [
        "ubigeo",
        "consents[0].channel",
        "persons[0].sex",
        "persons[0].documents[0].number",
        "persons[1].birth_date",
    ]
    assert secret not in repr(read.faults)


def test_a_fault_of_form_is_not_echoed_by_the_rules():
    assert faults(("persons", [3])) == [("persons[0]", "object_wanted", "error")]
    assert faults(("persons", 0, "relationship", "boss")) == [
        ("persons[0].relationship", "code_unknown", "error")
    ]


def test_faults_without_end_are_cut():
    many = form(*((f"extra_{number}", 1) for number in range(100_000)))
    found = household.read(many, today=TODAY).faults
    assert len(found) == fault.FAULTS_MAX + 1
    assert found[-1].code == "too_many_faults"


def test_faults_of_all_objects_together_are_cut():
    extra = {f"extra_{number}": 1 for number in range(1_000)}
    raw = form(("persons", [HEAD | extra] * household.PERSONS_MAX), ("consents", [CONSENT | extra]))
    _, findings = read_form(raw, household.Registration)
    assert sum(each.code == "field_unknown" for each in findings) == fault.FAULTS_MAX + 1
    found = household.read(raw, today=TODAY).faults
    assert len(found) == fault.FAULTS_MAX + 1
    assert found[-1].code == "too_many_faults"


class Keys(dict):
    """A dict that counts how often its keys are walked through."""

    walks = 0

    def __iter__(self):
        self.walks += 1
        return super().__iter__()


def test_the_order_of_keys_is_looked_up_once_for_all_faults():
    raw = Keys({f"extra_{number}": 1 for number in range(200_000)})
    paths = [(f"extra_{number}",) for number in reversed(range(fault.FAULTS_MAX))]
    found = fault.in_order([fault.Finding(path, "field_unknown") for path in paths], raw)
    assert [each.path for each in found] == [path for (path,) in reversed(paths)]
    assert raw.walks == 1


def test_no_more_documents_of_one_type_than_a_person_has():
    def cedulas(count):
        return [{"type": "ve-cedula", "number": f"V1000000{place}"} for place in range(count)]

    passport = {"type": "passport", "number": "098765432", "country": "VEN"}
    assert faults(("persons", 1, "documents", [*cedulas(3), passport])) == []
    assert faults(("persons", 1, "documents", cedulas(5))) == [
        ("persons[1].documents[3]", "document_type_many", "error"),
        ("persons[1].documents[4]", "document_type_many", "error"),
    ]


@pytest.mark.parametrize("name", ["Ñ", "张伟", "O'Neill", "Mª 2", "ليلى"])
def test_a_name_in_any_script_is_a_name(name):
    assert faults(("persons", 1, "given_names", name), ("persons", 1, "surnames", name)) == []


def test_records_keep_what_was_said_and_leave_out_who_lives_elsewhere():
    read = household.read(
        form(
            ("persons", 1, "roles", ["alternate_collector"]),
            ("persons", 1, "lives_in_household", False),
        ),
        today=TODAY,
    )
    ids = [UUID(int=number) for number in (1, 2)]
    (record,) = household.to_records(read.registration, UUID(int=9), ids)
    assert record.person_id == ids[0]
    assert record.given == ("Yaquelin", "del", "Valle")
    assert record.surnames == ("Pérez", "Quispe")
    assert record.documents[0].type == "ve-cedula"
    assert record.ubigeo == "240101"
    assert household.size(read.registration) == 1


def test_no_answer_is_no_consent():
    consents = household.read(GOOD, today=TODAY).registration.consents
    assert consent.stands(consents, "registration", TODAY)
    assert not consent.stands(consents, "registration", date(2026, 2, 2))
    assert not consent.stands(consents, "duplicate_check", TODAY)
    assert not consent.stands(consents, "fsp", TODAY)


def test_departments_are_numbered_as_inei_does():
    assert place.department("230101").iso_3166_2 == "PE-TAC"
    assert place.department("240101").iso_3166_2 == "PE-TUM"
    assert place.department("040101").name == "Arequipa"
    assert sorted(place.DEPARTMENTS) == [f"{number:02}" for number in range(1, 26)]


def test_every_fault_is_worded_in_both_languages():
    for text in fault.TEXTS.values():
        assert text.es.endswith((".", "?"))
        assert text.en.endswith((".", "?"))
        assert ("{limit}" in text.es) == ("{limit}" in text.en)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)
PLACES = [(key,) for key in GOOD] + [
    ("persons", 0),
    *(("persons", 0, key) for key in HEAD),
    ("persons", 0, "documents", 0, "number"),
    *(("consents", 0, key) for key in CONSENT),
    ("instrument", "account"),
]


@given(raw=JSON)
def test_any_json_value_is_read_or_refused(raw):
    assert household.read(raw, today=TODAY).registration is None


@settings(max_examples=300)
@given(where=st.sampled_from(PLACES), value=JSON)
def test_any_value_in_any_field_is_read_or_refused(where, value):
    read = household.read(form((*where, value)), today=TODAY)
    if read.registration is not None:
        msgspec.json.encode(read.registration)
        again = household.read(msgspec.to_builtins(read.registration), today=TODAY)
        assert again.registration == read.registration
