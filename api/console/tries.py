"""Failed sign-ins are counted by where they come from; who failed too often waits.

A key's secret has 256 bits and isn't guessed: this keeps the guessing from being work for us.
"""

from collections import OrderedDict, deque

FAILED_MAX = 10
WITHIN_SECONDS = 300.0
ADDRESSES_MAX = 10_000


class Tries:
    """The last failures of each address, of this process."""

    def __init__(self) -> None:
        self._failed: OrderedDict[str, deque[float]] = OrderedDict()

    def seconds_to_wait(self, address: str, *, at: float) -> int:
        """Return 0, or in how many seconds this address may try again."""
        failed = self._failed.get(address, deque[float]())
        while failed and failed[0] <= at - WITHIN_SECONDS:
            failed.popleft()
        if len(failed) < FAILED_MAX:
            return 0
        return int(failed[0] + WITHIN_SECONDS - at) + 1

    def note(self, address: str, *, at: float) -> None:
        """Count a failure."""
        failed = self._failed.setdefault(address, deque(maxlen=FAILED_MAX))
        failed.append(at)
        self._failed.move_to_end(address)
        if len(self._failed) > ADDRESSES_MAX:
            self._failed.popitem(last=False)

    def forget(self, address: str) -> None:
        self._failed.pop(address, None)
