"""One Splink run in a process of its own; `bench/peers.py` starts it and says what was tried."""

import argparse
import json
import logging
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
import splink.comparison_level_library as cll
import splink.comparison_library as cl
from splink import DuckDBAPI, Linker, SettingsCreator, block_on

sys.path.insert(0, str(Path(__file__).parent.parent))

from bench.peers_columns import CLEANED, FEBRL_CLEANED, MACROS

# Pairs below are worth nothing to anybody; Splink is spared writing them.
FLOOR_BITS = -12.0
SAMPLED_PAIRS = 1e6
SEED = 1


@dataclass(frozen=True)
class Model:
    """How one kind of records is cleaned, compared, and learned from.

    `sure` are rules that hardly ever join two persons and find `recall` of the true pairs;
    `learn_on` the blocks on which EM estimates m. `parts` are values of the column `part` that
    are linked with each other, for files without duplicates of their own.
    """

    cleaned: str
    comparisons: Callable[[], list[object]]
    rules: Callable[[], list[object]]
    sure: Callable[[], list[object]]
    learn_on: Callable[[], list[object]]
    recall: float = 0.8
    parts: tuple[str, ...] = ()


def name(column: str, other: str, swapped: str, *, first: bool) -> cl.CustomComparison:
    """One name: equal (weighted by frequency), alike in sound, swapped, crossed, near, initial."""
    crossed = " or ".join(
        f"jaro_winkler_similarity({ours}_l, {theirs}_r) >= .92"
        for ours, theirs in ((column, other), (other, column))
    )
    begins = f"starts_with({column}_l, {column}_r) or starts_with({column}_r, {column}_l)"
    levels = [
        cll.NullLevel(column),
        cll.ExactMatchLevel(column).configure(tf_adjustment_column=column),
        cll.CustomLevel(f"{column}_sound_l = {column}_sound_r"),
        cll.CustomLevel(swapped),
        cll.CustomLevel(crossed),
        cll.JaroWinklerLevel(column, 0.92),
        cll.CustomLevel(begins),
        cll.JaroWinklerLevel(column, 0.82),
        cll.ElseLevel(),
    ]
    if not first:
        # A second name is often an initial, seldom in the other's place.
        levels[4], levels[5], levels[6] = levels[5], levels[6], levels[4]
    return cl.CustomComparison(output_column_name=column, comparison_levels=levels)


def names() -> list[object]:
    swapped = (
        "jaro_winkler_similarity(given1_l, surname1_r) >= .88"
        " and jaro_winkler_similarity(surname1_l, given1_r) >= .88"
    )
    return [
        name("given1", "given2", swapped, first=True),
        name("surname1", "surname2", swapped, first=True),
        name("given2", "given1", swapped, first=False),
        name("surname2", "surname1", swapped, first=False),
    ]


def born() -> cl.CustomComparison:
    """Birth date: 1 January is a default; day and month get swapped; a digit goes wrong."""
    default = "substr({}, 6) = '01-01'"
    parts = "+".join(
        f"(substr(born_l, {at}) = substr(born_r, {at}))::int" for at in ("1, 4", "6, 2", "9, 2")
    )
    apart = "abs(year_of_l::int - year_of_r::int)"
    either = f"{default.format('born_l')} or {default.format('born_r')}"
    return cl.CustomComparison(
        output_column_name="born",
        comparison_levels=[
            cll.NullLevel("born"),
            cll.CustomLevel(f"born_l = born_r and {default.format('born_l')}"),
            cll.ExactMatchLevel("born"),
            cll.CustomLevel("year_of_l = year_of_r and day_month_l = day_month_r"),
            cll.DamerauLevenshteinLevel("born", 1),
            cll.CustomLevel(f"year_of_l = year_of_r and ({either})"),
            cll.CustomLevel(f"{parts} = 2"),
            cll.CustomLevel("year_of_l = year_of_r"),
            cll.CustomLevel(f"{apart} <= 1"),
            cll.CustomLevel(f"{apart} <= 10"),
            cll.ElseLevel(),
        ],
    )


