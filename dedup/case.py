"""A case of possible duplicates, what organisations said about it, and what follows."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec

from dedup.model import FieldEvidence

# "same_person": at least one person stands in both households. "same_household": the same
# family was registered twice.
Verdict = Literal[
    "same_person",
    "same_household",
    "household_split",
    "relative",
    "data_error",
    "unresolved",
    "different",
]
State = Literal["open", "second_review", "disputed", "decided"]
Reason = Literal["duplicate", "unchecked"]
Why = Literal["declined", "unsearchable", "crowded"]
ORGANISATIONS_MIN = 2


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """Two households that may be one (household_a < household_b), or one that was not checked.

    `why` says what kept an unchecked household from being checked.
    """

    case_id: UUID
    household_a: UUID
    household_b: UUID | None
    partner_a: UUID
    partner_b: UUID | None
    reason: Reason
    why: Why | None
    opened_at: datetime
    opened_by: UUID
    model_id: str | None
    strength_bits: float | None


class CasePair(msgspec.Struct, frozen=True, kw_only=True):
    """One person of household_a, one of household_b, and the evidence that they are one."""

    person_a: UUID
    person_b: UUID
    model_id: str
    weight_bits: float
    probability: float
    evidence: tuple[FieldEvidence, ...]


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """What one reviewer said about a case for one organisation."""

    judgement_id: UUID
    case_id: UUID
    verdict: Verdict
    actor_id: UUID
    partner_id: UUID
    reason: str
    judged_at: datetime


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """What two organisations agreed on."""

    case_id: UUID
    verdict: Verdict
    decided_at: datetime


class CaseView(msgspec.Struct, frozen=True, kw_only=True):
    """A case with everything known about it, pairs by weight, judgements by time."""

    case: Case
    state: State
    pairs: tuple[CasePair, ...]
    judgements: tuple[Judgement, ...]
    decision: Decision | None


def verdict_of(judgements: Iterable[Judgement]) -> Verdict | None:
    """Return the verdict that most organisations share, two at least; None without one.

    An organisation speaks once, "unresolved" never decides, and a tie is no majority. The order
    of the judgements changes nothing.
    """
    said: defaultdict[Verdict, set[UUID]] = defaultdict(set)
    for judgement in judgements:
        said[judgement.verdict].add(judgement.partner_id)
    said.pop("unresolved", None)
    most = max((len(partners) for partners in said.values()), default=0)
    winners = [verdict for verdict, partners in said.items() if len(partners) == most]
    return winners[0] if most >= ORGANISATIONS_MIN and len(winners) == 1 else None


def state(judgements: Sequence[Judgement], decision: Decision | None) -> State:
    """Say where a case stands: who judged alone waits for a second, who disagree for a third."""
    if decision is not None:
        return "decided"
    if not judgements:
        return "open"
    return "second_review" if len(judgements) == 1 else "disputed"
