"""`cbi dedup run`: compare everybody with everybody."""

import importlib.util

import msgspec
import rich_click as click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from api import rematch
from api.commands.machine import cores, peak_rss_mb, workers
from api.db import SYSTEM, transaction
from api.rematch import MATCHER, Ended, Going
from api.terminal import (
    CONSOLE,
    NO,
    STDERR,
    UNREACHABLE,
    WRONG_USE,
    Run,
    as_json,
    command,
    leave,
)
from cbi import partners
from dedup import runs

PHASES = {"reading": "households read", "matching": "matching", "opening": "pairs to people"}


@click.command("run")
@click.option(
    "--engine",
    type=click.Choice(["local", "spark"]),
    help="local (the default): this machine. spark: a cluster (extra `cbi[spark]`).",
)
@click.option(
    "--master", default="", help="Address of the Spark cluster, such as spark://host:7077."
)
@click.option(
    "--partners",
    "codes",
    multiple=True,
    metavar="CODE",
    help="Only pairs of which one side is registered by this organisation; may repeat.",
)
@click.option("--resume", is_flag=True, help="Go on with the last run, which was killed or failed.")
@workers
@as_json
@command
async def run(
    run: Run,
    *,
    engine: runs.Engine | None,
    master: str,
    codes: tuple[str, ...],
    resume: bool,
    processes: int | None,
    as_json: bool,
) -> int:
    """Compare everybody who agreed to the duplicate check with everybody, and open cases.

    Pairs that are known under the model in use stay as they are, and so do decisions whose
    evidence is the same. One run goes at a time; `GET /v1/dedup/runs` shows how far it is.
    """
    service = run.service
    if resume and (codes or engine):
        leave("--resume goes on with what that run was told: no --partners, no --engine", WRONG_USE)
    if not resume:
        _check_engine(engine or "local", master)
    async with rematch.turn(service):
        async with transaction(service.engine, SYSTEM, request_id="cli") as conn:
            await service.model.follow(conn, at_once=True)
            found = {code: await partners.find(conn, code) for code in codes}
        partner_ids = [one for one in found.values() if one is not None]
        if len(partner_ids) < len(found):
            leave(f"no partner {next(code for code in found if found[code] is None)}", WRONG_USE)
        wanted = (
            await _unfinished(run)
            if resume
            else await rematch.start(service, engine=engine or "local", partner_ids=partner_ids)
        )
        _check_engine(wanted.engine, master)
        with _progress() as bar:
            task = bar.add_task("", total=None)

            def told(progress: runs.Progress) -> None:
                if progress.phase not in PHASES:
                    return
                bar.update(
                    task,
                    description=PHASES[progress.phase],
                    completed=progress.done,
                    total=progress.total or None,
                )

            going = Going(service, wanted, processes=processes or cores(), told=told)
            try:
                ended = await going.go(master=master)
            except rematch.SparkFailed as error:
                leave(f"Spark failed ({error}); see its own log, then: --resume", UNREACHABLE)
    _tell(wanted, ended, as_json=as_json)
    # Who could not be compared was not found to be nobody.
    return NO if ended.broken_count else 0


def _check_engine(engine: runs.Engine, master: str) -> None:
    if engine == "spark" and importlib.util.find_spec("pyspark") is None:
        leave("--engine spark needs PySpark: pip install 'cbi[spark]'", WRONG_USE)
    if (engine == "spark") != bool(master):
        leave("--master goes with --engine spark, and only with it", WRONG_USE)


async def _unfinished(run: Run) -> runs.Run:
    async with transaction(run.service.engine, MATCHER, request_id="cli") as conn:
        found = await runs.unfinished(conn)
    if found is None:
        leave("no run was killed or failed: start one without --resume", NO)
    if found.model_id != run.service.model.current.model_id:
        leave("another model is in use since: start a new run without --resume", NO)
    return found


def _tell(run: runs.Run, ended: Ended, *, as_json: bool) -> None:
    both = {
        "run_id": str(run.run_id),
        "model_id": run.model_id,
        "engine": run.engine,
        **msgspec.to_builtins(ended),
        "peak_rss_mb": peak_rss_mb(),
    }
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(both)).decode())
        return
    table = Table(title=f"run {run.run_id}", title_justify="left", show_header=False)
    table.add_column()
    table.add_column(justify="right")
    for name, what in (
        ("households", "households"),
        ("persons", "persons"),
        ("candidates", "pairs of persons that share a key"),
        ("pairs", "pairs of persons for people to see"),
        ("opened", "pairs of households: new cases"),
        ("reopened", "decided cases opened anew"),
        ("strengthened", "open cases with more evidence"),
        ("unchanged", "known already"),
    ):
        table.add_row(what, f"{both[name]:,}")
    table.add_row("seconds", f"{sum(ended.seconds.values()):,.1f}")
    CONSOLE.print(table)
    if ended.unread:
        STDERR.print(f"{ended.unread:,} households were not compared: no consent, or erased")
    if ended.broken_count:
        named = " ".join(map(str, ended.broken))
        STDERR.print(
            f"[red]{ended.broken_count:,} households don't open and were not compared[/red]:"
            f" {named}",
            soft_wrap=True,
        )
    if ended.twice:
        STDERR.print(f"{ended.twice:,} pairs within one registration seem to be one person")
    for name, count in sorted(ended.crowds.items()):
        STDERR.print(f"{count:,} persons were not searched by {name}: a crowd shares it")


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=STDERR,
    )
