"""Why a pair has its score: per field in bits, and in a few sentences, without any name or number.

A bit is a doubling: three bits for a field make "one person" eight times as likely as before,
against the rival that explains the pair best, kin or strangers.
"""

from collections.abc import Iterable, Sequence
from math import floor
from pathlib import Path
from typing import Literal

import msgspec

from dedup.compare import FIELDS, LEVELS, MISSING
from dedup.model import Calibration, FieldEvidence, Model, Strength
from dedup.score import Score, agreeing_fields, differing_fields

Language = Literal["es", "en"]
Rival = Literal["kin", "strangers"]
# Less than twice as likely is not worth a reader's attention.
TELLING_BITS_MIN = 1.0
RARITY_BITS_MIN = 2.0
# These are never stated by anybody, so nobody left them out.
_NEVER_STATED = frozenset(("order", "household"))


class Reason(msgspec.Struct, frozen=True, kw_only=True):
    """What one field says: bits for one person against strangers ("random") and against kin.

    `rarity_bits` is the part of `bits` that is due to how rare the word or the district is.
    """

    field: str
    level: str
    bits: float
    kin_bits: float
    rarity_bits: float


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """A score taken apart. It doesn't depend on which record came first, and holds no value.

    `prior_bits` is the log-odds before looking; with `weight_bits` it gives the odds, which the
    model's calibration turns into `probability`. `bits` and `kin_bits` are the fields' sums;
    `weight_bits` weighs them against each other, and `rival` says which of the two counts.
    `calibrated` says whether `probability` was ever checked against reviewed pairs.
    """

    model_id: str
    reasons: tuple[Reason, ...]
    prior_bits: float
    bits: float
    kin_bits: float
    weight_bits: float
    probability: float
    calibrated: bool
    strength: Strength
    rival: Rival


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """The same said in both languages."""

    es: str
    en: str


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """What a reviewer of another partner may learn: how strong, which of a few fields agree or not.

    A registrar learns less: not what differs.
    """

    strength: Strength
    agrees: tuple[str, ...]
    differs: tuple[str, ...]


def explain(score: Score, model: Model) -> Explanation:
    """Take a score apart. Raises ValueError when it was not made with this model."""
    if score.model_id != model.model_id:
        raise ValueError(f"the score was made with {score.model_id}, not {model.model_id}")
    reasons = []
    for table, found in zip(model.evidence, score.fields, strict=True):
        usual = table[LEVELS[found.field].index(found.level)]
        reasons.append(
            Reason(
                field=found.field,
                level=found.level,
                bits=found.bits,
                kin_bits=found.kin_bits,
                rarity_bits=found.bits - usual.bits,
            )
        )
    bits = sum(one.bits for one in reasons)
    kin_bits = sum(one.kin_bits for one in reasons)
    share = model.kin_share
    likelier_kin = share > 0 and share * 2**-kin_bits >= (1 - share) * 2**-bits
    return Explanation(
        model_id=score.model_id,
        reasons=tuple(reasons),
        prior_bits=model.prior_bits,
        bits=bits,
        kin_bits=kin_bits,
        weight_bits=score.weight_bits,
        probability=score.probability,
        calibrated=model.content.calibration != Calibration(),
        strength=score.strength,
        rival="kin" if likelier_kin else "strangers",
    )


def shown(strength: Strength, fields: Sequence[FieldEvidence]) -> Shown:
    """Return what another partner may learn of a score: no place, no kind of document, no bits.

    How many bits a name weighs would tell how rare it is.
    """
    agrees = agreeing_fields(fields)
    return Shown(
        strength=strength,
        agrees=agrees,
        differs=tuple(field for field in differing_fields(fields) if field not in agrees),
    )


def told(explanation: Explanation) -> Told:
    """Say how sure it is and why."""
    return Told(es=sentence(explanation, "es"), en=sentence(explanation, "en"))


