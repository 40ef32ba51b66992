"""The commands as a person types them: real processes, their output and exit codes."""

import json
import os
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from python_calamine import CalamineWorkbook

from api import cli
from api.embedded import EmbeddedPostgres, is_running
from tests.cbi.test_xlsx import book

INEI = ("--ubigeo-system", "inei")
HEADER = "codigo_hogar;fecha_registro;ubigeo;tipo_poblacion;consentimiento_registro;"
COLUMNS = "consentimiento_duplicados;consentimiento_version;consentimiento_fecha;parentesco;"
PERSON = "nombres;apellidos;fecha_nacimiento;sexo;tipo_documento;numero_documento"
GOOD = "H-1;05/01/2026;240101;en destino;sí;sí;2026-1;05/01/2026;jefe/a;Zulmarbe;Quintrallo;"
BAD = "H-2;05/01/2026;990101;en destino;sí;sí;2026-1;05/01/2026;jefe/a;Otrabe;Quintrallo;"


@pytest.fixture(scope="module")
def data_dir() -> Iterator[Path]:
    """A folder whose database the tests hold, so that the commands find it running."""
    with tempfile.TemporaryDirectory(prefix="cbi-cli-") as folder:
        server = EmbeddedPostgres(Path(folder))
        yield Path(folder)
        server.stop(whoever_holds=True)


@pytest.fixture(scope="module")
def cbi(data_dir: Path) -> "Command":
    command = Command(data_dir)
    command("migrate", code=0)
    command("partner", "add", "ALFA", "Fundación Alfa", "--contact", "cbi@alfa.example", code=0)
    return command


class Command:
    """Runs `cbi` with its own settings; returns what it printed."""

    def __init__(self, data_dir: Path) -> None:
        self.env = {
            **{name: value for name, value in os.environ.items() if not name.startswith("CBI_")},
            "CBI_DATA_DIR": str(data_dir),
            "COLUMNS": "200",
        }

    def __call__(self, *words: object, code: int, **env: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-c", "from api.cli import main; main()", *map(str, words)],
            env=self.env | env,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == code, done.stdout + done.stderr
        assert "Traceback" not in done.stderr, done.stderr
        return done


def commands(group: object, *path: str) -> Iterator[tuple[str, ...]]:
    yield path
    for name, each in getattr(group, "commands", {}).items():
        yield from commands(each, *path, name)


@pytest.mark.parametrize("path", list(commands(cli.main)), ids=" ".join)
def test_every_command_explains_itself(path: tuple[str, ...]) -> None:
    shown = CliRunner().invoke(cli.main, [*path, "--help"], env={"COLUMNS": "100"}).output
    assert "Usage:" in shown
    assert len(shown.split()) > 12


def test_settings_are_shown_with_secrets_masked(cbi: Command) -> None:
    secret = "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LTMyYnk="
    url = "postgresql://cbi_app:Geheim-77@db.example/cbi"
    done = cbi("settings", "--json", code=0, CBI_SEALING_KEY=secret, CBI_DATABASE_URL=url)
    shown = {row["variable"]: row["value"] for row in json.loads(done.stdout)}
    assert shown["CBI_SEALING_KEY"] == "(set)"
    assert "Geheim-77" not in done.stdout + done.stderr
    assert secret not in done.stdout + done.stderr
    assert "db.example" in shown["CBI_DATABASE_URL"]


@pytest.mark.parametrize(
    ("env", "named"),
    [
        ({"CBI_PORT": "70000"}, "CBI_PORT"),
        ({"CBI_ENV": "staging"}, "CBI_ENV"),
        ({"CBI_ENV": "production"}, "CBI_SEALING_KEY"),
        ({"CBI_MATCHING_KEY": "short"}, "CBI_MATCHING_KEY"),
    ],
)
def test_a_wrong_setting_is_named_and_stops_the_start(
    cbi: Command, env: dict[str, str], named: str
) -> None:
    done = cbi("serve", code=2, **env)
    assert named in done.stderr


def test_a_database_that_is_not_there_is_told_in_a_sentence(cbi: Command) -> None:
    url = "postgresql://cbi_app@127.0.0.1:1/cbi"
    done = cbi("key", "list", code=4, CBI_DATABASE_URL=url)
    assert "can't be used (ConnectionRefusedError)" in done.stderr


def test_a_taken_port_is_told_before_anything_starts(cbi: Command) -> None:
    import socket  # noqa: PLC0415

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = cbi("serve", "--port", port, code=2)
    assert f":{port}" in done.stderr


def test_a_key_is_issued_once_listed_by_prefix_and_revoked(cbi: Command) -> None:
    done = cbi(
        "key",
        "issue",
        "--partner",
        "ALFA",
        "--holder",
        "m.quispe",
        "--role",
        "finance",
        "--role",
        "programme",
        "--area",
        "24",
        "--days",
        "30",
        "--json",
        code=0,
    )
    issued = json.loads(done.stdout)
    listed = cbi("key", "list", "--json", code=0).stdout
    secret = issued["key"].rpartition("_")[2]
    assert secret not in listed
    row = next(row for row in json.loads(listed) if row["prefix"] == issued["prefix"])
    assert (row["holder"], row["roles"], row["area"]) == ("m.quispe", "finance programme", "24")
    cbi("key", "revoke", issued["prefix"], code=0)
    cbi("key", "revoke", issued["prefix"], code=1)


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("key", "issue", "--partner", "NOBODY", "--holder", "x", "--role", "finance"), 2),
        (("key", "issue", "--partner", "ALFA", "--holder", "x", "--role", "king"), 2),
        (("key", "issue", "--partner", "ALFA", "--holder", "Not A Handle", "--role", "admin"), 3),
        (
            (
                "key",
                "issue",
                "--partner",
                "ALFA",
                "--holder",
                "x",
                "--role",
                "admin",
                "--area",
                "2",
            ),
            3,
        ),
        (("partner", "add", "ALFA", "Again"), 3),
        (("partner", "add", "lower case", "Name"), 3),
        (("import", "households", "/nowhere.csv", "--partner", "ALFA"), 2),
    ],
)
def test_wrong_use_is_refused_with_a_reason(
    cbi: Command, words: tuple[str, ...], code: int
) -> None:
    assert cbi(*words, code=code).stderr.strip()


