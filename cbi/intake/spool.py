"""Lines of a sheet as they were read once, packed in memory: read again without its XML."""

import zlib
from collections.abc import Callable, Iterator

import msgspec

from cbi.intake.source import PIECE_BYTES
from cbi.intake.table import Line

# A text that many cells share takes its room in each of them here: then the XML is read again.
CHARACTERS_MAX = 256 * 1024 * 1024
LINE_CHARACTERS_MAX = 1024 * 1024
# The quickest: names and dates fold well at any level.
_LEVEL = 1
_LINES = msgspec.msgpack.Decoder(list[Line])


class Spool:
    """Gives the same lines as `read` each time; once they were all read, from what it kept."""

    def __init__(self, read: Callable[[], Iterator[Line]]) -> None:
        self._read = read
        self._packed: list[bytes] | None = None

    def __call__(self) -> Iterator[Line]:
        return self._kept(self._read()) if self._packed is None else self._again(self._packed)

    def _kept(self, lines: Iterator[Line]) -> Iterator[Line]:
        packed: list[bytes] = []
        batch: list[Line] = []
        held = whole = 0
        for line in lines:
            size = sum(map(len, line.cells))
            whole += size if size <= LINE_CHARACTERS_MAX else CHARACTERS_MAX + 1
            if whole <= CHARACTERS_MAX:
                batch.append(line)
                held += size
                if held > PIECE_BYTES:
                    packed.append(_pack(batch))
                    batch, held = [], 0
            else:
                packed, batch = [], []
            yield line
        if whole <= CHARACTERS_MAX:
            self._packed = [*packed, _pack(batch)]

    @staticmethod
    def _again(packed: list[bytes]) -> Iterator[Line]:
        for piece in packed:
            yield from _LINES.decode(zlib.decompress(piece))


def _pack(lines: list[Line]) -> bytes:
    return zlib.compress(msgspec.msgpack.encode(lines), _LEVEL)
