"""The files that a log's operator and its witnesses exchange in a folder."""

import re
from pathlib import Path

_CHECKPOINT = re.compile(r"checkpoint-([0-9]{1,18})\.txt")


def checkpoint_file(folder: Path, size: int) -> Path:
    return folder / f"checkpoint-{size}.txt"


def consistency_file(folder: Path, old_size: int, new_size: int) -> Path:
    return folder / f"consistency-{old_size}-{new_size}.json"


def sizes_in(folder: Path) -> list[int]:
    """Return the sizes of the checkpoints in a folder, in order."""
    found = (_CHECKPOINT.fullmatch(path.name) for path in folder.iterdir())
    return sorted(int(match[1]) for match in found if match)
