"""`cbi dedup evaluate` as a person types it: real processes, their output and exit codes."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from api.commands import evaluate as command
from dedup import model, tabular

ROOT = Path(__file__).parent.parent.parent
EXAMPLES = ROOT / "docs" / "examples"
RECORDS, TRUTH = EXAMPLES / "people.csv", EXAMPLES / "people-truth.csv"
KEYS = {
    *("records", "pairs_true", "completeness", "precision_auto", "recall_auto"),
    *("precision_review", "recall_review", "best_f1", "cluster_f1", "calibration_error"),
    *("review_per_1000", "seconds", "peak_rss_mb", "model_id"),
}

Evaluate = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def evaluate(tmp_path: Path) -> Evaluate:
    """Run the command where no database could be: a folder of its own that stays empty."""
    home = tmp_path / "no-database"
    env = {name: value for name, value in os.environ.items() if not name.startswith("CBI_")}

    def run(
        *words: object, code: int = 0, records: object = RECORDS, truth: object = TRUTH
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [
                *(sys.executable, "-c", "from api.cli import main; main()", "dedup", "evaluate"),
                *("--records", str(records), "--truth", str(truth), *map(str, words)),
            ],
            env=env | {"CBI_DATA_DIR": str(home), "COLUMNS": "100"},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == code, done.stdout + done.stderr
        assert "Traceback" not in done.stderr, done.stderr
        assert not home.exists()
        return done

    return run


def masked(text: str) -> list[str]:
    """Lines without what differs from run to run, or with each model: time, memory, id, bits."""
    text = re.sub(r"[\d.,]+ seconds, [\d.,]+ MB", "", text)
    text = re.sub(r"model v\S+", "", text)
    text = re.sub(r"│ +\d+\.\d │", "", text)
    return [line.strip() for line in text.strip().splitlines()]


def test_the_example_of_the_page_on_matching_says_what_the_page_shows(evaluate: Evaluate) -> None:
    page = (ROOT / "docs" / "matching.md").read_text(encoding="utf-8")
    shown = re.search(r"^```text\n( *18 records.*?)^```", page, re.DOTALL | re.MULTILINE)
    assert shown is not None
    printed = evaluate().stdout
    assert masked(printed) == masked(shown[1]), printed
    assert "--records docs/examples/people.csv --truth docs/examples/people-truth.csv" in page


def test_json_has_the_promised_keys_and_numbers(evaluate: Evaluate) -> None:
    told = json.loads(evaluate("--json", "--processes", 1).stdout)
    assert set(told) >= KEYS
    assert (told["records"], told["pairs_true"]) == (18, 7)
    assert told["precision_auto"] == told["precision_review"] == 1.0
    assert 0 < told["recall_auto"] < told["recall_review"] < 1
    assert told["calibration_error"] is None
    assert told["seconds"] > 0
    assert told["peak_rss_mb"] > 20
    assert told["model_id"] == model.load().model_id
    assert (told["unlabelled"], told["truth_unknown"], told["unread"]) == (0, 0, {})


def test_a_model_that_was_learned_and_kept_gives_the_same_again(
    evaluate: Evaluate, tmp_path: Path
) -> None:
    kept = tmp_path / "model.json"
    learned = json.loads(evaluate("--fit", "--save-model", kept, "--json").stdout)
    again = json.loads(evaluate("--model", kept, "--json").stdout)
    for told in (learned, again):
        del told["seconds"], told["peak_rss_mb"]
    assert learned == again
    assert learned["model_id"] != model.load().model_id
    assert model.parse(kept.read_bytes()).model_id == learned["model_id"]


def test_the_models_own_id_names_the_one_of_the_program(evaluate: Evaluate) -> None:
    own = model.load().model_id
    assert json.loads(evaluate("--model", own, "--json").stdout)["model_id"] == own


def test_the_figure_is_written_and_names_nobody(evaluate: Evaluate, tmp_path: Path) -> None:
    file = tmp_path / "figure.svg"
    done = evaluate("--figure", file)
    text = file.read_text(encoding="utf-8")
    ET.fromstring(text)  # noqa: S314 -- our own text
    for said in (text, done.stdout, done.stderr):
        assert "Quintrallo" not in said
        assert "19876543" not in said


def test_what_could_not_be_read_or_joined_is_told(evaluate: Evaluate, tmp_path: Path) -> None:
    records, truth = tmp_path / "r.csv", tmp_path / "t.csv"
    rows = ("1,Ana,Zulmar,31/02/1990,H,dni,12345678", "2,Ana,Zulmar,1990-05-17,F,,", "3,Luz,,,,,")
    header = "record_id,given1,surname1,birth_date,sex,doc1_type,doc1"
    records.write_text("\n".join((header, *rows)), encoding="utf-8")
    truth.write_text("record_id,person_id\n1,P\n2,P\n9,P\n", encoding="utf-8")
    told = evaluate(records=records, truth=truth).stderr
    for words in (
        "records without truth count as persons of their own: 1",
        "labels of records that aren't there were left out: 1",
        "dates of birth that can't be read (YYYY-MM-DD is expected) count as missing: 1",
        "entries of sex that can't be read (F or M is expected) count as missing: 1",
        "documents of an unknown type count as `other`: 1",
    ):
        assert words in told
    assert "31/02/1990" not in told


@pytest.mark.parametrize(
    ("records", "truth", "words"),
    [
        (
            "record_id,given1\n1,Zulmarbe\n2,Luz\n1,Eva\n",
            "record_id,person_id\n",
            "must be unique, and these rows have the same one (row 1, 3 below the header)",
        ),
        (
            "given1\nZulmarbe\n",
            "record_id,person_id\n1,P\n1,Q\n",
            "one record is two persons (row 1, 2 below the header)",
        ),
        ("given1\nZulmarbe\n", "id,who\n", "must name columns; expected are: record_id, person_id"),
        ("a b c\n", "record_id,person_id\n", "must name columns; expected are: record_id, reg"),
        ("given1\n", "record_id,person_id\n", "it has no records"),
        ("given1\nZulmarb\xe9\n", "record_id,person_id\n", "save it as 'CSV UTF-8'"),
        ("PK\x03\x04 ", "record_id,person_id\n", "Excel workbook"),
        ("PAR1 ", "record_id,person_id\n", "can't be read as Parquet"),
    ],
)
def test_a_file_that_cant_be_used_is_refused_with_what_to_do(
    evaluate: Evaluate, tmp_path: Path, records: str, truth: str, words: str
) -> None:
    files = tmp_path / "r.csv", tmp_path / "t.csv"
    for file, text in zip(files, (records, truth), strict=True):
        file.write_bytes(text.encode("latin-1"))
    done = evaluate(code=3, records=files[0], truth=files[1])
    assert words in done.stderr
    assert "Zulmarb" not in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--model", "v9-nothing"), "there is no model file v9-nothing"),
        (("--model", TRUTH), "is no model"),
        (("--model", RECORDS, "--fit"), "--model can't be given with it"),
        (("--figure", "/no/such/folder/x.svg"), "there is no folder"),
        (("--save-model", "/no/such/folder/x.json"), "there is no folder"),
        (("--processes", "0"), "--processes"),
    ],
)
def test_wrong_use_is_told_before_anything_is_read(
    evaluate: Evaluate, words: tuple[object, ...], reason: str
) -> None:
    assert reason in evaluate(*words, code=2).stderr


def test_every_reason_and_every_warning_has_a_sentence() -> None:
    source = Path(tabular.__file__).read_text(encoding="utf-8")
    raised = set(re.findall(r'TableUnreadable\(\s*path, "(\w+)"', source))
    assert raised == set(command.REASONS)
    warned = set(re.findall(r'warned\["(\w+)"\] \+=', source))
    assert warned == set(command.WARNINGS)


def test_columns_that_nothing_is_read_from_are_named_and_a_foreign_truth_is_refused(
    evaluate: Evaluate, tmp_path: Path
) -> None:
    records, truth = tmp_path / "records.csv", tmp_path / "truth.csv"
    rows = ("record_id,Nombre1,surname1,nationality", "1,Ana,Zulmar,VEN", "2,Ana,Zulmar,VEN")
    records.write_text("\n".join(rows))
    truth.write_text("record_id,person_id\n1,P1\n2,P1\n")
    told = evaluate(records=records, truth=truth).stderr
    assert "columns that were not used: Nombre1" in told
    truth.write_text("record_id,person_id\nA,P1\nB,P1\n")
    refused = evaluate(records=records, truth=truth, code=3).stderr
    assert "labels none of these records" in " ".join(refused.split())
