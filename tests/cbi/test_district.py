"""Which district a file means: whose codes it has must be declared, and names must be one's own."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cbi import intake, place
from cbi.intake import template
from cbi.place import DISTRICTS, TO_INEI, ubigeo_finding
from cbi.refusal import FileUnreadable
from tests.cbi.test_template import SHIPPED, TODAY

HEADER = "codigo_hogar;nombres"


def read(content, system=None, kind="csv"):
    """The first household's code, and the codes of its faults that are about the district."""
    (row, *_) = intake.rows(content.encode(), format=kind, ubigeo_system=system)
    found = intake.read(row, today=TODAY)
    code = row.raw.get("ubigeo")
    return code, [each.code for each in found.faults if each.path == "ubigeo"]


def family(**more):
    path = SHIPPED.parent.parent / "examples" / "family.json"
    return json.dumps(json.loads(path.read_text(encoding="utf-8")) | more)


def test_every_district_of_reniec_that_is_converted_is_one_of_ineis_table():
    assert len(DISTRICTS) == 1893
    assert set(TO_INEI.values()) <= DISTRICTS.keys()
    assert DISTRICTS["240101"].shown == "240101 Tumbes (Tumbes, Tumbes)"
    assert {code[:2] for code in DISTRICTS} == set(place.DEPARTMENTS)


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("csv", f"{HEADER};ubigeo\nA;B;\nC;D;240101\n"),
        ("csv", f"{HEADER};distrito\nA;B;240101\n"),
        ("json", family()),
        ("kobo", '[{"codigo_hogar": "A", "ubigeo": "240101"}]'),
    ],
)
def test_a_code_that_nobody_declares_is_refused_by_name(kind, content):
    with pytest.raises(FileUnreadable) as refused:
        list(intake.rows(content.encode(), format=kind, ubigeo_system=None))
    with pytest.raises(FileUnreadable) as undeclared:
        intake.declared(content.encode(), format=kind)
    assert refused.value.reason == undeclared.value.reason == "ubigeo_system_unknown"


@pytest.mark.parametrize(
    ("kind", "content", "system", "code"),
    [
        ("csv", f"{HEADER};UBIGEO INEI\nA;B;230101\n", "inei", "230101"),
        ("csv", f"{HEADER};Ubigeo (RENIEC)\nA;B;230101\n", "reniec", "240101"),
        ("json", family(ubigeo="230101", ubigeo_system="reniec"), "reniec", "240101"),
        ("kobo", '[{"codigo_hogar": "A", "x/ubigeo_reniec": "230101"}]', "reniec", "240101"),
        ("csv", f"{HEADER}\nA;B\n", None, None),
    ],
)
def test_a_file_may_carry_its_own_declaration(kind, content, system, code):
    assert intake.declared(content.encode(), format=kind) == system
    assert read(content, None, kind)[0] == code
    assert read(content, system or "reniec", kind)[0] == code


def test_our_template_declares_itself():
    line = {"codigo_hogar": "A", "nombres": "B", "ubigeo_inei": "240101"}
    for language in ("es", "en"):
        content = template.write(language, [line])
        assert intake.declared(content, format="xlsx") == "inei"


def test_a_row_that_declares_another_system_than_the_sender_is_a_fault():
    content = f"{HEADER};ubigeo_reniec\nA;B;230101\n"
    assert read(content, "inei") == ("230101", ["ubigeo_system_other"])


@pytest.mark.parametrize(
    ("cells", "code", "faults"),
    [
        ("Tumbes;Tumbes;Tumbes", "240101", []),
        ("zarumilla;;", "240301", []),
        ("SAN JUAN DE LURIGANCHO;Lima;", "150132", []),
        ("Miraflores;Lima;Lima", "150122", []),
        ("Miraflores;;", "Miraflores", ["district_ambiguous"]),
        ("Miraflores;Tumbes;", "Miraflores", ["district_unknown"]),
        ("Zarumila;;Tumbes", "Zarumila", ["district_unknown"]),
        (";Tumbes;Tumbes", None, ["field_missing"]),
    ],
)
def test_names_count_where_the_code_is_missing_and_only_if_they_are_one_districts(
    cells, code, faults
):
    content = f"{HEADER};Distrito;Provincia;Departamento\nA;B;{cells}\n"
    assert read(content) == (code, faults)


def fault_of(content, system=None):
    (row,) = intake.rows(content.encode(), format="csv", ubigeo_system=system)
    found = intake.read(row, today=TODAY).faults
    (one,) = (each for each in found if each.path == "ubigeo")
    return one, intake.locate(one, row), intake.value(one, row)


def test_who_writes_a_name_wrong_is_told_the_nearest_and_where_it_stands():
    fault, location, shown = fault_of(f"{HEADER};Distrito;Departamento\nA;B;Zarumila;Tumbes\n")
    assert "240301 Zarumilla (Zarumilla, Tumbes)" in fault.es
    assert (location.row, location.column, shown) == (2, "Distrito", "Z***")


def test_a_code_beside_another_districts_name_is_a_warning():
    content = f"{HEADER};ubigeo_inei;distrito;provincia\nA;B;230101;Tumbes;Tumbes\n"
    fault, _, _ = fault_of(content)
    assert (fault.code, fault.level) == ("district_other", "warning")
    assert "230101 Tacna" in fault.en
    assert "240101 Tumbes" in fault.en
    assert read(content.replace("230101", "240101")) == ("240101", [])


@pytest.mark.parametrize(
    ("code", "nearest"),
    [
        ("240107", "240101 Tumbes (Tumbes, Tumbes)"),
        ("240110", "240101 Tumbes (Tumbes, Tumbes)"),
        ("249999", "240101 Tumbes (Tumbes, Tumbes)"),
    ],
)
def test_a_code_that_is_no_district_is_a_fault_that_names_the_nearest(code, nearest):
    finding = ubigeo_finding(code)
    assert finding.code == "ubigeo_unknown"
    assert nearest in finding.limit
    assert read(f"{HEADER};ubigeo_inei\nA;B;{code}\n") == (code, ["ubigeo_unknown"])


@given(
    st.dictionaries(
        st.sampled_from(["ubigeo", "ubigeo_system", "district", "province", "department"]),
        st.text(max_size=80)
        | st.sampled_from(["240101", "inei", "reniec", "Lima"])
        | st.integers(),
    ),
    st.sampled_from(["inei", "reniec"]),
)
def test_whatever_stands_there_is_read_or_is_a_fault(raw, system):
    (row,) = intake.rows(json.dumps(raw).encode(), format="json", ubigeo_system=system)
    found = intake.read(row, today=TODAY)
    assert found.registration is None
    assert isinstance(ubigeo_finding(str(row.raw.get("ubigeo"))), tuple | None)
