"""Names as the made-up families of the benchmark bear them, with plausible frequencies.

Frequencies follow a Zipf–Mandelbrot law: the commonest surname takes about four of a hundred, and
the tail is long. The tail is composed of syllables, always the same way, so that a seed of the
population changes who is called what but not which names there are.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.object_]
Ints = NDArray[np.int64]

SOURCE = Path(__file__).with_name("names.json")
COMPOSED = {"women": 1500, "men": 1300, "surnames": 2600}
# A few names head the list by more than the law gives them.
FAVOURED = {"María": 2.5, "José": 2.5, "Luis": 1.3, "González": 1.15, "Rodríguez": 1.15}


@dataclass(frozen=True)
class Pool:
    """Words with the probability of each; words that begin alike stand together."""

    words: Words
    cumulative: NDArray[np.float64]
    group_start: Ints
    group_size: Ints

    def draw(self, rng: np.random.Generator, count: int) -> Ints:
        """Indices of `count` words, drawn by frequency."""
        places = np.searchsorted(self.cumulative, rng.random(count), side="right")
        return np.minimum(places, len(self.words) - 1)

    def draw_alike(self, rng: np.random.Generator, places: Ints) -> Ints:
        """For each index, that of some word with the same beginning (perhaps the same word)."""
        within = (rng.random(len(places)) * self.group_size[places]).astype(np.int64)
        return self.group_start[places] + within


def pool(words: Iterable[str], beginning: int = 2) -> Pool:
    """A pool of words given by falling frequency."""
    ranked = list(dict.fromkeys(words))
    weights = 1 / (np.arange(len(ranked)) + 4.0)
    weights *= [FAVOURED.get(word, 1) for word in ranked]
    order = sorted(range(len(ranked)), key=lambda place: ranked[place])
    arranged = np.array([ranked[place] for place in order], dtype=object)
    sizes = weights[order]
    beginnings = np.array([word[:beginning] for word in arranged])
    _, group, counts = np.unique(beginnings, return_inverse=True, return_counts=True)
    starts = np.concatenate(([0], np.cumsum(counts)[:-1]))
    return Pool(arranged, np.cumsum(sizes / sizes.sum()), starts[group], counts[group])


@dataclass(frozen=True)
class Names:
    """Pools of given names by sex ("F", "M") and of surnames, and ways to write them."""

    grown: dict[str, Pool]
    young: dict[str, Pool]
    second: dict[str, Pool]
    surnames: Pool
    spellings: dict[str, tuple[str, ...]]
    familiar: dict[str, tuple[str, ...]]
    districts: tuple[str, ...]


@cache
def names() -> Names:
    """All names; read once."""
    source = json.loads(SOURCE.read_text(encoding="utf-8"))
    women = [*_list(source["women_grown"]), *_composed(source, "women")]
    men = [*_list(source["men_grown"]), *_composed(source, "men")]
    surnames = _list(source["surnames"])
    # Names with particles stand behind the common surnames, before the rare ones.
    surnames[300:300] = source["particled"]
    groups = [line.split() for line in source["spellings"]]
    familiar = (line.split(":") for line in source["familiar"])
    return Names(
        grown={"F": pool(women), "M": pool(men)},
        young={
            "F": pool([*_list(source["women_young"]), *women]),
            "M": pool([*_list(source["men_young"]), *men]),
        },
        second={
            "F": pool([*_list(source["women_second"], "|"), *women[:900]]),
            "M": pool([*_list(source["men_second"], "|"), *men[:800]]),
        },
        surnames=pool([*surnames, *_composed(source, "surnames")], beginning=3),
        spellings={
            word: tuple(g for g in group if g != word) for group in groups for word in group
        },
        familiar={name: tuple(forms.split(",")) for name, forms in familiar},
        districts=tuple(_list(source["districts"])),
    )


def _list(lines: list[str], separator: str = " ") -> list[str]:
    return separator.join(lines).split(separator)


def _composed(source: dict[str, Any], kind: str) -> list[str]:
    """Names made of syllables, in an order of their own."""
    made = ["".join(parts) for parts in product(*source["parts"][kind])]
    order = np.random.default_rng(len(made)).permutation(len(made))
    return [made[place] for place in order[: COMPOSED[kind]]]
