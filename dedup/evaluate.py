"""How good found pairs are against the known truth."""

from collections.abc import Iterable
from uuid import UUID

import msgspec


class Quality(msgspec.Struct, frozen=True, kw_only=True):
    """Counts of unordered pairs, and what follows from them."""

    pairs_true: int
    pairs_found: int
    pairs_right: int

    @property
    def precision(self) -> float:
        """The share of found pairs that are right; 1 when none was found."""
        return self.pairs_right / self.pairs_found if self.pairs_found else 1.0

    @property
    def recall(self) -> float:
        """The share of true pairs that were found; 1 when there is none."""
        return self.pairs_right / self.pairs_true if self.pairs_true else 1.0

    @property
    def f1(self) -> float:
        """The harmonic mean of precision and recall."""
        both = self.precision + self.recall
        return 2 * self.precision * self.recall / both if both else 0.0


def evaluate(found: Iterable[tuple[UUID, UUID]], truth: Iterable[tuple[UUID, UUID]]) -> Quality:
    """Compare found pairs with true ones; (a, b) and (b, a) are one pair."""
    found_pairs = {tuple(sorted(pair)) for pair in found}
    true_pairs = {tuple(sorted(pair)) for pair in truth}
    return Quality(
        pairs_true=len(true_pairs),
        pairs_found=len(found_pairs),
        pairs_right=len(found_pairs & true_pairs),
    )
