"""`cbi dedup train` and `cbi dedup model`: learn models, read them, take one into use."""

import asyncio
from pathlib import Path

import msgspec
import rich_click as click
from rich.table import Table

from api import clock, rematch, reweigh
from api.commands.machine import cores, workers
from api.db import SYSTEM, transaction
from api.state import FOLLOW_SECONDS
from api.terminal import CONSOLE, NO, STDERR, WRONG_USE, Run, as_json, command, leave, show
from dedup import models, reviewed
from dedup import train as training
from dedup.model import Model, encode, load

# With fewer, a model leans on the one that comes with the program.
PERSONS_WANTED = 10_000
output_file = click.Path(dir_okay=False, writable=True, path_type=Path)


@click.command("train")
@click.option("--out", type=output_file, help="Also write the model to this file (JSON).")
@workers
@as_json
@command
async def train(run: Run, *, out: Path | None, processes: int | None, as_json: bool) -> int:
    """Learn a model from everybody registered who agreed to the duplicate check, and store it.

    Nothing is told to the program but the records: which pairs are one person is worked out. The
    model is not taken into use. A word stands in it only if 20 persons or more bear it.
    """
    if out is not None and not out.parent.is_dir():
        leave(f"there is no folder {out.parent} to write {out.name} to", WRONG_USE)
    service, request_id = run.service, f"train {clock.new_id()}"
    with STDERR.status("reading everybody"):
        everybody, _ = await rematch.read_everybody(
            service,
            purpose="model training",
            request_id=request_id,
            processes=processes or cores(),
        )
    persons, registrations = len(everybody), len(everybody.partners)
    note = f"learned from {persons:,} persons in {registrations:,} registrations"
    with STDERR.status(f"learning from {persons:,} persons"):
        model = training.fit(everybody.columns, load(), processes=processes or cores(), note=note)
    if model is load():
        leave("nothing to learn from: no two persons share a key", NO)
    async with transaction(service.engine, SYSTEM, request_id=request_id) as conn:
        is_new = await models.store(conn, model, actor_id=SYSTEM.actor_id, at=clock.now())
    if out is not None:
        await asyncio.to_thread(out.write_bytes, encode(model))
    if as_json:
        told = {"model_id": model.model_id, "persons": persons, "registrations": registrations}
        click.echo(msgspec.json.encode(told | {"is_new": is_new}).decode())
        return 0
    CONSOLE.print(f"{model.model_id} {'is stored' if is_new else 'was there already'}: {note}")
    _show(model)
    if persons < PERSONS_WANTED:
        STDERR.print(
            f"[yellow]{persons:,} persons are few[/yellow]: where they are silent it says what"
            " the model of the program says. Compare both before you take it into use."
        )
    CONSOLE.print(f"take it into use: cbi dedup model activate {model.model_id} --reason …")
    return 0


@click.command("calibrate")
@click.argument("model_id", required=False)
@as_json
@command
async def calibrate(run: Run, *, model_id: str | None, as_json: bool) -> int:
    """Fit a model's probabilities to what people decided, and store it; by default the one in use.

    Only what probability a weight stands for is changed, not the weights nor from where on a pair
    is shown. The model is not taken into use.
    """
    service, request_id = run.service, "cli"
    async with transaction(service.engine, SYSTEM, request_id=request_id) as conn:
        before = await models.load(conn, model_id or await models.active_id(conn))
    with STDERR.status("weighing decided cases"):
        found = await reweigh.reviewed(service, before)
    if not reviewed.enough(found):
        ones = sum(is_one for _, is_one in found)
        leave(
            f"{len(found)} reviewed pairs ({ones} one person, {len(found) - ones} not); at least"
            f" {reviewed.LABELS_MIN} are needed, {reviewed.LABELS_OF_A_KIND_MIN} of either kind",
            NO,
        )
    done = reviewed.calibrated(before, found)
    async with transaction(service.engine, SYSTEM, request_id=request_id) as conn:
        await models.store(conn, done.model, actor_id=SYSTEM.actor_id, at=clock.now())
    told = {
        "model_id": done.model.model_id,
        "calibration": msgspec.to_builtins(done.model.content.calibration),
        "labels": done.labels,
        "error_before": round(done.error_before, 5),
        "error_after": round(done.error_after, 5),
    }
    if as_json:
        click.echo(msgspec.json.encode(told).decode())
        return 0
    show([told], as_json=False, title="calibrated, on the very pairs that the error is told of")
    return 0


@click.group("model")
def model() -> None:
    """List, show and take into use the models that weigh pairs of persons."""


