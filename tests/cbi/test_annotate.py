"""A file comes back as it was, with three more columns."""

import csv
import io
from datetime import date

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cbi import intake
from cbi.answered import SAYS, Answer, Match, Place
from cbi.fault import Finding, fault
from cbi.intake.annotate import annotate_csv, annotate_json, note
from cbi.intake.source import Row
from cbi.refusal import FileUnreadable
from dedup.explain import Told

SPANISH = "codigo_hogar;nombres;apellidos;fecha_nacimiento"
CLEAR = Answer(reference="", status="clear")
BLOCKED = Answer(
    reference="",
    status="blocked",
    reason="assisted",
    says=SAYS["assisted"],
    until=date(2026, 9, 1),
    contact="coordinacion@example.org",
)
MATCH = Match(
    strength="strong",
    persons=1,
    agreeing=("name",),
    says=Told(es="Coincide: nombre.", en="Agrees: name."),
    ask="BETA: ask@beta.example",
)
REVIEW = Answer(
    reference="",
    status="review",
    reason="possible_match",
    says=SAYS["possible_match"],
    contact=MATCH.ask,
    matches=(MATCH,),
)


def answered(content: bytes, *answers: Answer, kind="csv") -> list[tuple[Row, Answer]]:
    rows = list(intake.rows(content, format=kind, ubigeo_system="inei"))
    return list(zip(rows, answers, strict=True))


def test_each_line_of_a_household_says_the_same_and_nothing_else_changes():
    content = (
        "Lista de Tumbes;;;\r\n\r\n"
        f"{SPANISH}\r\n"
        'H-1;"Ana ""Nita""";Pérez;01/02/1990\r\n'
        "H-2;Luis;Rojas;1985\r\n"
        "H-1;Eva;Pérez;\r\n"
    ).encode()
    # A household is handed out with its last line.
    made = annotate_csv(content, answered(content, CLEAR, BLOCKED)).decode()
    blocked = "bloqueado;hasta 2026-09-01: La familia ya tiene esta asistencia en estos meses."
    assert made == (
        "Lista de Tumbes;;;\r\n\r\n"
        f"{SPANISH};resultado;hasta_o_motivo;contacto\r\n"
        f'H-1;"Ana ""Nita""";Pérez;01/02/1990;{blocked};coordinacion@example.org\r\n'
        "H-2;Luis;Rojas;1985;libre;;\r\n"
        f"H-1;Eva;Pérez;;{blocked};coordinacion@example.org\r\n"
    )


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16"])
@pytest.mark.parametrize("delimiter", [";", ",", "\t", "|"])
def test_delimiter_and_encoding_stay(delimiter, encoding):
    text = f"{SPANISH}\nH-1;Begoña;Núñez;1990\n".replace(";", delimiter)
    content = text.encode(encoding)
    made = annotate_csv(content, answered(content, REVIEW))
    rows = list(csv.reader(io.StringIO(made.decode(encoding)), delimiter=delimiter))
    assert rows[1] == [
        *("H-1", "Begoña", "Núñez", "1990", "revisar"),
        "Puede estar registrada ya: que lo vea una persona. Coincide: nombre.",
        "BETA: ask@beta.example",
    ]
    for mark in (b"\xef\xbb\xbf", b"\xff\xfe"):
        assert made.startswith(mark) is content.startswith(mark)


def test_an_english_header_gets_english_columns():
    content = b"household_id,given_names,surnames\nH-1,Ana,Rojas\n"
    made = annotate_csv(content, answered(content, BLOCKED)).decode().splitlines()
    assert made == [
        "household_id,given_names,surnames,result,until_or_reason,contact",
        f"H-1,Ana,Rojas,blocked,until 2026-09-01: {SAYS['assisted'].en},coordinacion@example.org",
    ]


def test_a_file_that_was_checked_is_checked_again_in_its_place():
    content = f"{SPANISH}\nH-1;Ana;Rojas;1990\n".encode()
    once = annotate_csv(content, answered(content, REVIEW))
    again = annotate_csv(once, answered(once, CLEAR))
    assert again == annotate_csv(content, answered(content, CLEAR))


def test_short_lines_are_filled_and_one_without_a_code_is_its_own_household():
    content = f"{SPANISH}\nH-1;Ana\n;Luis;Rojas;1985".encode()
    made = annotate_csv(content, answered(content, CLEAR, REVIEW)).decode().splitlines()
    assert made[1] == "H-1;Ana;;;libre;;"
    assert made[2].startswith(";Luis;Rojas;1985;revisar;")


def test_faults_are_told_with_their_place_and_a_remedy():
    content = f"{SPANISH}\nH-1;123;Rojas;1985\n".encode()
    faulty = Answer(
        reference="H-1",
        status="unsearchable",
        reason="faulty",
        says=SAYS["faulty"],
        faults=(fault(Finding(("persons", 0, "given_names"), "name_letters")),),
    )
    made = annotate_csv(content, answered(content, faulty)).decode()
    assert "no se pudo buscar;La fila tiene errores. fila 2, columna nombres: " in made


def test_who_stands_twice_is_told_by_the_lines_of_the_file():
    content = f"Título\n\n{SPANISH}\nH-1;Ana;Rojas;1985\nH-2;Ana;Rojas;1985\n".encode()
    twice = Answer(
        reference="H-1",
        status="review",
        reason="twice_in_list",
        says=SAYS["twice_in_list"],
        twice=(Place(row=2, reference="H-2"),),
    )
    made = annotate_csv(content, answered(content, twice, CLEAR)).decode()
    assert "Alguien está dos veces en su lista. (fila 5 H-2)" in made


def test_no_contact_is_run_as_a_formula_by_a_spreadsheet():
    content = f"{SPANISH}\nH-1;Ana;Rojas;1985\n".encode()
    answers = answered(content, msgspec.structs.replace(REVIEW, contact="=cmd()"))
    assert note(answers[0][1], answers[0][0], "es").contact == "'=cmd()"


def test_json_and_json_on_lines_get_three_more_keys():
    one, other = {"reference": "A", "persons": []}, {"reference": "B", "persons": []}
    whole = msgspec.json.encode([one, other])
    made = msgspec.json.decode(annotate_json(whole, answered(whole, CLEAR, BLOCKED, kind="json")))
    assert [each["result"] for each in made] == ["clear", "blocked"]
    lines = b"\n".join((msgspec.json.encode(one), b"{broken", msgspec.json.encode(other)))
    answers = answered(lines, CLEAR, CLEAR, BLOCKED, kind="json")
    made = annotate_json(lines, answers).splitlines()
    assert msgspec.json.decode(made[0])["result"] == "clear"
    assert made[1] == b"{broken"
    assert msgspec.json.decode(made[2])["contact"] == "coordinacion@example.org"


@given(content=st.binary(max_size=300) | st.text(max_size=300).map(str.encode))
@example(content=b'"\x01')
@example(content=b'"A-1;x\nA-2;y\n')
def test_any_bytes_are_annotated_or_refused(content):
    head = f"{SPANISH}\n".encode()
    for whole in (content, head + content):
        try:
            rows = list(intake.rows(whole, format="csv", ubigeo_system="inei"))
        except FileUnreadable:
            continue
        made = annotate_csv(whole, [(row, CLEAR) for row in rows])
        again = list(intake.rows(made, format="csv", ubigeo_system="inei"))
        assert [row.reference for row in again] == [row.reference for row in rows]
