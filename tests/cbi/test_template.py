"""The template and the form that we hand out: whatever they offer is read without a fault."""

import io
import json
import re
import zipfile
from datetime import date
from pathlib import Path

import pytest
from click.testing import CliRunner
from python_calamine import CalamineWorkbook
from pyxform.xls2xform import convert

from api import cli
from cbi import intake
from cbi.intake import template, xlsform
from cbi.intake.words import (
    HOUSEHOLD_COLUMNS,
    LABELS,
    OF_COLUMN,
    PERSON_COLUMNS,
    VALUES,
    column,
    fold,
    title_of,
)
from cbi.refusal import FileUnreadable
from tests.cbi.submitted import submission
from tests.cbi.test_intake import read, rows

SHIPPED = Path(__file__).parent.parent.parent / "docs" / "forms" / "registro.xlsx"
TODAY = date(2026, 6, 1)
LANGUAGES = ["es", "en"]


def household(language, number, **changes):
    """The example's household under another code."""
    head, child = template.example(language)
    code = {"codigo_hogar": f"T-{number:04d}"}
    return [{**head, **code, **changes}, {**child, **code}]


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_filled_template_is_read_without_faults_and_without_its_example(language):
    lines = [*household(language, 1), *household(language, 2)]
    (first, faults), (_, others) = read(template.write(language, lines), "xlsx")
    assert [each.rpartition(" ")[2] for each in faults] == ["example_row"]
    assert others == []
    assert first.reference == "T-0001"
    assert first.instrument.account == "01136600010003254221"
    assert [each.kind for each in first.consents if each.granted] == [
        *("registration", "duplicate_check", "fsp", "referral", "contact")
    ]
    head, child = first.persons
    assert (head.birth_date, head.documents[0].number) == (date(1991, 4, 12), "V01234567")
    assert (child.birth_precision, child.sex) == ("age", "M")


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_word_that_a_drop_down_offers_is_read_as_its_code(language):
    for name in template.COLUMNS:
        base = name.rstrip("_23") if name[-1].isdigit() else name
        codes = OF_COLUMN.get(base)
        if codes is None:
            continue
        for code, label in LABELS.values[codes].items():
            assert VALUES[codes][fold(label[language])] == code, label


def test_every_column_has_a_label_and_every_title_is_known():
    for name in template.COLUMNS:
        for language in LANGUAGES:
            assert column(title_of(name, language)) == name
    assert set(LABELS.columns) <= set(HOUSEHOLD_COLUMNS | PERSON_COLUMNS)
    for codes in set(OF_COLUMN.values()) - {"country", "language"}:
        assert set(LABELS.values[codes]) == set(VALUES[codes].values()), codes


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_template_alone_is_refused_for_it_has_the_example_only(language):
    with pytest.raises(FileUnreadable) as refused:
        rows(template.write(language), "xlsx")
    assert refused.value.reason == "only_example"


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_template_offers_words_keeps_zeros_and_locks_its_header(language):
    content = template.write(language)
    assert template.write(language) == content
    book = CalamineWorkbook.from_filelike(io.BytesIO(content))
    titles, head, *_ = book.get_sheet_by_index(0).to_python()
    assert titles == [title_of(name, language) for name in template.COLUMNS]
    at = dict(zip(template.COLUMNS, head, strict=True))
    assert (at["fecha_nacimiento"], at["telefono"]) == (date(1991, 4, 12), "987654321")
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        sheet = archive.read("xl/worksheets/sheet1.xml").decode()
        styles = archive.read("xl/styles.xml").decode()
    coded = [each for each in template.COLUMNS if re.sub("_[23]$", "", each) in OF_COLUMN]
    assert sheet.count("<dataValidation ") == len(coded)
    assert "<sheetProtection" in sheet
    assert 'state="frozen"' in sheet
    codes = dict(re.findall(r'numFmtId="(\d+)" formatCode="([^"]+)"', styles))
    pattern = r'<xf numFmtId="(\d+)"[^>]*?(?:/>|>(.*?)</xf>)'
    formats = re.findall(pattern, styles.split("cellXfs")[1])
    columns = re.findall(r'<col min="(\d+)" max="(\d+)" [^>]*?style="(\d+)"', sheet)
    style = {
        place: formats[int(each)]
        for low, high, each in columns
        for place in range(int(low), int(high) + 1)
    }
    for place, name in enumerate(template.COLUMNS, start=1):
        number, inner = style[place]
        assert 'locked="0"' in inner
        is_date = name.startswith(("fecha_", "vence_", "consentimiento_fecha"))
        assert codes[number] == ("dd/mm/yyyy" if is_date else "@")


