"""A case of possible duplicates, what organisations said about it, and what follows."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from hashlib import sha256
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
# "assigned" waits for somebody who was asked; "second_review" for an organisation besides the one
# that spoke; "disputed" for a third, also when one took its word back after the decision.
State = Literal["open", "assigned", "second_review", "disputed", "decided"]
Reason = Literal["duplicate", "unchecked"]
Why = Literal["declined", "unsearchable", "crowded"]
ORGANISATIONS_MIN = 2


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """Two households that may be one (household_a < household_b), or one that was not checked.

    `why` says what kept an unchecked household from being checked; `reopens` is the decided case
    of the same two households that new evidence put in doubt.
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
    reopens: UUID | None


class CasePair(msgspec.Struct, frozen=True, kw_only=True):
    """One person of household_a, one of household_b, and the evidence that they are one."""

    person_a: UUID
    person_b: UUID
    model_id: str
    weight_bits: float
    probability: float
    evidence: tuple[FieldEvidence, ...]


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """What one reviewer said about a case for one organisation, or says instead of that."""

    judgement_id: UUID
    case_id: UUID
    verdict: Verdict
    actor_id: UUID
    partner_id: UUID
    reason: str
    judged_at: datetime
    supersedes: UUID | None


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """What two organisations agreed on, and the model under which they saw the evidence."""

    decision_no: int
    case_id: UUID
    verdict: Verdict
    decided_at: datetime
    model_id: str | None


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """Where a case stands now: its state, whom it waits for, under which model it is shown.

    `waiting_since` is its opening or, after a decision, the last judgement.
    """

    state: State
    waiting_since: datetime
    model_id: str | None
    strength_bits: float | None
    assigned_partner_id: UUID | None
    assigned_actor_id: UUID | None
    assigned_at: datetime | None
    reopened_as: UUID | None


class CaseView(msgspec.Struct, frozen=True, kw_only=True):
    """A case with everything known about it: pairs by weight, judgements and decisions by time."""

    case: Case
    standing: Standing
    pairs: tuple[CasePair, ...]
    judgements: tuple[Judgement, ...]
    decisions: tuple[Decision, ...]

    @property
    def state(self) -> State:
        return self.standing.state

    @property
    def decision(self) -> Decision | None:
        """The decision in force: the last."""
        return self.decisions[-1] if self.decisions else None


def is_same_household(persons: int, smaller_size: int) -> bool:
    """Say whether two registrations look like one family: half of the smaller one matches.

    `persons` is how many persons of one match one of the other, each counted once.
    """
    return 0 < smaller_size <= 2 * persons


def persons_matching(pairs: Iterable[CasePair]) -> int:
    """Return how many persons match, at most one of the other household for each."""
    listed = tuple(pairs)
    return min(len({pair.person_a for pair in listed}), len({pair.person_b for pair in listed}))


def in_force(judgements: Iterable[Judgement]) -> tuple[Judgement, ...]:
    """Return what each organisation says now: the judgements that no later one supersedes."""
    said = tuple(judgements)
    superseded = {judgement.supersedes for judgement in said}
    return tuple(one for one in said if one.judgement_id not in superseded)


def verdict_of(judgements: Iterable[Judgement]) -> Verdict | None:
    """Return the verdict that most organisations share, two at least; None without one.

    Only judgements in force count, an organisation speaks once, "unresolved" never decides, and a
    tie is no majority. The order of the judgements changes nothing.
    """
    said: defaultdict[Verdict, set[UUID]] = defaultdict(set)
    for judgement in in_force(judgements):
        said[judgement.verdict].add(judgement.partner_id)
    said.pop("unresolved", None)
    most = max((len(partners) for partners in said.values()), default=0)
    winners = [verdict for verdict, partners in said.items() if len(partners) == most]
    return winners[0] if most >= ORGANISATIONS_MIN and len(winners) == 1 else None


def evidence_digest(pairs: Iterable[CasePair]) -> bytes:
    """Digest which persons were held together and at which level each field stood.

    Weights and models are left out: another model that weighs the same levels otherwise has seen
    nothing new.
    """
    seen = sorted(
        (str(pair.person_a), str(pair.person_b), sorted(_levels(pair).items())) for pair in pairs
    )
    return sha256(msgspec.json.encode(seen)).digest()


def is_new_evidence(
    found: Sequence[CasePair], known: Sequence[CasePair], *, strong_bits: float
) -> bool:
    """Say whether what is found now says more than what a decision was taken on.

    It does when two persons look alike who weren't part of it, or when two who were look more
    alike. Under another model, whose weights can't be compared, the former must look strongly
    alike (`strong_bits` of the model of `found`), and for the latter a field must have come to
    speak for one person that didn't. Equal levels, fewer pairs or weaker ones say nothing new.
    """
    before = {(pair.person_a, pair.person_b): pair for pair in known}
    models = {pair.model_id for pair in known}
    for pair in found:
        then = before.get((pair.person_a, pair.person_b))
        if then is None:
            if not models or pair.model_id in models or pair.weight_bits >= strong_bits:
                return True
        elif _says_more(pair, then):
            return True
    return False


def _says_more(now: CasePair, then: CasePair) -> bool:
    levels_then, levels_now = _levels(then), _levels(now)
    if levels_now == levels_then:
        return False
    if now.model_id == then.model_id:
        return now.weight_bits > then.weight_bits
    bits_then = {one.field: one.bits for one in then.evidence}
    # A field that only one of the models knows says nothing about what has changed.
    return any(
        one.bits > 0 >= bits_then[one.field] and one.level != levels_then[one.field]
        for one in now.evidence
        if one.field in levels_then
    )


def _levels(pair: CasePair) -> dict[str, str]:
    return {one.field: one.level for one in pair.evidence}