def documents() -> cl.CustomComparison:
    return cl.CustomComparison(
        output_column_name="documents",
        comparison_levels=[
            cll.NullLevel("documents"),
            cll.ArrayIntersectLevel("documents", 1),
            cll.PairwiseStringDistanceFunctionLevel("documents", "damerau_levenshtein", 1),
            cll.CustomLevel("list_has_any(kinds_l, kinds_r)"),
            cll.ElseLevel(),
        ],
    )


def phone() -> cl.CustomComparison:
    return cl.CustomComparison(
        output_column_name="phone",
        comparison_levels=[
            cll.NullLevel("phone"),
            cll.ExactMatchLevel("phone").configure(tf_adjustment_column="phone"),
            cll.DamerauLevenshteinLevel("phone", 1),
            cll.ElseLevel(),
        ],
    )


def place() -> cl.CustomComparison:
    return cl.CustomComparison(
        output_column_name="ubigeo",
        comparison_levels=[
            cll.NullLevel("ubigeo"),
            cll.ExactMatchLevel("ubigeo").configure(tf_adjustment_column="ubigeo"),
            cll.CustomLevel("substr(ubigeo_l, 1, 4) = substr(ubigeo_r, 1, 4)"),
            cll.CustomLevel("substr(ubigeo_l, 1, 2) = substr(ubigeo_r, 1, 2)"),
            cll.ElseLevel(),
        ],
    )


def persons() -> list[object]:
    return [*names(), born(), documents(), cl.ExactMatch("sex")]


def everything() -> list[object]:
    return [*persons(), phone(), place()]


def rules() -> list[object]:
    """Keys meant to be as complete as those of our own matcher."""
    return [
        block_on("documents", arrays_to_explode=["documents"]),
        block_on("words", "born", arrays_to_explode=["words"]),
        block_on("words_sorted"),
        block_on("first_names_sorted", "year_of"),
        block_on("given1_sound", "surname1_sound", "year_of"),
        block_on("first_names_sorted", "day_month"),
        block_on("given1_sound", "surname1_sound", "day_month"),
        block_on("phone", "substr(given1, 1, 3)"),
        block_on("phone", "year_of"),
        block_on("documents_less_one", "given_initial", arrays_to_explode=["documents_less_one"]),
    ]


def febrl_comparisons() -> list[object]:
    """As Splink's own FEBRL examples, with the address columns and swapped names besides."""
    return [
        *febrl_shared(),
        cl.ExactMatch("street_number").configure(term_frequency_adjustments=True),
        *(
            cl.JaroWinklerAtThresholds(column, [0.9, 0.7]).configure(
                term_frequency_adjustments=True
            )
            for column in ("address_1", "suburb")
        ),
    ]


def febrl_shared() -> list[object]:
    """The columns that our record format has room for."""
    swapped = "given_name_l = surname_r and surname_l = given_name_r"
    named = [
        cl.CustomComparison(
            output_column_name=column,
            comparison_levels=[
                cll.NullLevel(column),
                cll.ExactMatchLevel(column).configure(tf_adjustment_column=column),
                cll.CustomLevel(swapped),
                cll.JaroWinklerLevel(column, 0.92),
                cll.JaroWinklerLevel(column, 0.88),
                cll.JaroWinklerLevel(column, 0.7),
                cll.ElseLevel(),
            ],
        )
        for column in ("given_name", "surname")
    ]
    return [
        *named,
        cl.DateOfBirthComparison("date_of_birth", input_is_string=True, datetime_format="%Y%m%d"),
        cl.DamerauLevenshteinAtThresholds("soc_sec_id", [1, 2]),
        cl.DamerauLevenshteinAtThresholds("postcode", [1, 2]).configure(
            term_frequency_adjustments=True
        ),
    ]


def febrl_rules() -> list[object]:
    return [
        *febrl_shared_rules(),
        block_on("street_number", "address_1"),
        block_on("address_1", "state"),
    ]


def febrl_shared_rules() -> list[object]:
    columns = ("soc_sec_id", "given_name", "surname", "date_of_birth", "postcode")
    return [block_on(column) for column in columns]


