"""`cbi dedup`: duplicates in bulk. Each command stands in a file of its own."""

import rich_click as click

from api.commands.dedup_model import calibrate, model, train
from api.commands.dedup_run import run
from api.commands.evaluate import evaluate


@click.group()
def dedup() -> None:
    """Find duplicates in bulk, and measure how well they are found."""


for each in (evaluate, train, calibrate, model, run):
    dedup.add_command(each)
