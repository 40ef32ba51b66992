"""`cbi dedup`: duplicates in bulk. Each command stands in a file of its own."""

import rich_click as click

from api.commands.evaluate import evaluate


@click.group()
def dedup() -> None:
    """Find duplicates in bulk, and measure how well they are found."""


dedup.add_command(evaluate)