FEBRL = {
    "cleaned": FEBRL_CLEANED,
    "sure": lambda: [
        block_on("soc_sec_id"),
        block_on("given_name", "surname", "date_of_birth"),
    ],
    "learn_on": lambda: [block_on("date_of_birth"), block_on("postcode")],
}
PEOPLE = {
    "cleaned": CLEANED,
    "rules": rules,
    "sure": lambda: [block_on("document1"), block_on("given1", "surname1", "born")],
    "learn_on": lambda: [block_on("born"), block_on("document1")],
}
MODELS = {
    "all": Model(comparisons=everything, **PEOPLE),
    "persons": Model(comparisons=persons, **PEOPLE),
    "febrl3": Model(comparisons=febrl_comparisons, rules=febrl_rules, recall=0.9, **FEBRL),
    "febrl3-shared": Model(comparisons=febrl_shared, rules=febrl_shared_rules, recall=0.9, **FEBRL),
    "febrl4": Model(comparisons=febrl_comparisons, rules=febrl_rules, parts=("a", "b"), **FEBRL),
    "febrl4-shared": Model(
        comparisons=febrl_shared, rules=febrl_shared_rules, parts=("a", "b"), **FEBRL
    ),
}


def link(connection: duckdb.DuckDBPyConnection, model: Model) -> dict[str, np.ndarray]:
    """Clean, learn, predict; returns unique ids left and right, and weights in bits."""
    connection.execute(MACROS)
    connection.execute(f"CREATE TABLE cleaned AS {model.cleaned}")
    database = DuckDBAPI(connection=connection)
    settings = SettingsCreator(
        link_type="link_only" if model.parts else "dedupe_only",
        comparisons=model.comparisons(),
        blocking_rules_to_generate_predictions=model.rules(),
        retain_matching_columns=False,
    )
    tables = ["cleaned"]
    for part in model.parts:
        connection.execute(f"CREATE TABLE part_{part} AS FROM cleaned WHERE part = '{part}'")
    if model.parts:
        tables = [f"part_{part}" for part in model.parts]
    inputs = [database.register(table) for table in tables]
    linker = Linker(inputs if model.parts else inputs[0], settings, log_level=logging.ERROR)
    linker.training.estimate_probability_two_random_records_match(model.sure(), model.recall)
    linker.training.estimate_u_using_random_sampling(SAMPLED_PAIRS + 1, seed=SEED)
    for block in model.learn_on():
        linker.training.estimate_parameters_using_expectation_maximisation(
            block, estimate_without_term_frequencies=True
        )
    pairs = linker.inference.predict(threshold_match_weight=FLOOR_BITS)
    return connection.execute(
        f"SELECT unique_id_l AS l, unique_id_r AS r, match_weight AS w FROM {pairs.physical_name}"
    ).fetchnumpy()


def peak_rss_mb() -> float:
    """Most memory this process ever held.

    Not `ru_maxrss` where it can be helped: Linux hands that of the starting process down.
    """
    status = Path("/proc/self/status")
    if status.exists():
        line = next(row for row in status.read_text().splitlines() if row.startswith("VmHWM"))
        return round(int(line.split()[1]) / 1024, 1)
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--records", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--model", choices=MODELS, default="all")
    parser.add_argument("--memory-gb", type=int, help="beyond it DuckDB goes on on the disk")
    options = parser.parse_args()
    connection = duckdb.connect()
    connection.execute(f"SET threads = {options.threads}")
    if options.memory_gb:
        connection.execute(f"SET memory_limit = '{options.memory_gb}GB'")
        connection.execute(f"SET temp_directory = '{options.out.parent}'")
    # Splink 5.0 writes lambdas in a way that DuckDB 2.0 takes only when told so.
    connection.execute("SET lambda_syntax = 'ENABLE_SINGLE_ARROW'")
    csv = f"read_csv('{options.records}', all_varchar = true, header = true)"
    source = f"'{options.records}'" if options.records.suffix == ".parquet" else csv
    connection.execute(f"CREATE TABLE raw AS FROM {source}")
    begin = time.perf_counter()
    found = link(connection, MODELS[options.model])
    left, right = found["l"].astype(object), found["r"].astype(object)
    seconds = time.perf_counter() - begin
    peak = peak_rss_mb()
    np.savez(options.out, left=left, right=right, weight_bits=np.asarray(found["w"]))
    print(json.dumps({"seconds": round(seconds, 2), "peak_rss_mb": peak}))


if __name__ == "__main__":
    main()
