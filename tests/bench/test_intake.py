"""A small run of the bench of intake: its figures are there, and add up."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

BENCH = Path(__file__).parent.parent.parent / "bench" / "intake.py"
# Enough that the file is read by a process of its own.
HOUSEHOLDS = 400
OWED = (
    *("households", "persons", "total_s", "parse_s", "check_s", "persons_per_s"),
    *("check_list_1000_s", "peak_rss_mb"),
)


def test_a_small_run_tells_every_figure_and_a_second_one_in_its_folder_too():
    # A socket's path may have 107 bytes at most.
    with tempfile.TemporaryDirectory(prefix="cbi-bench-") as folder:
        runs(Path(folder))


def runs(short_dir: Path) -> None:
    csv = run(short_dir, "csv")
    # Clerks made slips in some of them, which are told and not registered.
    assert csv["households"] == csv["registered"] + csv["faulty"] == HOUSEHOLDS
    assert csv["staged_registered"] + csv["staged_faulty"] == HOUSEHOLDS
    assert csv["registered"] > 0.9 * HOUSEHOLDS
    assert csv["rss_reader_mb"] > 20
    assert csv["peak_rss_mb"] == pytest.approx(csv["rss_service_mb"] + csv["rss_reader_mb"], abs=1)
    parts = ("send_s", "parse_s", "check_s")
    assert csv["total_s"] == pytest.approx(sum(csv[part] for part in parts), abs=0.02)
    parts = (*parts, "review_s", "accept_s")
    whole = sum(csv[f"staged_{part}"] for part in parts)
    assert csv["staged_total_s"] == pytest.approx(whole, abs=0.02)
    xlsx = run(short_dir, "xlsx", "--no-staged")
    assert xlsx["registered"] + xlsx["faulty"] == HOUSEHOLDS
    assert "staged_total_s" not in xlsx


def run(data_dir: Path, format_: str, *more: str) -> dict:
    words = ("--households", HOUSEHOLDS, "--persons-present", 800, "--format", format_, *more)
    done = subprocess.run(
        [sys.executable, BENCH, *map(str, words), "--data", data_dir, "--json"],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert set(OWED) <= told.keys()
    return told
