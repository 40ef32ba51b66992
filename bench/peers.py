"""Splink 5 on DuckDB, as well modelled as we could, on the records of the benchmark.

    result = run_splink(Path("records.csv"), model="all")
    between = exclusive(result, registration_of)     # our two steps, for fairness

Splink runs in a process of its own (`bench/peers_splink.py`, where the models stand), so that its
peak memory is its own. Time counts from the records loaded into DuckDB to the pairs fetched:
cleaning and derived columns, estimation, blocking, prediction.

What was tried on development seeds (20,000 and 100,000 records, ordinary and hard); here the best
F1 on 100,000 ordinary records, Splink alone and with our two steps (between registrations only).
The last two are offered, for no model is best at both:

    Splink's ready-made comparisons (ForenameSurname, Name, DateOfBirth)      .929 / .981
    names jointly, with levels for sound, swapped and crossed names           .936 / .983
    each name by itself with such levels, eleven levels of dates, documents
      with "near" and "one type, other number"; EM blocked on date and names  .941 / .986
    the same, EM blocked on date and document        model="all"              .940 / .986
    the same without phone and district, which kin share  model="persons"     .958 / .985

Term frequencies inside EM, a third EM session, 10^7 instead of 10^6 pairs for u, and leaving out
term frequencies of phones changed F1 by less than .002; 10^7 pairs took 80 seconds more.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

CHILD = Path(__file__).with_name("peers_splink.py")
# Enough for three million records on two slow cores; a peer that hangs must not hang us.
SECONDS_MAX = 4 * 3600


@dataclass(frozen=True)
class PeerResult:
    """Scored pairs of record ids with match weights in bits, and what they cost.

    `seconds` and `peak_rss_mb` are the peer's own, from records loaded to pairs out.
    """

    model: str
    left: NDArray[np.object_]
    right: NDArray[np.object_]
    weight_bits: NDArray[np.float64]
    seconds: float
    peak_rss_mb: float


@dataclass(frozen=True)
class Best:
    """The best F1 over all thresholds, and where it lies."""

    f1: float
    precision: float
    recall: float
    threshold_bits: float


def run_splink(
    records: Any,  # noqa: ANN401
    *,
    threads: int = 2,
    model: str = "all",
    memory_gb: int | None = None,
) -> PeerResult:
    """Run Splink on a file (CSV or Parquet) or a pandas frame of records in the record format.

    Models: "all" and "persons" for the record format, "febrl3" and "febrl4" for the FEBRL files as
    `bench/febrl.py` writes them. Raises CalledProcessError if Splink fails.
    """
    with tempfile.TemporaryDirectory(prefix="cbi-peer-") as folder:
        path = records if isinstance(records, Path) else Path(folder) / "records.parquet"
        if path is not records:
            records.to_parquet(path)
        pairs = Path(folder) / "pairs.npz"
        command = [sys.executable, str(CHILD), "--records", str(path), "--out", str(pairs)]
        command += ["--threads", str(threads), "--model", model]
        command += ["--memory-gb", str(memory_gb)] if memory_gb else []
        done = subprocess.run(
            command, check=True, stdout=subprocess.PIPE, text=True, timeout=SECONDS_MAX
        )
        cost = json.loads(done.stdout.splitlines()[-1])
        with np.load(pairs, allow_pickle=True) as found:
            return PeerResult(
                model=model,
                left=found["left"],
                right=found["right"],
                weight_bits=found["weight_bits"],
                seconds=cost["seconds"],
                peak_rss_mb=cost["peak_rss_mb"],
            )


def exclusive(result: PeerResult, registration_of: Mapping[str, str]) -> PeerResult:
    """Leave out pairs inside one registration; between two, each person has one partner at most.

    Pairs are taken by falling weight (ties by ids), so the result doesn't depend on their order.
    """
    left, right, weight = result.left, result.right, result.weight_bits
    kept = []
    taken: set[tuple[str, str]] = set()
    for place in np.lexsort((right, left, -weight)).tolist():
        one, other = left[place], right[place]
        ours, theirs = registration_of[one], registration_of[other]
        if ours == theirs or (one, theirs) in taken or (other, ours) in taken:
            continue
        taken.add((one, theirs))
        taken.add((other, ours))
        kept.append(place)
    return replace(result, left=left[kept], right=right[kept], weight_bits=weight[kept])


def best_f1(
    result: PeerResult, person_of: Mapping[str, str], *, apart: Mapping[str, str] | None = None
) -> Best:
    """The best F1 over all thresholds.

    With `apart` (record → registration) only pairs between two registrations count, found or
    true: the same person twice in one is another check's task.
    """
    left, right, weight = result.left, result.right, result.weight_bits
    true = _pairs(list(person_of.values()))
    if apart is not None:
        both = [f"{person}\t{apart[record]}" for record, person in person_of.items()]
        true -= _pairs(both)
        between = np.array(
            [apart[one] != apart[other] for one, other in zip(left, right, strict=True)], dtype=bool
        )
        left, right, weight = left[between], right[between], weight[between]
    order = np.argsort(-weight, kind="stable")
    same = [person_of[one] == person_of[other] for one, other in zip(left, right, strict=True)]
    hits = np.cumsum(np.array(same, dtype=bool)[order])
    taken = np.arange(1, len(order) + 1)
    # A threshold takes all pairs of one weight or none.
    ends = np.append(np.flatnonzero(np.diff(weight[order])), len(order) - 1)
    f1 = 2 * hits[ends] / (taken[ends] + true)
    at = ends[int(f1.argmax())]
    return Best(
        f1=float(f1.max()),
        precision=float(hits[at] / taken[at]),
        recall=float(hits[at] / true),
        threshold_bits=float(weight[order][at]),
    )


def _pairs(groups: Sequence[str]) -> int:
    sizes = np.unique(np.array(groups, dtype=object), return_counts=True)[1]
    return int((sizes * (sizes - 1) // 2).sum())
