"""How long each part of a bench took, and how much memory it needed at most."""

import asyncio
import multiprocessing
import resource
import time
from pathlib import Path

WATCHED_EVERY_SECONDS = 0.05


class Laps:
    """How long each part took, and how much memory this process and its readers took at most.

    Not `ru_maxrss`: Linux hands that of the starting process down to what it starts.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()
        self._readers: dict[int, int] = {}
        self._watch = asyncio.get_running_loop().create_task(self._watched())

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.seconds[name] = round(now - self._last, 2)
        self._last = now
        self.peak()

    def peak(self, *_: object) -> None:
        """Look how high the readers' marks stand that live now."""
        for child in multiprocessing.active_children():
            if child.pid is not None and (mark := high_water_kb(child.pid)):
                self._readers[child.pid] = mark

    def told(self) -> dict[str, object]:
        self._watch.cancel()
        own = resource.getrusage(resource.RUSAGE_SELF)
        aside = resource.getrusage(resource.RUSAGE_CHILDREN)
        service_mb = high_water_kb("self") / 1024
        reader_mb = max(self._readers.values(), default=0) / 1024
        return {
            "total_s": round(sum(self.seconds.values()), 2),
            **self.seconds,
            # What a busy machine can't stretch; the database's share is not among it.
            "cpu_service_s": round(own.ru_utime + own.ru_stime, 2),
            "cpu_reader_s": round(aside.ru_utime + aside.ru_stime, 2),
            "rss_service_mb": round(service_mb),
            "rss_reader_mb": round(reader_mb),
            "peak_rss_mb": round(service_mb + reader_mb),
        }

    async def _watched(self) -> None:
        while True:
            self.peak()
            await asyncio.sleep(WATCHED_EVERY_SECONDS)


def high_water_kb(process: int | str) -> int:
    """The most memory a process ever held; 0 of one that is gone."""
    try:
        lines = Path(f"/proc/{process}/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("VmHWM:")), 0)
