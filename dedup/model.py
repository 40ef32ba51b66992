"""What each level of agreement weighs: one versioned table, with three classes of pairs.

A pair is one person (m), kin, or strangers (u). Kin are a class of their own because brothers,
sisters and twins share surnames, phone and place: two classes would take them for one person.
"""

from collections.abc import Callable, Mapping
from functools import cache
from hashlib import sha256
from math import exp, isclose, log, log2
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from dedup.compare import FIELDS, LEVELS, MISSING

Rate = Annotated[float, msgspec.Meta(gt=0, lt=1)]
Strength = Literal["strong", "possible", "weak"]
# Whose words are counted for which field.
RARITY = {
    "given1": "given",
    "given2": "given",
    "surname1": "surname",
    "surname2": "surname",
    "place": "place",
}
RARITY_LEVEL = {"given": "exact", "surname": "exact", "place": "district"}
# A word can't be rarer, or more common, than the data could tell.
RARITY_BITS = (-6.0, 8.0)
LOGIT_MAX = 500.0


class Level(msgspec.Struct, frozen=True, array_like=True, omit_defaults=True):
    """How often a level occurs in pairs of one person, of kin, and of strangers.

    `twin` is for kin born on one day, where it is known to differ: twins are called alike, and
    their papers are numbered one after the other.
    """

    m: Rate
    kin: Rate
    u: Rate
    twin: Rate | None = None


class Frequencies(msgspec.Struct, frozen=True, kw_only=True):
    """How often common words occur, as shares of all; words that few people bear are left out.

    `chance` is how often two strangers have the same word, `rare` the share of a word that
    isn't listed.
    """

    chance: Rate
    rare: Rate
    words: dict[str, Rate] = {}


class Calibration(msgspec.Struct, frozen=True, kw_only=True):
    """Platt scaling: what is done to the log-odds so that probabilities mean what they say."""

    slope: Annotated[float, msgspec.Meta(gt=0)] = 1.0
    intercept: float = 0.0


class FieldEvidence(msgspec.Struct, frozen=True, kw_only=True):
    """What one field says: its level, and bits for "one person" against strangers and kin."""

    field: str
    level: str
    bits: float
    kin_bits: float


