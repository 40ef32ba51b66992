"""An appeal against a refusal: what was asked, who reviews it, how it ended, and what followed."""

from collections.abc import Iterator, Sequence
from datetime import date, datetime
from typing import Annotated, Literal
from uuid import UUID

import msgspec

from cbi.consent import Channel
from cbi.slip import AssistanceGroup, Language, Reason

Outcome = Literal["upheld", "reversed", "reversed_in_part", "withdrawn", "not_competent"]
Because = Literal[
    "refusal_correct",
    "evidence_stands",
    "rule_applies",
    "another_family",
    "evidence_mistaken",
    "rule_misapplied",
    "circumstances_changed",
    "procedure_flawed",
    "person_withdrew",
    "helped_otherwise",
    "not_a_refusal",
    "decided_elsewhere",
]
EffectKind = Literal["case_reopened", "must_act"]
Right = Literal["registration", "another_look"]
Done = Literal[
    "enrolled", "put_on_list", "paid", "looked_at_again", "no_longer_wanted", "registered"
]
# "to_act" waits for the organisation that refused, after a reversal; "done" when it says it acted.
State = Literal["waiting", "assigned", "decided", "to_act", "done"]
What = Literal["taken", "assigned", "decided", "case_reopened", "must_act", "done"]

STATEMENT_CHARACTERS_MAX = 4_000
REVERSES: frozenset[Outcome] = frozenset({"reversed", "reversed_in_part"})
_OF_REVERSAL: frozenset[Because] = frozenset(
    {
        "another_family",
        "evidence_mistaken",
        "rule_misapplied",
        "circumstances_changed",
        "procedure_flawed",
    }
)
BECAUSE: dict[Outcome, frozenset[Because]] = {
    "upheld": frozenset({"refusal_correct", "evidence_stands", "rule_applies"}),
    "reversed": _OF_REVERSAL,
    "reversed_in_part": _OF_REVERSAL,
    "withdrawn": frozenset({"person_withdrew", "helped_otherwise"}),
    "not_competent": frozenset({"not_a_refusal", "decided_elsewhere"}),
}


class Statement(msgspec.Struct, frozen=True, kw_only=True):
    """What the person said; sealed, and opened for who reviews."""

    said: Annotated[str, msgspec.Meta(min_length=1, max_length=STATEMENT_CHARACTERS_MAX)]


class Intake(msgspec.Struct, frozen=True, kw_only=True):
    """How an appeal came in; `contact`: the person may be written to about it."""

    language: Language
    channel: Channel
    contact: bool
    statement: Statement


class Refused(msgspec.Struct, frozen=True, kw_only=True):
    """What is appealed, as far as the viewer may know it."""

    reference: str
    issued_at: datetime | None = None
    reason: Reason | None = None
    assistance_group: AssistanceGroup | None = None
    case_id: UUID | None = None


class Assigned(msgspec.Struct, frozen=True, kw_only=True):
    """Who was asked to review: an organisation, or one person of it."""

    assignment_no: int
    reviewer_partner_id: UUID
    reviewer_actor_id: UUID | None
    assigned_at: datetime


class Decided(msgspec.Struct, frozen=True, kw_only=True):
    """How the appeal ended."""

    outcome: Outcome
    because: Because
    reviewer_partner_id: UUID
    decided_at: datetime


class Effect(msgspec.Struct, frozen=True, kw_only=True):
    """What a reversal does: a case judged anew, or something to do by a day.

    Who was not registered has a right to be, or to be looked at again: `entitles_to`.
    """

    kind: EffectKind
    case_id: UUID | None
    act_by: date | None
    begun_at: datetime
    entitles_to: Right | None


class Acted(msgspec.Struct, frozen=True, kw_only=True):
    """What the organisation that refused did about a reversal; whom it registered for it."""

    what: Done
    done_at: datetime
    household_id: UUID | None


class Appeal(msgspec.Struct, frozen=True, kw_only=True):
    """An appeal with all that happened to it."""

    appeal_id: UUID
    partner_id: UUID
    intake_partner_id: UUID
    by_token: bool
    language: Language
    channel: Channel
    contact: bool
    taken_at: datetime
    due_on: date
    refused: Refused
    assignments: tuple[Assigned, ...]
    decided: Decided | None
    effect: Effect | None
    acted: Acted | None

    @property
    def state(self) -> State:
        if self.decided is None:
            return "assigned" if self.assignments else "waiting"
        if self.effect is None or self.effect.kind != "must_act":
            return "decided"
        return "done" if self.acted else "to_act"

    def waits_until(self) -> date | None:
        """The day by which somebody must do something; None when nobody must."""
        if self.decided is None:
            return self.due_on
        return self.effect.act_by if self.effect and self.state == "to_act" else None


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """That somebody opened what a person said."""

    reading_no: int
    at: datetime
    appeal_id: UUID
    partner_id: UUID
    actor_id: UUID
    request_id: str


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened to an appeal, and the organisation that did it."""

    at: datetime
    what: What
    partner_id: UUID


def history(appeal: Appeal) -> Sequence[Event]:
    """Return everything that happened to an appeal, in its order."""
    return tuple(_events(appeal))


def _events(appeal: Appeal) -> Iterator[Event]:
    yield Event(at=appeal.taken_at, what="taken", partner_id=appeal.intake_partner_id)
    for each in appeal.assignments:
        yield Event(at=each.assigned_at, what="assigned", partner_id=each.reviewer_partner_id)
    if appeal.decided is None:
        return
    reviewer = appeal.decided.reviewer_partner_id
    yield Event(at=appeal.decided.decided_at, what="decided", partner_id=reviewer)
    if appeal.effect is not None:
        yield Event(at=appeal.effect.begun_at, what=appeal.effect.kind, partner_id=reviewer)
    if appeal.acted is not None:
        yield Event(at=appeal.acted.done_at, what="done", partner_id=appeal.partner_id)
