"""What each level of agreement weighs: one versioned table, with three classes of pairs.

A pair is one person (m), kin, or strangers (u). Kin are a class of their own because brothers,
sisters and twins share surnames, phone and place: two classes would take them for one person.
"""

from functools import cache
from hashlib import sha256
from math import isclose, log2
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from dedup.compare import FIELDS, MISSING

Rate = Annotated[float, msgspec.Meta(gt=0, lt=1)]
Strength = Literal["strong", "possible", "weak"]


class Level(msgspec.Struct, frozen=True, array_like=True):
    """How often a level occurs in pairs of one person, of kin, and of strangers."""

    m: Rate
    kin: Rate
    u: Rate


class FieldEvidence(msgspec.Struct, frozen=True, kw_only=True):
    """What one field says: its level, and bits for "one person" against strangers and kin."""

    field: str
    level: str
    bits: float
    kin_bits: float


class _File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    note: str
    prior_match: Rate
    prior_kin: Rate
    review_bits: float
    strong_bits: float
    fields: dict[str, dict[str, Level]]


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """One version of the weights. `evidence[i][level]` belongs to field FIELDS[i]."""

    model_id: str
    note: str
    prior_match: float
    prior_kin: float
    review_bits: float
    strong_bits: float
    fields: dict[str, dict[str, Level]]
    evidence: tuple[dict[str, FieldEvidence], ...]

    def strength(self, weight_bits: float) -> Strength:
        """Say in a word how strong a weight is under this model's thresholds."""
        if weight_bits >= self.strong_bits:
            return "strong"
        return "possible" if weight_bits >= self.review_bits else "weak"


def parse(content: bytes) -> Model:
    """Read a model; its id is a digest of what it says, so that two contents never share one.

    Raises msgspec.ValidationError for a broken file, ValueError when a field's rates don't add
    up to one or a field is missing.
    """
    file = msgspec.json.decode(content, type=_File)
    if set(file.fields) != set(FIELDS):
        raise ValueError(f"a model needs exactly the fields {FIELDS}")
    for field, levels in file.fields.items():
        for rates in zip(
            *((level.m, level.kin, level.u) for level in levels.values()), strict=True
        ):
            if not isclose(sum(rates), 1, abs_tol=1e-6):
                raise ValueError(f"the rates of {field} add up to {sum(rates)}")
    digest = sha256(msgspec.json.encode(file, order="sorted")).hexdigest()
    return Model(
        model_id=f"v1-{digest[:12]}",
        note=file.note,
        prior_match=file.prior_match,
        prior_kin=file.prior_kin,
        review_bits=file.review_bits,
        strong_bits=file.strong_bits,
        fields=file.fields,
        evidence=tuple(_evidence(field, file.fields[field]) for field in FIELDS),
    )


@cache
def load() -> Model:
    """Return the model that comes with the program: expert values, not yet trained."""
    return parse(Path(__file__).with_name("model_v1.json").read_bytes())


def _evidence(field: str, levels: dict[str, Level]) -> dict[str, FieldEvidence]:
    found = {
        name: FieldEvidence(
            field=field,
            level=name,
            bits=round(log2(rate.m / rate.u), 6),
            kin_bits=round(log2(rate.m / rate.kin), 6),
        )
        for name, rate in levels.items()
    }
    found[MISSING] = FieldEvidence(field=field, level=MISSING, bits=0.0, kin_bits=0.0)
    return found
