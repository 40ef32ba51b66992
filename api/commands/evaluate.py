"""`cbi dedup evaluate`: how well duplicates are found in labelled data."""

import sys
import time
from array import array
from collections import Counter
from pathlib import Path

import msgspec
import numpy as np
import rich_click as click
from rich.markup import escape
from rich.table import Table

from api.commands.machine import cores, peak_rss_mb, workers
from api.terminal import (
    CONSOLE,
    REFUSED,
    STDERR,
    WRONG_USE,
    as_json,
    existing_file,
    leave,
    told,
)
from dedup import figure, train
from dedup import model as models
from dedup.batch import local
from dedup.batch.columns import Columns, Encoder, concatenate
from dedup.evaluate import Report, label, measure
from dedup.model import Model
from dedup.tabular import (
    Records,
    TableUnreadable,
    Truth,
    digest,
    read_records,
    read_truth,
    unused_columns,
)

ROWS_TOLD_MAX = 5
# A smaller file isn't worth a second process.
SMALL_BYTES = 5_000_000
# What a table was refused for, as the sentence that follows its name.
REASONS = {
    "cell_too_long": "a cell has over 1,000 characters (is a quotation mark left open above?)",
    "column_repeated": "two columns have one title",
    "csv_syntax": "the row can't be read as CSV (is a quotation mark left open?)",
    "header_missing": "its first row must name columns; expected are",
    "id_repeated": "a record_id must be unique, and these rows have the same one",
    "not_utf8": "it isn't text in UTF-8; in a spreadsheet, save it as 'CSV UTF-8'",
    "parquet_missing": "to read Parquet, install the extra: pip install 'cbi[parquet]'",
    "parquet_syntax": "it can't be read as Parquet with columns of text, numbers and dates",
    "too_many_cells": "a row has more cells than the header, so its values may be out of place",
    "too_many_columns": "it has over 300 columns",
    "too_many_rows": "it has over 20 million rows",
    "two_persons": "these rows say that one record is two persons",
    "workbook": "it is an Excel workbook; save it as 'CSV UTF-8'",
}
WARNINGS = {
    "birth_date": "dates of birth that can't be read (YYYY-MM-DD is expected) count as missing",
    "sex": "entries of sex that can't be read (F or M is expected) count as missing",
    "doc_type": "documents of an unknown type count as `other`",
}
output_file = click.Path(dir_okay=False, writable=True, path_type=Path)


@click.command("evaluate")
@click.option("--records", "records_file", type=existing_file, required=True, help="CSV, Parquet.")
@click.option("--truth", "truth_file", type=existing_file, required=True, help="Who is who.")
@click.option("--model", "wanted", metavar="FILE|ID", help="Default: the one of the program.")
@click.option("--fit", is_flag=True, help="Learn a model from the records first, without truth.")
@click.option("--save-model", type=output_file, help="Write the model that was used (JSON).")
@click.option("--figure", "figure_file", type=output_file, help="Draw the result (SVG).")
@workers
@as_json
def evaluate(
    *,
    records_file: Path,
    truth_file: Path,
    wanted: str | None,
    fit: bool,
    save_model: Path | None,
    figure_file: Path | None,
    processes: int | None,
    as_json: bool,
) -> None:
    """Match labelled records and say how much of the truth is found; nothing is stored.

    --records has columns `record_id, registration_id, partner, given1, given2, surname1,
    surname2, birth_date, sex, doc1_type, doc1, doc2_type, doc2, phone, ubigeo`, any of them
    missing or empty; --truth has `record_id, person_id`. No database is needed.
    """
    with told():
        if fit and wanted is not None:
            leave("--fit learns a model, so --model can't be given with it", WRONG_USE)
        for file in filter(None, (save_model, figure_file)):
            if not file.parent.is_dir():
                leave(f"there is no folder {file.parent} to write {file.name} to", WRONG_USE)
        model = models.load() if wanted is None else _model(wanted)
        many = processes or cores()
        columns, records, truth, reading = _read(records_file, truth_file, processes=many)
        started = time.perf_counter()
        with STDERR.status(f"comparing {len(columns):,} records"):
            pairs = local.compared(columns, processes=many)
        if fit:
            with STDERR.status("learning a model"):
                model = train.fit(columns, model, processes=many, pairs=pairs)
        with STDERR.status(f"matching {len(columns):,} records"):
            matched = local.match(columns, model, processes=many, pairs=pairs)
        seconds = reading + time.perf_counter() - started
        report = measure(
            matched, truth.person, model, seconds=round(seconds, 3), peak_rss_mb=peak_rss_mb()
        )
        if save_model is not None:
            _write(save_model, models.encode(model))
        if figure_file is not None:
            drawn = figure.draw(label(matched, truth.person), report, model)
            _write(figure_file, drawn.encode())
        _tell(report, model, records, truth, as_json=as_json)


def _model(wanted: str) -> Model:
    own = models.load()
    if wanted == own.model_id:
        return own
    path = Path(wanted)
    if not path.is_file():
        leave(
            f"there is no model file {wanted}; a stored model is written to one by"
            f" `cbi dedup model show ID --json > FILE`; without --model it is {own.model_id}",
            WRONG_USE,
        )
    try:
        return models.parse(path.read_bytes())
    except (OSError, ValueError, msgspec.MsgspecError) as error:
        leave(f"{wanted} is no model: {error}", WRONG_USE)


