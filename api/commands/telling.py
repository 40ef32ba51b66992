"""What commands about imported files share: which rows are meant, and how a file stands."""

import os
from pathlib import Path

import rich_click as click

from api.terminal import CONSOLE, WRONG_USE, leave
from cbi.imported import RowFault, Standing, numbers_of
from cbi.intake.annotate import Language

of_language = click.option(
    "--language",
    type=click.Choice(["es", "en"]),
    default="es",
    show_default=True,
    help="Tell faults and remedies in Spanish or in English.",
)


def chosen(rows: str | None) -> list[int] | None:
    """Return the rows that an option names; leave the program for what names none."""
    if rows is None:
        return None
    try:
        return numbers_of(rows)
    except ValueError:
        leave("--rows wants numbers and ranges, like 3,7-12", WRONG_USE)


def write(target: Path, content: bytes) -> None:
    """Write a file that names people: for nobody else on this machine to read."""
    with os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as file:
        os.fchmod(file.fileno(), 0o600)
        file.truncate()
        file.write(content)


def says(fault: RowFault, language: Language) -> str:
    """Return what is wrong and what to do about it."""
    told, remedy = getattr(fault, language), getattr(fault, f"remedy_{language}")
    return f"{told} {remedy}".strip()


def tell(standing: Standing) -> None:
    """Print a file's standing in two lines."""
    CONSOLE.print(f"import {standing.import_id}: {standing.state}")
    CONSOLE.print(
        f"{standing.households} households: {standing.clear} clear, {standing.review} to review,"
        f" {standing.faulty} faulty, {standing.waiting} not checked yet; {standing.registered}"
        f" registered, {standing.known} known before, {standing.changed} changed,"
        f" {standing.refused} refused"
    )