def test_a_file_is_imported_its_faults_told_and_again_changes_nothing(
    cbi: Command, tmp_path: Path
) -> None:
    file = tmp_path / "lista.csv"
    rows = [
        HEADER + COLUMNS + PERSON,
        GOOD + "31/12/1990;F;cédula;V87654321",
        BAD + "32/13/1990;F;;",
    ]
    file.write_text("\r\n".join(rows), encoding="cp1252")
    done = cbi("import", "households", file, "--partner", "ALFA", *INEI, code=1)
    assert "1 clear" in done.stdout
    assert "1 faulty" in done.stdout
    assert "fila 3, columna ubigeo" in done.stdout
    assert "**/**/****" in done.stdout
    assert "32/13/1990" not in done.stdout + done.stderr
    again = cbi("import", "households", file, "--partner", "ALFA", *INEI, "--json", code=1)
    told = json.loads(again.stdout)
    assert (told["households"], told["clear"], told["faulty"]) == (2, 1, 1)
    counted = cbi("psql", "--role", "owner", "-tAc", "SELECT count(*) FROM cbi.household", code=0)
    assert counted.stdout.strip() == "1"
    file.write_bytes(b"nothing;of;ours")
    refused = cbi("import", "households", file, "--partner", "ALFA", *INEI, code=3)
    assert "file-unreadable" in refused.stderr


