"""On the command line, too, a file's district codes belong to a system that somebody declares."""

import json

import pytest

from tests.api.test_check_command import KNOWN
from tests.api.test_cli import Command, cbi, data_dir  # noqa: F401 -- fixtures

CHECK = ("--partner", "ALFA", "--purpose", "before_registration", "--json")


@pytest.mark.parametrize("words", [("import", "households"), ("check",)], ids=" ".join)
def test_whose_codes_a_file_has_must_be_declared(cbi: Command, tmp_path, words):  # noqa: F811
    path = tmp_path / "lista.csv"
    title = "codigo_hogar;{};nombres;apellidos;fecha_nacimiento;tipo_documento;numero_documento\n"
    more = CHECK if words == ("check",) else ("--partner", "ALFA", "--check-only", "--json")
    path.write_text(title.format("ubigeo") + f"R-1;230101;{KNOWN}\n", encoding="utf-8")
    refused = cbi(*words, path, *more, code=3)
    assert "INEI o RENIEC" in refused.stderr
    # The other fields that a registration needs are missing: for a check nothing is.
    code = 0 if words == ("check",) else 1
    cbi(*words, path, *more, "--ubigeo-system", "reniec", code=code)
    path.write_text(title.format("ubigeo_reniec") + f"R-2;240101;{KNOWN}\n", encoding="utf-8")
    done = cbi(*words, path, *more, code=code)
    assert json.loads(done.stdout)["households"] == 1
    other = cbi(*words, path, *more, "--ubigeo-system", "inei", code=1)
    assert json.loads(other.stdout)["unsearchable" if code == 0 else "faulty"] == 1