@model.command("list")
@as_json
@command
async def model_list(run: Run, *, as_json: bool) -> int:
    """List the models, newest first; one comes with the program."""
    async with transaction(run.service.engine, SYSTEM, request_id="cli") as conn:
        found = await models.list_models(conn)
    rows = [msgspec.structs.asdict(one) for one in found]
    if not as_json:
        rows = [
            {
                "model": one.model_id,
                "stored": f"{one.added_at:%Y-%m-%d %H:%M}" if one.added_at else "with the program",
                "taken into use": f"{one.activated_at:%Y-%m-%d %H:%M}" if one.activated_at else "",
                "in use": "yes" if one.is_active else "",
            }
            for one in found
        ]
    show(rows, as_json=as_json, title="models")
    return 0


@model.command("show")
@click.argument("model_id", required=False)
@as_json
@command
async def model_show(run: Run, *, model_id: str | None, as_json: bool) -> int:
    """Show what each level of agreement weighs, in bits; without MODEL_ID of the one in use.

    "bits": one person against strangers. "against kin": one person against brothers, sisters,
    twins, parents and children. Each bit doubles the odds.
    """
    async with transaction(run.service.engine, SYSTEM, request_id="cli") as conn:
        found = await models.load(conn, model_id or await models.active_id(conn))
        history = [one for one in await models.history(conn) if one.model_id == found.model_id]
    if as_json:
        click.echo(encode(found).decode())
        return 0
    _show(found)
    for one in history:
        CONSOLE.print(f"in use since {one.since:%Y-%m-%d %H:%M}: {one.reason}", markup=False)
    return 0


@model.command("activate")
@click.argument("model_id")
@click.option("--reason", required=True, help="Why; it stays in the history. Name nobody.")
@as_json
@command
async def model_activate(run: Run, *, model_id: str, reason: str, as_json: bool) -> int:
    """Take a model into use, and weigh all undecided cases anew under it.

    Decisions stay as they are. The running service follows within a second. The same again weighs
    what is left.
    """
    service = run.service
    if not reason.strip():
        leave("--reason must say why", WRONG_USE)
    async with rematch.turn(service):
        async with transaction(service.engine, SYSTEM, request_id="cli") as conn:
            wanted = await models.load(conn, model_id)
            if wanted.model_id != await models.active_id(conn):
                await models.activate(
                    conn, wanted, reason=reason, actor_id=SYSTEM.actor_id, at=clock.now()
                )
        with STDERR.status("weighing cases anew"):
            reweighed, left = await reweigh.reweigh(service, wanted)
            # What was being registered meanwhile was still weighed by the model before.
            await asyncio.sleep(2 * FOLLOW_SECONDS)
            more, left = await reweigh.reweigh(service, wanted)
    if as_json:
        told = {"model_id": wanted.model_id, "cases_weighed": reweighed + more, "cases_left": left}
        click.echo(msgspec.json.encode(told).decode())
        return 0
    CONSOLE.print(f"{wanted.model_id} is in use; {reweighed + more:,} cases were weighed anew")
    if left:
        STDERR.print(f"{left:,} cases stay as they were: a household withdrew or was erased")
    return 0


def _show(model: Model) -> None:
    content = model.content
    table = Table(title=f"model {model.model_id}", title_justify="left")
    for column in ("field", "level", "one person", "kin", "strangers", "bits", "against kin"):
        table.add_column(column, justify="left" if column in ("field", "level") else "right")
    for evidence in model.evidence:
        # Best level first; what is missing weighs nothing.
        for at, one in enumerate(reversed(evidence[1:])):
            rates = content.fields[one.field][one.level]
            table.add_row(
                one.field if at == 0 else "",
                one.level,
                *(_rate(rate) for rate in (rates.m, rates.kin, rates.u)),
                f"{one.bits:+.1f}",
                f"{one.kin_bits:+.1f}",
                end_section=at == len(evidence) - 2,
            )
    CONSOLE.print(table)
    calibration = content.calibration
    lines = [
        f"to people from {model.review_bits:g} bits, strong from {model.strong_bits:g} bits",
        f"of all pairs {content.prior_match:.2g} are one person, {content.prior_kin:.2g} kin",
        f"calibration: slope {calibration.slope:g}, intercept {calibration.intercept:g}",
        *(
            f"{name}: {len(found.words):,} words counted, {found.chance:.2g} of strangers share one"
            for name, found in content.frequencies.items()
        ),
        f"note: {content.note}",
    ]
    for line in lines:
        CONSOLE.print(line, markup=False)


def _rate(rate: float) -> str:
    return f"{rate:.3f}" if rate >= 0.001 else f"{rate:.1e}"