def test_the_faulty_rows_of_a_workbook_come_back_in_a_workbook(
    cbi: Command, tmp_path: Path
) -> None:
    titles = (HEADER + COLUMNS + PERSON).split(";")
    good, bad = GOOD + "31/12/1990;F;cédula;V87654321", BAD + "32/13/1990;F;;"
    file, mended = tmp_path / "lista.xlsx", tmp_path / "corregir.xlsx"
    file.write_bytes(book([titles, good.split(";"), bad.split(";")]))
    words = (
        "import",
        "households",
        file,
        "--partner",
        "ALFA",
        *INEI,
        "--corrections",
        mended,
        "--json",
    )
    told = json.loads(cbi(*words, code=1).stdout)
    fault = told["rows"][1]["faults"][0]
    assert fault["value"] == "9****1"
    assert fault["remedy_en"] == "Look the district's code up in INEI's table."
    sheet = CalamineWorkbook.from_path(mended).get_sheet_by_index(0).to_python()
    assert [line[0] for line in sheet] == ["codigo_hogar", "H-2"]
    assert fault["es"] in sheet[1][-1]
    lines, back = tmp_path / "lista.ndjson", tmp_path / "back.ndjson"
    lines.write_text('{"reference": "H-9"}\n')
    cbi("import", "households", lines, "--partner", "ALFA", *INEI, "--corrections", back, code=1)
    assert json.loads(back.read_text())["faults"]
    assert stat.S_IMODE(back.stat().st_mode) == 0o600


def test_a_file_of_a_bank_that_can_not_be_read_is_refused_with_its_place(
    cbi: Command, tmp_path: Path
) -> None:
    file = tmp_path / "extracto.xml"
    file.write_bytes(b'<?xml version="1.0"?>\n<Document =></Document>')
    words = ("import", "statement", file, "--partner", "ALFA")
    refused = cbi(*words, code=3)
    assert "statement-unreadable" in refused.stderr
    assert "line 2, byte " in refused.stderr
    assert "layout-unknown" in cbi(*words, "--layout", "banco", code=3).stderr
    counted = cbi(
        "psql", "--role", "owner", "-tAc", "SELECT count(*) FROM ledger.unread_file", code=0
    )
    assert counted.stdout.strip() == "1"


def test_psql_as_the_service_sees_nothing_and_changes_nothing(cbi: Command) -> None:
    seen = cbi("psql", "-tAc", "SELECT count(*) FROM cbi.household", code=0)
    assert seen.stdout.strip() == "0"
    for role, why in (("app", "permission denied"), ("owner", "append-only")):
        statement = "TRUNCATE ledger.transfer CASCADE"
        done = cbi("psql", "--role", role, "-v", "ON_ERROR_STOP=1", "-c", statement, code=1)
        assert why in done.stderr


def test_an_empty_ledger_is_whole_and_json_says_so(cbi: Command) -> None:
    told = json.loads(cbi("ledger", "verify", "--json", code=0).stdout)
    assert told["whole"] is True
    assert told["faults"] == []


def test_a_terminated_service_ends_well_and_stops_its_database(cbi: Command) -> None:
    with tempfile.TemporaryDirectory(prefix="cbi-term-") as folder:
        served = subprocess.Popen(
            [sys.executable, "-c", "from api.cli import main; main()", "serve", "--port", "0"],
            env=cbi.env | {"CBI_DATA_DIR": folder},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert served.stdout is not None
        with served.stdout as printed:
            assert any("serving http://" in line for line in printed)
            assert is_running(Path(folder))
            served.terminate()
            assert served.wait(timeout=30) == 0
        assert not is_running(Path(folder))


def test_before_anything_is_sealed_the_ledger_gives_no_key_and_exports_nothing(cbi, tmp_path):
    assert "nothing is sealed in this database" in cbi("ledger", "key", code=1).stderr
    assert "nothing is sealed yet" in cbi("ledger", "export", tmp_path / "out", code=1).stderr
    unknown = cbi("ledger", "receipt", "01a200ed-0000-7000-8000-000000000000", code=3)
    assert "not-sealed" in unknown.stderr


def test_a_witness_is_asked_for_with_a_checkpoint_only(cbi):
    done = cbi("ledger", "verify", "--witness", "x+01234567+AbC=", code=2)
    assert "--witness goes with --checkpoint" in done.stderr


def test_a_file_that_can_not_be_written_is_told_in_a_sentence(cbi, tmp_path):
    for words in (("ledger", "export", "/proc/none"), ("dedup", "train", "--out", "/none/x.json")):
        done = cbi(*words, code=3 if words[0] == "ledger" else 2)
        assert "Traceback" not in done.stderr
        assert words[-1].rsplit("/", 1)[0] in done.stderr
