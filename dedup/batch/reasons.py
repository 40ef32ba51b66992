"""The reasons of a few chosen pairs, out of the millions that only their weight was needed of."""

from collections.abc import Iterator

from dedup.batch import levels
from dedup.batch.columns import Columns, Ints
from dedup.batch.words import Codes
from dedup.compare import FIELDS, Compared
from dedup.model import Model
from dedup.score import Score, explained

_HOUSEHOLD = FIELDS.index("household")


def scores(columns: Columns, a: Ints, b: Ints, household: Codes, model: Model) -> Iterator[Score]:
    """Give the score of each pair of rows, as `dedup.score` would; `household` as was matched."""
    compared = levels.compare(columns, a, b)
    codes = compared.codes
    codes[:, _HOUSEHOLD] = household
    # The last place stands for -1, "none".
    texts, places = [*columns.vocabulary.texts, ""], [*columns.places, ""]
    for code, words, place in zip(
        codes.tolist(), compared.words.tolist(), compared.place.tolist(), strict=True
    ):
        first, second, third, fourth = (texts[word] for word in words)
        yield explained(Compared(tuple(code), (first, second, third, fourth)), places[place], model)