def told_match(strength: Strength, fields: Sequence[FieldEvidence]) -> Told:
    """Say what a registrar of another partner may learn of a match."""
    return told_shown(Shown(strength=strength, agrees=agreeing_fields(fields), differs=()))


def told_shown(shown: Shown) -> Told:
    """Say what a reviewer of another partner may learn."""
    return Told(es=sentence_shown(shown, "es"), en=sentence_shown(shown, "en"))


def sentence(explanation: Explanation, language: Language) -> str:
    """Say in a few short sentences how sure it is and why, strongest reasons first."""
    groups: dict[str, list[Reason]] = {"for": [], "against": [], "shared": [], "little": []}
    for one in sorted(
        (one for one in explanation.reasons if one.level != MISSING),
        key=lambda one: (-abs(against(one, explanation.rival)), FIELDS.index(one.field)),
    ):
        groups[_group(one, explanation.rival)].append(one)
    missing = [
        _WORDS.fields[one.field][language]
        for one in explanation.reasons
        if one.level == MISSING and one.field not in _NEVER_STATED
    ]
    said = [_chance(explanation.probability, language)]
    if not explanation.calibrated:
        said.append(_WORDS.phrases["uncalibrated"][language])
    for group, reasons in groups.items():
        said += _listed(group, (_reason(one, language) for one in reasons), language)
    said += _listed("missing", missing, language)
    said.append(_WORDS.phrases[explanation.rival][language])
    return " ".join(said)


def sentence_shown(shown: Shown, language: Language) -> str:
    """Say what another partner may learn."""
    agrees = (_WORDS.shown[field][language] for field in shown.agrees)
    differs = (_WORDS.shown[field][language] for field in shown.differs)
    return " ".join(
        (
            _WORDS.strength[shown.strength][language],
            *_listed("agrees", agrees, language),
            *_listed("differs", differs, language),
        )
    )


def against(reason: Reason, rival: Rival) -> float:
    """Return the bits of a reason against one of the two rivals."""
    return reason.kin_bits if rival == "kin" else reason.bits


Text = dict[str, str]


class _Words(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    fields: dict[str, Text]
    levels: dict[str, dict[str, Text]]
    rarity: dict[str, dict[str, Text]]
    shown: dict[str, Text]
    strength: dict[str, Text]
    phrases: dict[str, Text]


_WORDS = msgspec.json.decode(Path(__file__).with_name("explain.json").read_bytes(), type=_Words)


def _group(reason: Reason, rival: Rival) -> str:
    bits = against(reason, rival)
    if abs(bits) >= TELLING_BITS_MIN:
        return "for" if bits > 0 else "against"
    return "shared" if rival == "kin" and reason.bits >= TELLING_BITS_MIN else "little"


def _reason(reason: Reason, language: Language) -> str:
    field = _WORDS.fields[reason.field]
    said = f"{field[language]} {_WORDS.levels[field['words']][reason.level][language]}"
    if abs(reason.rarity_bits) >= RARITY_BITS_MIN:
        rarity = _WORDS.rarity[field["words"]]["rare" if reason.rarity_bits > 0 else "common"]
        said = f"{said} {rarity[language]}"
    return said


def _listed(phrase: str, parts: Iterable[str], language: Language) -> Iterable[str]:
    joined = "; ".join(parts)
    return (_WORDS.phrases[phrase][language].format(list=joined),) if joined else ()


def _chance(probability: float, language: Language) -> str:
    """Say a probability as a count of pairs, never as certainty, and never rounded up."""
    per_mille = floor(probability * 1000)
    if per_mille >= 999:
        how, count, of = "more", 999, 1000
    elif per_mille < 1:
        how, count, of = "fewer", 1, 1000
    elif per_mille >= 990 or per_mille < 10:
        how, count, of = "about", per_mille, 1000
    else:
        how, count, of = "about", per_mille // 10, 100
    share = _WORDS.phrases[how][language].format(count=count)
    return _WORDS.phrases["chance"][language].format(of=of, share=share)
