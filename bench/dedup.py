"""Matching against the truth, and against Splink in the same run.

    .venv/bin/python bench/dedup.py --records 100000 --hard --peers --json
    .venv/bin/python bench/dedup.py --febrl --peers

The seed is drawn at run time unless it is given, so nothing was tuned on it. Ours runs as anyone
would run it, `cbi dedup evaluate --fit` as a process of its own; its seconds count from reading
the file to the chosen pairs, Splink's from records loaded to pairs fetched. Memory is the sum of
what the processes hold at one moment, shared pages once (PSS), sampled four times a second.
"""

import argparse
import json
import secrets
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from rapidfuzz.distance import JaroWinkler

sys.path.insert(0, str(Path(__file__).parent.parent))

from bench import febrl, peers
from bench.population import generate

SAMPLE_SECONDS = 0.25
EVALUATE = [sys.executable, "-c", "from api.cli import main; main()", "dedup", "evaluate"]
TOLD = (
    *("records", "pairs_true", "candidates", "completeness", "best_f1", "cluster_f1"),
    *("precision_auto", "recall_auto", "precision_review", "recall_review"),
    *("calibration_error", "review_per_1000", "seconds", "peak_mb"),
)


def ours(records: Path, truth: Path, *, processes: int) -> dict[str, Any]:
    """Evaluate with a model learned from the records; peak memory of all processes together."""
    command = [*EVALUATE, "--records", str(records), "--truth", str(truth), "--fit", "--json"]
    with subprocess.Popen(
        [*command, "--processes", str(processes)], stdout=subprocess.PIPE, text=True
    ) as child:
        peak = [0.0]
        watcher = threading.Thread(target=_watch, args=(child.pid, peak), daemon=True)
        watcher.start()
        printed, _ = child.communicate()
        watcher.join()
    if child.returncode:
        raise SystemExit(f"evaluate ended with {child.returncode}")
    return json.loads(printed) | {"peak_mb": round(peak[0], 1)}


def ablated(records: Path, truth: Path, *, processes: int) -> dict[str, Any]:
    """The same without knowing who was registered together: two classes, nothing exclusive."""
    with tempfile.TemporaryDirectory(prefix="cbi-bench-") as folder:
        alone = Path(folder) / "alone.csv"
        with records.open(encoding="utf-8") as source, alone.open("w", encoding="utf-8") as target:
            target.write(source.readline().replace("registration_id", "unused", 1))
            target.writelines(source)
        return ours(alone, truth, processes=processes)


def splink(
    made: Any,  # noqa: ANN401
    records: Path,
    model: str,
    *,
    threads: int,
    memory_gb: int | None,
) -> dict[str, Any]:
    """Splink by itself, and with our two steps: nobody twice in a registration, one-to-one."""
    found = peers.run_splink(records, threads=threads, model=model, memory_gb=memory_gb)
    ids = made.columns["record_id"].tolist()
    person = dict(zip(ids, made.person_ids().tolist(), strict=True))
    registration = dict(zip(ids, made.columns["registration_id"].tolist(), strict=True))
    fair = peers.exclusive(found, registration)
    return {
        "best_f1": peers.best_f1(found, person).f1,
        "best_f1_exclusive": peers.best_f1(fair, person).f1,
        "pairs": len(found.left),
        "seconds": found.seconds,
        "peak_mb": found.peak_rss_mb,
    }


def limits() -> dict[str, float]:
    """What one core can do at most: pairs of names measured by rapidfuzz a second."""
    names = [f"{one}{other}" for one in ("yaquel", "gonzal", "rodri") for other in range(300)]
    started, pairs = time.perf_counter(), 0
    while (passed := time.perf_counter() - started) < 1.0:
        for one, other in zip(names, reversed(names), strict=True):
            JaroWinkler.similarity(one, other)
        pairs += len(names)
    return {"jaro_winkler_pairs_per_second": round(pairs / passed)}


def run_population(options: argparse.Namespace) -> dict[str, Any]:
    """Generate, evaluate, and compare with Splink where asked."""
    seed = secrets.randbelow(2**31) if options.seed is None else options.seed
    made = generate(options.records, seed=seed, hard=options.hard)
    with tempfile.TemporaryDirectory(prefix="cbi-bench-") as folder:
        records, truth = made.write(Path(folder))
        result: dict[str, Any] = {"seed": seed, "hard": options.hard, "limits": limits()}
        result["ours"] = ours(records, truth, processes=options.processes)
        if options.ablation:
            result["ablated"] = ablated(records, truth, processes=options.processes)
        for model in options.peer_models if options.peers else ():
            result[f"splink {model}"] = splink(
                made,
                records,
                model,
                threads=options.processes,
                memory_gb=options.peer_memory_gb,
            )
    return result


def run_febrl(options: argparse.Namespace) -> dict[str, Any]:
    """FEBRL 3 and 4, with the columns we have a place for; Splink has all of theirs."""
    result: dict[str, Any] = {}
    for name in ("febrl3", "febrl4"):
        data = febrl.load(name)
        with tempfile.TemporaryDirectory(prefix="cbi-bench-") as folder:
            records, truth = data.write(Path(folder))
            result[name] = {"ours": ours(records, truth, processes=options.processes)}
        if options.peers:
            found = febrl.run_febrl(name, threads=options.processes)
            person = dict(zip(data.truth["record_id"], data.truth["person_id"], strict=True))
            result[name]["splink"] = {
                "best_f1": peers.best_f1(found, person).f1,
                "seconds": found.seconds,
                "peak_mb": found.peak_rss_mb,
            }
    return result


def _watch(pid: int, peak: list[float]) -> None:
    while psutil.pid_exists(pid):
        try:
            process = psutil.Process(pid)
            family = [process, *process.children(recursive=True)]
            held = sum(one.memory_full_info().pss for one in family) / 2**20
            peak[0] = max(peak[0], held)
            if process.status() == psutil.STATUS_ZOMBIE:
                return
        except psutil.Error:
            continue
        time.sleep(SAMPLE_SECONDS)


def _tell(result: dict[str, Any], name: str = "") -> None:
    for key, value in result.items():
        if isinstance(value, dict):
            _tell(value, f"{name} {key}".strip())
        elif key in TOLD or not name.endswith(("ours", "ablated")):
            number = round(value, 5) if isinstance(value, float | np.floating) else value
            print(f"{name:28} {key:28} {number}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--hard", action="store_true")
    parser.add_argument("--febrl", action="store_true", help="FEBRL 3 and 4 instead of our people")
    parser.add_argument("--peers", action="store_true", help="run Splink too (make peers)")
    parser.add_argument("--peer-models", nargs="+", default=["persons", "all"])
    parser.add_argument(
        "--peer-memory-gb", type=int, help="more than the machine has would end the peer"
    )
    parser.add_argument("--ablation", action="store_true")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    result = run_febrl(options) if options.febrl else run_population(options)
    if options.json:
        print(json.dumps(result, indent=1, default=float))
    else:
        _tell(result)


if __name__ == "__main__":
    main()
