"""What this machine has, and what a command took of it."""

import os
import resource
import sys

import rich_click as click

workers = click.option(
    "--processes", type=click.IntRange(1, 256), help="How many to use. Default: one per core."
)


def cores() -> int:
    """Return how many processor cores this process may use."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def peak_rss_mb() -> float:
    """Return what the program and its largest worker took at most.

    Pages that the two share are counted twice, so that the truth is rather less.
    """
    unit = 1024**2 if sys.platform == "darwin" else 1024
    peaks = (
        resource.getrusage(whose).ru_maxrss
        for whose in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return round(sum(peaks) / unit, 1)