def _read(
    records_file: Path, truth_file: Path, *, processes: int
) -> tuple[Columns, Records, Truth, float]:
    """Read both files; returns also the seconds for the records, for the truth is no work of ours.

    Both before anything else, so that a broken file is told at once.
    """
    records = read_records(records_file)
    try:
        with STDERR.status("reading"):
            started = time.perf_counter()
            columns = _encoded(records, processes)
            reading = time.perf_counter() - started
            truth = read_truth(truth_file, records)
    except TableUnreadable as error:
        leave(_reason(error), REFUSED)
    except OSError as error:
        leave(f"a file can't be read: {error.strerror}", REFUSED)
    if not len(truth.person):
        leave(f"{records_file}: it has no records", REFUSED)
    if truth.unlabelled == len(truth.person):
        leave(f"{truth_file}: it labels none of these records", REFUSED)
    return columns, records, truth, reading


def _encoded(records: Records, processes: int) -> Columns:
    """Encode the rows, each process some blocks of them, and put them in order."""
    small = records.path.stat().st_size < SMALL_BYTES
    shares = 1 if small or sys.platform != "linux" else processes

    def share(worker: int) -> tuple[Columns, bytes, bytes, Counter[str]]:
        encoder, numbers, digests = Encoder(), array("i"), array("q")
        for number, row in records.part(worker, shares):
            encoder.add(row.record)
            numbers.append(number)
            digests.append(digest(row.record_id))
        return encoder.columns(), numbers.tobytes(), digests.tobytes(), records.warned

    columns, numbers, digests, warned = zip(
        *local.in_processes(share, range(shares), shares), strict=True
    )
    order = np.argsort(np.frombuffer(b"".join(numbers), np.int32))
    records.warned = sum(warned, Counter())
    records.digests = array("q", np.frombuffer(b"".join(digests), np.int64)[order].tobytes())
    records.refuse_repeated()
    return concatenate(columns).take(order)


def _reason(error: TableUnreadable) -> str:
    rows = ", ".join(str(row) for row in error.rows[:ROWS_TOLD_MAX])
    more = " …" if len(error.rows) > ROWS_TOLD_MAX else ""
    where = f" (row {rows}{more} below the header)" if rows else ""
    what = f": {error.what}" if error.what else ""
    return f"{error.path}: {REASONS[error.reason]}{what}{where}"


def _write(path: Path, content: bytes) -> None:
    try:
        path.write_bytes(content)
    except OSError as error:
        leave(f"{path} can't be written: {error.strerror}", REFUSED)


def _tell(report: Report, model: Model, records: Records, truth: Truth, *, as_json: bool) -> None:
    if as_json:
        notes = {
            "unlabelled": truth.unlabelled,
            "truth_unknown": truth.unknown,
            "unread": dict(records.warned),
        }
        both = msgspec.to_builtins(report) | notes
        click.echo(msgspec.json.format(msgspec.json.encode(both)).decode())
        return
    table = Table(title=f"{report.records:,} records, {report.pairs_true:,} true pairs of them")
    for column in ("", "from bits", "precision", "recall", "F1"):
        table.add_column(column, justify="right" if column else "left")
    for name, bits, *shares in (
        ("automatic", model.strong_bits, report.precision_auto, report.recall_auto, report.f1_auto),
        (
            *("review", model.review_bits),
            *(report.precision_review, report.recall_review, report.f1_review),
        ),
        ("best threshold", report.best_f1_bits, "", "", report.best_f1),
        ("clusters", "", report.cluster_precision, report.cluster_recall, report.cluster_f1),
    ):
        table.add_row(name, _number(bits, 1), *map(_number, shares))
    CONSOLE.print(table)
    error, error_raw = _number(report.calibration_error), _number(report.calibration_error_raw)
    labels = report.calibration_labels
    for line in (
        f"model {report.model_id}",
        f"{report.candidates:,} pairs compared, with {_number(report.completeness)} of the true",
        f"review load: {_number(report.review_per_1000, 1)} pairs per 1,000 records",
        f"calibration error: {error} after {labels} labels, {error_raw} before"
        if labels
        else "calibration error: – (too few probable pairs)",
        f"{report.seconds:,.1f} seconds, {report.peak_rss_mb:,.0f} MB at most",
    ):
        CONSOLE.print(line)
    if unused := unused_columns(records.path):
        STDERR.print(escape(f"columns that were not used: {', '.join(unused)}"), soft_wrap=True)
    for words, count in (
        ("records without truth count as persons of their own", truth.unlabelled),
        ("labels of records that aren't there were left out", truth.unknown),
        *((WARNINGS[name], count) for name, count in sorted(records.warned.items())),
    ):
        if count:
            STDERR.print(f"{words}: {count:,}", soft_wrap=True)


def _number(value: float | str | None, digits: int = 4) -> str:
    if value is None:
        return "–"
    return value if isinstance(value, str) else f"{value:,.{digits}f}"