class Content(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A model as it is written down."""

    note: str
    prior_match: Rate
    prior_kin: Annotated[float, msgspec.Meta(ge=0, lt=1)]
    review_bits: float
    strong_bits: float
    fields: dict[str, dict[str, Level]]
    frequencies: dict[str, Frequencies] = {}
    calibration: Calibration = Calibration()


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """One version of the weights. `evidence[i][code]` belongs to level `code` of FIELDS[i].

    `twin_evidence` is the same for two whose birth dates agree exactly. `rarity[i]` gives bits to
    add for a word that agrees exactly in FIELDS[i], `rare_bits[i]` those for a word it doesn't
    list. `kin_share` is the share of kin in pairs that aren't one person.
    """

    model_id: str
    content: Content
    kin_share: float
    evidence: tuple[tuple[FieldEvidence, ...], ...]
    twin_evidence: tuple[tuple[FieldEvidence, ...], ...]
    rarity: tuple[Mapping[str, float], ...]
    rare_bits: tuple[float, ...]

    @property
    def review_bits(self) -> float:
        """From here on people should look at a pair."""
        return self.content.review_bits

    @property
    def strong_bits(self) -> float:
        """From here on a pair is called strong: it is flagged and held, never decided."""
        return self.content.strong_bits

    @property
    def prior_bits(self) -> float:
        """The log-odds, in bits, that two persons taken at random are one."""
        return log2(self.content.prior_match / (1 - self.content.prior_match))

    def strength(self, weight_bits: float) -> Strength:
        """Say in a word how strong a weight is under this model's thresholds."""
        if weight_bits >= self.strong_bits:
            return "strong"
        return "possible" if weight_bits >= self.review_bits else "weak"

    def probability(self, weight_bits: float) -> float:
        """Return the calibrated probability that a pair of this weight is one person."""
        logit = self.logit(weight_bits)
        return 1 / (1 + exp(-max(-LOGIT_MAX, min(LOGIT_MAX, logit))))

    def logit(self, weight_bits: float) -> float:
        """Return the calibrated log-odds, natural, of a weight."""
        calibration = self.content.calibration
        raw = (weight_bits + self.prior_bits) * log(2)
        return calibration.slope * raw + calibration.intercept

    def bits_of(self, logit: float) -> float:
        """Return the weight whose calibrated log-odds are these: the inverse of `logit`."""
        calibration = self.content.calibration
        return (logit - calibration.intercept) / calibration.slope / log(2) - self.prior_bits


def parse(content: bytes) -> Model:
    """Read a model; its id is a digest of what it says, so that two contents never share one.

    Raises msgspec.ValidationError for a broken file, ValueError when a field's rates don't add
    up to one, or a field or level is missing.
    """
    return build(msgspec.json.decode(content, type=Content))


def build(content: Content) -> Model:
    """Make a model of its content; raises ValueError as `parse` does."""
    if set(content.fields) != set(FIELDS):
        raise ValueError(f"a model needs exactly the fields {FIELDS}")
    for field, levels in content.fields.items():
        if set(levels) != set(LEVELS[field]) - {MISSING}:
            raise ValueError(f"{field} needs exactly the levels {LEVELS[field][1:]}")
        for rates in zip(
            *((one.m, one.kin, one.u, _twin(one)) for one in levels.values()), strict=True
        ):
            if not isclose(sum(rates), 1, abs_tol=1e-6):
                raise ValueError(f"the rates of {field} add up to {sum(rates)}")
    if unknown := set(content.frequencies) - set(RARITY_LEVEL):
        raise ValueError(f"frequencies are known for {sorted(RARITY_LEVEL)}, not {sorted(unknown)}")
    digest = sha256(msgspec.json.encode(content, order="sorted")).hexdigest()
    counted = [content.frequencies.get(RARITY.get(field, "")) for field in FIELDS]
    return Model(
        model_id=f"v2-{digest[:12]}",
        content=content,
        kin_share=content.prior_kin / (1 - content.prior_match),
        evidence=tuple(_evidence(field, content.fields[field], _kin) for field in FIELDS),
        twin_evidence=tuple(_evidence(field, content.fields[field], _twin) for field in FIELDS),
        rarity=tuple(
            {word: _rarity(found, share) for word, share in found.words.items()} if found else {}
            for found in counted
        ),
        rare_bits=tuple(_rarity(found, found.rare) if found else 0.0 for found in counted),
    )


def encode(model: Model) -> bytes:
    """Write a model down, for people to read and `parse` to read back."""
    return msgspec.json.format(msgspec.json.encode(model.content, order="sorted"), indent=1) + b"\n"


@cache
def load() -> Model:
    """Return the model that comes with the program; docs/matching.md says what it learned from."""
    return parse(Path(__file__).with_name("model_v2.json").read_bytes())


def _rarity(found: Frequencies, share: float) -> float:
    low, high = RARITY_BITS
    return max(low, min(high, log2(found.chance / share)))


def _kin(level: Level) -> float:
    return level.kin


def _twin(level: Level) -> float:
    return level.kin if level.twin is None else level.twin


def _evidence(
    field: str, levels: dict[str, Level], kin: Callable[[Level], float]
) -> tuple[FieldEvidence, ...]:
    missing = FieldEvidence(field=field, level=MISSING, bits=0.0, kin_bits=0.0)
    return (
        missing,
        *(
            FieldEvidence(
                field=field,
                level=name,
                bits=log2(levels[name].m / levels[name].u),
                kin_bits=log2(levels[name].m / kin(levels[name])),
            )
            for name in LEVELS[field][1:]
        ),
    )