def test_a_year_alone_that_excel_took_for_a_day_of_1905_is_named():
    lines = household("es", 1, fecha_nacimiento=date(1905, 6, 12))
    ((refused, faults),) = read(template.write("es", lines), "xlsx")
    assert refused is None
    assert "4/fecha_nacimiento excel_year" in faults


def test_the_form_converts_without_errors_or_warnings():
    result = convert(io.BytesIO(xlsform.write()), file_type=".xlsx", form_name="registro")
    assert result.warnings == []
    for name in ("personas", "documentos"):
        assert f'nodeset="/registro/{"personas/" if name == "documentos" else ""}{name}"' in (
            result.xform
        )


def test_the_shipped_form_is_the_one_that_is_written_now():
    assert xlsform.write() == SHIPPED.read_bytes()


def test_the_questions_of_the_form_are_columns_of_intake_or_the_forms_own():
    survey = CalamineWorkbook.from_filelike(io.BytesIO(xlsform.write())).get_sheet_by_name("survey")
    titles, *lines = survey.to_python()
    for line in lines:
        each = dict(zip(titles, line, strict=True))
        if each["type"] in {"start", "end", "note"} or "_group" in each["type"]:
            continue
        if "_repeat" not in each["type"]:
            assert column(each["name"]) == each["name"]


def test_what_the_form_sends_is_read_without_faults():
    ((registration, faults),) = read(json.dumps(submission()), "kobo")
    assert faults == []
    assert [each.type for each in registration.persons[0].documents] == ["ve-cedula", "passport"]
    assert registration.persons[0].specific_needs == ("single_parent",)
    assert registration.consents[0].given_on == date(2026, 2, 3)


def test_a_question_of_a_submission_is_one_of_the_form():
    survey = CalamineWorkbook.from_filelike(io.BytesIO(xlsform.write())).get_sheet_by_name("survey")
    names = {line[1] for line in survey.to_python()}

    def asked(record):
        for key, value in record.items():
            if key.startswith(("_", "meta/", "formhub/")):
                continue
            yield key.rpartition("/")[2]
            if isinstance(value, list):
                for each in value:
                    yield from asked(each)

    assert set(asked(submission())) <= names


@pytest.mark.parametrize("words", [("--language", "en"), ("--kind", "xlsform")])
def test_the_command_writes_the_file(tmp_path, words):
    out = tmp_path / "file.xlsx"
    done = CliRunner().invoke(cli.main, ["template", *words, "--out", str(out)])
    assert done.exit_code == 0, done.output
    expected = xlsform.write() if "xlsform" in words else template.write("en")
    assert out.read_bytes() == expected


def ubigeo(code, system="reniec"):
    family = SHIPPED.parent.parent / "examples" / "family.json"
    raw = json.loads(family.read_text(encoding="utf-8")) | {"ubigeo": code}
    content = json.dumps(raw).encode()
    (row,) = intake.rows(content, format="json", ubigeo_system=system)
    answer = intake.read(row, today=TODAY)
    return answer.registration.ubigeo if answer.registration else [x.code for x in answer.faults]


# RENIEC's Tumbes, Callao, Tacna, Miraflores (Lima), San Juan de Lurigancho, Arequipa, Nasca.
CONVERTED = [
    *[("230101", "240101"), ("240101", "070101"), ("220101", "230101"), (" 140115", "150122")],
    *[("140137", "150132"), ("040101", "040101"), ("100301", "110301")],
]


@pytest.mark.parametrize(("reniec", "inei"), CONVERTED)
def test_a_code_of_reniec_becomes_the_districts_own_of_inei(reniec, inei):
    assert ubigeo(reniec) == inei
    assert ubigeo("240101", "inei") == "240101"


@pytest.mark.parametrize(
    ("code", "fault"),
    [
        *[("020109", "ubigeo_reniec"), ("150107", "ubigeo_reniec"), ("250199", "ubigeo_reniec")],
        *[("40101", "ubigeo_short"), ("Tumbes", "ubigeo_form"), (230101, "text_wanted")],
    ],
)
def test_a_code_of_reniec_without_one_counterpart_is_named_and_never_kept(code, fault):
    assert ubigeo(code) == [fault]


def test_the_two_systems_differ_and_no_two_districts_become_one():
    from cbi.place import DEPARTMENTS, TO_INEI  # noqa: PLC0415

    assert len(TO_INEI) == len(set(TO_INEI.values())) == 1833
    assert {inei[:2] for reniec, inei in TO_INEI.items() if reniec.startswith("23")} == {"24"}
    assert {inei[:2] for reniec, inei in TO_INEI.items() if reniec.startswith("24")} == {"07"}
    departments = {(reniec[:2], inei[:2]) for reniec, inei in TO_INEI.items()}
    assert len(departments) == len(DEPARTMENTS) == 25
