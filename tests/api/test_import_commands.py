"""Files that are staged, looked at, taken, refused and closed from the command line."""

import json
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cbi.imported import ROWS_TOLD_MAX, numbers_of
from tests.api.test_cli import BAD, COLUMNS, HEADER, INEI, PERSON, Command, cbi, data_dir  # noqa: F401

NAMES = ("Zulmarbe", "Brunelda", "Cormelia", "Dristeno", "Everaldo")


def written(path: Path, *, faulty: int = 0) -> Path:
    """A file of five households who resemble nobody, and faulty ones behind them."""
    code = uuid4().hex[:6]
    rows = [HEADER + COLUMNS + PERSON]
    for place, name in enumerate(NAMES):
        start = f"{code}-{place};05/01/2026;240101;en destino;sí;sí;2026-1;05/01/2026;jefe/a;"
        born, number = f"{3 + place:02}/0{2 + place}/19{60 + 7 * place}", uuid4().int % 10**8
        surname = f"{''.join(chr(97 + int(digit, 16)) for digit in uuid4().hex[:9])}".title()
        rows.append(f"{start}{name};{surname};{born};F;cédula;V{number:08}")
    rows += [f"{code}-{BAD}32/13/1990;F;;" for _ in range(faulty)]
    path.write_text("\r\n".join(rows), encoding="utf-8")
    return path


def brought(cbi: Command, file: Path, *more: object, code: int = 0) -> dict:  # noqa: F811
    words = ("import", "households", file, "--partner", "ALFA", *INEI, "--json")
    return json.loads(cbi(*words, *more, code=code).stdout)


def test_a_file_is_staged_shown_and_rows_of_it_are_taken(cbi: Command, tmp_path):  # noqa: F811
    file = written(tmp_path / "lista.csv", faulty=1)
    staged = brought(cbi, file, "--check-only", code=1)
    of_file = (staged["import_id"], "--partner", "ALFA")
    shown = cbi("import", "show", *of_file, code=1)
    assert ": review" in shown.stdout
    assert "6 households: 5 clear, 0 to review, 1 faulty" in shown.stdout
    assert "990101" not in shown.stdout
    english = cbi("import", "show", *of_file, "--language", "en", code=1).stdout
    assert "row 7, column ubigeo" in " ".join(english.replace("│", " ").split())
    for wrong in ("0", "3-1", "x", "1,,2", "1-99999999"):
        assert "--rows" in cbi("import", "accept", *of_file, "--rows", wrong, code=2).stderr
    cbi("import", "accept", *of_file, "--all", "--accept-valid", code=2)
    assert "import-faulty" in cbi("import", "accept", *of_file, "--all", code=3).stderr
    assert "not-found" in cbi("import", "accept", *of_file, "--rows", "6", code=3).stderr
    assert "import-not-ready" in cbi("import", "close", *of_file, code=3).stderr
    taken = cbi("import", "accept", *of_file, "--rows", "1,3-4", code=1)
    assert "registering" in taken.stderr
    assert "3 registered, 0 known before, 0 changed, 0 refused" in taken.stdout
    assert "import-decided" in cbi("import", "refuse", *of_file, code=3).stderr
    closed = json.loads(cbi("import", "close", *of_file, "--json", code=0).stdout)
    assert (closed["state"], closed["registered"]) == ("done", 3)
    kept = f"SELECT count(*) FROM cbi.import_key WHERE import_id = '{staged['import_id']}'"
    assert cbi("psql", "--role", "owner", "-tAc", kept, code=0).stdout.strip() == "0"


def test_a_file_is_refused_and_what_is_there_and_changed_is_counted(
    cbi: Command,  # noqa: F811
    tmp_path,
):
    file = written(tmp_path / "lista.csv")
    staged = brought(cbi, file, "--check-only")
    refused = cbi("import", "refuse", staged["import_id"], "--partner", "ALFA", code=0)
    assert ": refused" in refused.stdout
    taken = cbi("import", "households", file, "--partner", "ALFA", *INEI, code=0)
    assert "5 registered, 0 known before, 0 changed, 0 refused" in taken.stdout
    text = file.read_text(encoding="utf-8").replace("240101", "240102", 2)
    file.write_text(text.replace("Dristeno", "Otrosevi"), encoding="utf-8")
    again = cbi("import", "households", file, "--partner", "ALFA", *INEI, code=0)
    assert "0 registered, 2 known before, 3 changed, 0 refused" in again.stdout
    swapped = [line.split(";") for line in text.splitlines()]
    swapped[1][9:] = ["Ignoto", "Nimbarete", "01/01/1999", "M", "cédula", "V29999999"]
    file.write_text("\n".join(";".join(line) for line in swapped), encoding="utf-8")
    one = brought(cbi, file, "--rows", "1", code=1)
    assert (one["faulty"], one["known"], one["changed"]) == (1, 0, 0)
    (fault,) = one["rows"][0]["faults"]
    assert (fault["code"], fault["column"]) == ("reference_taken", "codigo_hogar")
    assert fault["remedy_es"].startswith("Si es otro hogar")


@pytest.mark.parametrize(
    ("text", "numbers"),
    [("3", [3]), ("3,7-9", [3, 7, 8, 9]), (" 2 , 1-3,2", [1, 2, 3]), ("50000", [50_000])],
)
def test_numbers_and_ranges_are_read(text, numbers):
    assert numbers_of(text) == numbers


@given(text=st.text(st.sampled_from("0123456789-, x"), max_size=24))
def test_any_text_names_rows_in_order_or_none(text):
    try:
        numbers = numbers_of(text)
    except ValueError:
        return
    assert numbers == sorted(set(numbers))
    assert numbers[0] >= 1
    assert len(numbers) <= ROWS_TOLD_MAX
