"""Rows that are written once and read as often as wanted, in memory while they are few."""

import tempfile
import weakref
from collections.abc import Iterator

import msgspec

# A row is some hundred bytes: a report of thousands of lines stays in memory, one of a million
# goes to a file that has no name and is gone with the program.
MEMORY_BYTES = 4 * 2**20
Cell = str | int | None
Row = tuple[Cell, ...]
_READER = msgspec.json.Decoder(tuple[Cell, ...])


class Spool:
    """A list of rows of any length; one reader at a time."""

    def __init__(self, *, memory_bytes: int = MEMORY_BYTES) -> None:
        self._file = tempfile.SpooledTemporaryFile(max_size=memory_bytes)  # noqa: SIM115 -- lives on
        weakref.finalize(self, self._file.close)
        self._count = 0

    def add(self, row: Row) -> None:
        """Append a row, which must not happen while somebody reads."""
        self._file.write(msgspec.json.encode(row) + b"\n")
        self._count += 1

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Row]:
        self._file.seek(0)
        for line in self._file:
            yield _READER.decode(line)
