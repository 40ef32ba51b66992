"""`cbi demo`: the example journey from registration to reconciliation."""

from collections.abc import Mapping

import httpx
import msgspec
import rich_click as click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from api import app
from api.demo import stage
from api.demo.play import Outcome
from api.demo.stage import AlreadySetUp
from api.terminal import CONSOLE, NO, STDERR, WRONG_USE, Run, as_json, command, leave
from ledger.money import Money


@click.command()
@click.option("--once", is_flag=True, help="Do nothing when it was played to its end before.")
@click.option(
    "--households",
    type=click.IntRange(30, 5_000),
    default=stage.HOUSEHOLDS,
    show_default=True,
    help="How many households the three made-up partners register.",
)
@as_json
@command
async def demo(run: Run, *, once: bool, households: int, as_json: bool) -> int:
    """Play the example: three made-up partners, 600 households, one round each.

    They register from a KoboToolbox export, a spreadsheet and JSON; two reviewers judge each
    match; rounds are signed by four people, paid through a mock bank and reconciled. Broken off,
    it goes on where it was.
    """
    if run.service.settings.env == "production":
        leave("the example is not for production", WRONG_USE)
    try:
        state = await stage.set_up(run.service, households=households)
    except AlreadySetUp:
        leave("this database holds the example of another folder or version: make clean", WRONG_USE)
    outcome = state.outcome
    if outcome is None or not once:
        outcome = await _play(run, state)
    attacks = await stage.attack(_urls(run))
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(outcome)).decode())
    else:
        CONSOLE.print(_table(outcome))
        for attempt, ending in attacks.items():
            CONSOLE.print(f"  {attempt:<20} {ending}")
    return 0 if _ties(outcome) and not any("NOT" in end for end in attacks.values()) else NO


async def _play(run: Run, state: stage.State) -> Outcome:
    service = run.service
    served = app.make_app(service)
    with Progress(
        TextColumn("{task.description:<14}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=STDERR,
    ) as progress:
        tasks = {
            step: progress.add_task(step, total=None)
            for step in ("register", "adjudicate", "enrol", "sign and send", "reconcile", "verify")
        }

        def tell(step: str, done: int, total: int) -> None:
            progress.update(tasks[step], completed=done, total=total)

        # The same calls over HTTP as from outside, without a port.
        transport = httpx.ASGITransport(app=served)  # type: ignore[arg-type]
        async with (
            served.lifespan(),
            httpx.AsyncClient(transport=transport, base_url="http://cbi") as client,
        ):
            return await stage.perform(service.settings.data_dir, client, state, tell)


def _urls(run: Run) -> dict[str, str]:
    urls = {"service": run.host.app_url}
    if run.host.owner_url:
        urls["owner"] = run.host.owner_url
    return urls


def _ties(outcome: Outcome) -> bool:
    settled = outcome.delivered + outcome.rejected + outcome.returned + outcome.pending
    return (
        outcome.ledger_verified
        and outcome.reports_tie
        and outcome.ledger_debits_minor == outcome.ledger_credits_minor
        and outcome.instructed == settled
    )


def _table(outcome: Outcome) -> Table:
    table = Table(title="the example journey", title_justify="left", show_header=False)
    debits = Money(amount_minor=outcome.ledger_debits_minor, currency="PEN")
    found = f"{outcome.pairs_found} of {outcome.pairs_true} true pairs"
    endings = " + ".join(
        f"{getattr(outcome, ending)} {ending}"
        for ending in ("delivered", "rejected", "returned", "pending")
    )
    rows = (
        ("registered", f"{outcome.households} households, {outcome.persons} persons"),
        ("duplicates", f"{found} found, {outcome.pairs_false} false"),
        ("cases", f"{outcome.cases}, of which {outcome.cases_open} left open"),
        ("enrolled", f"{outcome.enrolled} households; refused: {_told(outcome.refused)}"),
        ("payments", f"{outcome.instructed} instructed = {endings}"),
        ("four eyes", _told(outcome.four_eyes)),
        ("breaks open", str(outcome.breaks_open)),
        ("reports", "tie to zero" if outcome.reports_tie else "DO NOT TIE"),
        ("ledger", f"PEN {debits} debit = credit; whole: {outcome.ledger_verified}"),
        ("time", f"{outcome.seconds} s"),
    )
    for row in rows:
        table.add_row(*row)
    return table


def _told(refusals: Mapping[str, object]) -> str:
    return "; ".join(f"{what}: {how}" for what, how in refusals.items())
