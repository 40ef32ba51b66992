"""`cbi check`: a file goes in, the same file comes out with three more columns."""

import json
import stat
from pathlib import Path

import pytest
from python_calamine import CalamineWorkbook

from tests.api.test_cli import Command, cbi, data_dir  # noqa: F401 -- fixtures
from tests.cbi.test_xlsx import book

HEADER = "codigo_hogar;nombres;apellidos;fecha_nacimiento;tipo_documento;numero_documento"
KNOWN = "Zulmarbe;Quintrallo Bermo;02/03/1988;cedula;V20481516"
REGISTERED = (
    "codigo_hogar;fecha_registro;ubigeo_inei;tipo_poblacion;consentimiento_registro;"
    "consentimiento_duplicados;consentimiento_version;consentimiento_fecha;parentesco;nombres;"
    "apellidos;fecha_nacimiento;tipo_documento;numero_documento\n"
    f"H-1;05/01/2026;240101;en destino;sí;sí;2026-1;05/01/2026;jefe/a;{KNOWN}\n"
)


@pytest.fixture(scope="module")
def there(cbi: Command, tmp_path_factory) -> Command:  # noqa: F811
    """Somebody is registered by one organisation; another asks."""
    cbi("partner", "add", "BETA", "Beta", "--contact", "ask@beta.example", code=0)
    path = tmp_path_factory.mktemp("there") / "registered.csv"
    path.write_text(REGISTERED, encoding="utf-8")
    cbi("import", "households", path, "--partner", "ALFA", code=0)
    return cbi


def checked(command: Command, path: Path, *more: object, code: int) -> dict:
    purpose = ("--partner", "BETA", "--purpose", "before_registration")
    return json.loads(command("check", path, *purpose, "--json", *more, code=code).stdout)


def test_a_file_comes_back_with_what_is_known_of_each_row(there: Command, tmp_path):
    path = tmp_path / "lista.csv"
    path.write_bytes(
        f"{HEADER}\nR-1;{KNOWN}\nR-2;Otrabe;Mindrano;1990;;\nR-3;123;X;;;\n".encode("cp1252")
    )
    told = checked(there, path, code=1)
    counts = {"households": 3, "clear": 1, "review": 1, "blocked": 0, "unsearchable": 1}
    assert {name: told[name] for name in counts} == counts
    out = tmp_path / "lista-checked.csv"
    assert told["out"] == str(out)
    lines = out.read_bytes().decode("cp1252").splitlines()
    assert lines[0] == f"{HEADER};resultado;hasta_o_motivo;contacto"
    assert lines[1].startswith(f'R-1;{KNOWN};revisar;"Puede estar registrada ya')
    assert lines[1].endswith(";ALFA: cbi@alfa.example")
    assert lines[2] == "R-2;Otrabe;Mindrano;1990;;;libre;;"
    assert lines[3].startswith("R-3;123;X;;;;no se pudo buscar;La fila tiene errores.")
    assert stat.S_IMODE(out.stat().st_mode) == 0o600


def test_json_is_checked_too_into_a_file_of_ones_choice(there: Command, tmp_path):
    path, out = tmp_path / "list.json", tmp_path / "out.json"
    person = {"given_names": "Zulmarbe", "surnames": "Quintrallo Bermo", "birth_date": "1988-03-02"}
    path.write_text(json.dumps([{"reference": "R-1", "persons": [person]}]), encoding="utf-8")
    checked(there, path, "--out", out, code=1)
    (row,) = json.loads(out.read_bytes())
    assert (row["result"], row["contact"]) == ("review", "ALFA: cbi@alfa.example")


def test_a_workbook_stays_one_and_is_never_written_over_itself(there: Command, tmp_path):
    path = tmp_path / "lista.xlsx"
    path.write_bytes(book([HEADER.split(";"), ["R-1", *KNOWN.split(";")]]))
    months = ("--assistance", "mpca", "--months", "2026-07..2026-09")
    told = checked(there, path, *months, code=1)
    rows = CalamineWorkbook.from_path(told["out"]).get_sheet_by_index(0).to_python()
    assert rows[0][-3:] == ["resultado", "hasta_o_motivo", "contacto"]
    assert (rows[1][-3], rows[1][-1]) == ("revisar", "ALFA: cbi@alfa.example")
    (tmp_path / "same.xlsx").symlink_to(path)
    words = ("--partner", "BETA", "--purpose", "before_payment", "--out", tmp_path / "same.xlsx")
    assert "another file" in there("check", path, *words, code=2).stderr


@pytest.mark.parametrize(
    ("name", "more", "code", "said"),
    [
        ("list.xls", (), 2, "FILE must be"),
        ("list.csv", ("--list", "00000000-0000-4000-8000-000000000001"), 3, "not-found"),
        ("list.csv", ("--partner", "NOBODY"), 2, "no partner"),
        ("list.csv", ("--assistance", "mpca"), 3, "bad-value"),
        ("list.csv", ("--assistance", "mpca", "--months", "July"), 2, "--months"),
        ("list.csv", ("--assistance", "mpca", "--months", "2026-13"), 2, "--months"),
    ],
)
def test_what_can_not_be_checked_is_told(there: Command, tmp_path, name, more, code, said):
    path = tmp_path / name
    path.write_text(f"{HEADER}\nR-1;{KNOWN}\n", encoding="utf-8")
    words = ("--partner", "BETA", "--purpose", "before_payment", *more)
    assert said in there("check", path, *words, code=code).stderr
    assert list(tmp_path.iterdir()) == [path]
