"""Refusals of the programme: what the caller can mend, as facts; `api/problems.py` words them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from cbi.fault import Fault


class CbiRefusal(Exception):
    """The programme does not do this, and the caller can mend it."""

    def __str__(self) -> str:
        return type(self).__name__  # facts may be about people; a log shows the class only


@dataclass(kw_only=True, eq=False)
class FileUnreadable(CbiRefusal):
    """The file can't be read at all."""

    line: int
    reason: str


@dataclass(kw_only=True, eq=False)
class InvalidRegistration(CbiRefusal):
    """The registration has faults; each comes with its path."""

    faults: Sequence[Fault]


@dataclass(kw_only=True, eq=False)
class InvalidProfile(CbiRefusal):
    """The profile of a payment file has faults; each comes with its path."""

    faults: Sequence[Fault]


@dataclass(kw_only=True, eq=False)
class ReferenceTaken(CbiRefusal):
    """The partner's reference belongs to a registration with other content."""

    household_id: UUID


@dataclass(kw_only=True, eq=False)
class NotFound(CbiRefusal):
    """There is no such thing, or it is not the caller's to see."""

    what: str
    wanted: UUID | date | int


@dataclass(kw_only=True, eq=False)
class OutsideArea(CbiRefusal):
    """The key is limited to an area, and the household lives outside it."""

    area: str


@dataclass(kw_only=True, eq=False)
class OpenCase(CbiRefusal):
    """The household is still part of an undecided match case."""

    household_id: UUID
    case_ids: Sequence[UUID]


@dataclass(kw_only=True, eq=False)
class ConsentMissing(CbiRefusal):
    """The household has not agreed to what the step needs."""

    household_id: UUID
    kinds: Sequence[str]


@dataclass(kw_only=True, eq=False)
class AlreadyEnrolled(CbiRefusal):
    """The household is enrolled in the programme."""

    household_id: UUID


@dataclass(kw_only=True, eq=False)
class NoInstrument(CbiRefusal):
    """The household has no account that money can be sent to."""

    household_id: UUID


@dataclass(kw_only=True, eq=False)
class IdentityErased(CbiRefusal):
    """The data key of the household was destroyed."""

    household_id: UUID


@dataclass(kw_only=True, eq=False)
class NoTransferValue(CbiRefusal):
    """The programme has no value in force for this day."""

    programme_id: UUID
    on: date


@dataclass(kw_only=True, eq=False)
class NothingToPay(CbiRefusal):
    """The round has no payee."""

    round_id: UUID


@dataclass(kw_only=True, eq=False)
class StepDone(CbiRefusal):
    """The step was taken before."""

    round_id: UUID
    step: str


@dataclass(kw_only=True, eq=False)
class StepOutOfOrder(CbiRefusal):
    """An earlier step of the round is missing."""

    round_id: UUID
    step: str


@dataclass(kw_only=True, eq=False)
class SamePerson(CbiRefusal):
    """Prepared, reviewed, approved and released must be by four different people."""

    round_id: UUID
    step: str


@dataclass(kw_only=True, eq=False)
class PayeesBlocked(CbiRefusal):
    """Some payees can't be paid now; each is named with the reasons."""

    round_id: UUID
    blocked: Mapping[UUID, Sequence[str]]


@dataclass(kw_only=True, eq=False)
class EntitlementSettled(CbiRefusal):
    """The entitlement was cancelled, or it is reserved or released."""

    entitlement_id: UUID


@dataclass(kw_only=True, eq=False)
class MonthsOverlap(CbiRefusal):
    """A family of the round has assistance of this group in these months already."""

    round_id: UUID


@dataclass(kw_only=True, eq=False)
class NotReleased(CbiRefusal):
    """The round has no payment file yet."""

    round_id: UUID


@dataclass(kw_only=True, eq=False)
class RoundPending(CbiRefusal):
    """Payments of this sum have no known outcome yet."""

    round_id: UUID
    pending_minor: int


@dataclass(kw_only=True, eq=False)
class FollowupSuperseded(CbiRefusal):
    """A newer follow-up of the round was opened: that one is signed, or another one opened."""

    followup_id: UUID
    newest: UUID


@dataclass(kw_only=True, eq=False)
class NothingToReissue(CbiRefusal):
    """No payment of the round failed that can be paid now; those that can't are named with why."""

    round_id: UUID
    left_out: Mapping[UUID, Sequence[str]]


@dataclass(kw_only=True, eq=False)
class MoneyGivenBack(CbiRefusal):
    """What came back was given back to the programme when the round was closed."""

    round_id: UUID
    available_minor: int
    wanted_minor: int
    given_back_minor: int


@dataclass(kw_only=True, eq=False)
class NotPending(CbiRefusal):
    """The payment is not on its way: it was not sent, or how it ended is known."""

    payment_id: UUID


@dataclass(kw_only=True, eq=False)
class StillClaimable(CbiRefusal):
    """The provider gives the family until then to collect the payment."""

    payment_id: UUID
    claim_days: int
    until: datetime


@dataclass(kw_only=True, eq=False)
class NeverExpires(CbiRefusal):
    """The provider's profile does not say after how many days a payment expires."""

    payment_id: UUID


@dataclass(kw_only=True, eq=False)
class ShownAsPaid(CbiRefusal):
    """A report of the provider shows the payment as paid: it did not expire."""

    payment_id: UUID
    attempt_no: int


@dataclass(kw_only=True, eq=False)
class ExpiryStands(CbiRefusal):
    """Somebody has declared this expiry already; another person confirms it."""

    payment_id: UUID
    attempt_no: int


@dataclass(kw_only=True, eq=False)
class NoExpiry(CbiRefusal):
    """Nobody has declared that the payment expired."""

    payment_id: UUID


@dataclass(kw_only=True, eq=False)
class SecondPerson(CbiRefusal):
    """Declaring an expiry and confirming it take two people."""

    payment_id: UUID


@dataclass(kw_only=True, eq=False)
class WhichPart(CbiRefusal):
    """The round's payment file has several parts, and the request names none of them."""

    round_id: UUID
    parts: int


@dataclass(kw_only=True, eq=False)
class TooManyPayees(CbiRefusal):
    """The round has more payees than one round can pay."""

    round_id: UUID
    payees: int
    payees_max: int


@dataclass(kw_only=True, eq=False)
class BadValue(CbiRefusal):
    """A field of a request is well formed and can't be right."""

    field: str
    reason: str


@dataclass(kw_only=True, eq=False)
class EnrolmentClosed(CbiRefusal):
    """The enrolment was closed before, for good."""

    enrolment_id: UUID


@dataclass(kw_only=True, eq=False)
class AccountNotOurs(CbiRefusal):
    """The statement is of an account that pays none of the organisation's programmes."""

    source: str
    message_id: str


@dataclass(kw_only=True, eq=False)
class CheckQuotaSpent(CbiRefusal):
    """The organisation may not check so many persons any more today."""

    persons_asked: int
    persons_left: int
    persons_per_day: int
    opens_again_at: datetime
    # The first of those asked about, for whom there is room today.
    households_fit: int


@dataclass(kw_only=True, eq=False)
class CheckStale(CbiRefusal):
    """The payment list was never checked, too long ago, or under another model than is in use."""

    round_id: UUID


@dataclass(kw_only=True, eq=False)
class ListNotActive(CbiRefusal):
    """The list has ended, its round is released, or it is for another purpose."""

    list_id: UUID


@dataclass(kw_only=True, eq=False)
class EndingUnfit(CbiRefusal):
    """A break can't end like this; `reason` is a word of `cbi/resolve.py`."""

    break_id: UUID
    reason: str


@dataclass(kw_only=True, eq=False)
class HouseholdEnded(CbiRefusal):
    """The household is registered no more: withdrawn, handed over, joined, or nobody lives."""

    household_id: UUID


@dataclass(kw_only=True, eq=False)
class PersonDeceased(CbiRefusal):
    """The form has somebody who was recorded as deceased; only an error can be mended."""

    person_id: UUID


@dataclass(kw_only=True, eq=False)
class ConsentNotGiven(CbiRefusal):
    """There is no standing consent of this kind to take back."""

    household_id: UUID
    kind: str


@dataclass(kw_only=True, eq=False)
class HouseholdStands(CbiRefusal):
    """The household is registered; it is erased only after its registration has ended."""

    household_id: UUID


@dataclass(kw_only=True, eq=False)
class PaymentsPending(CbiRefusal):
    """Payments to the household are promised or on their way."""

    household_id: UUID
    payments: int


@dataclass(kw_only=True, eq=False)
class PromisesStand(CbiRefusal):
    """Months promised to the household run until that day; without one, until they are closed."""

    household_id: UUID
    until: date | None


@dataclass(kw_only=True, eq=False)
class OfferStands(CbiRefusal):
    """The household is offered to an organisation already, which has not answered."""

    household_id: UUID


@dataclass(kw_only=True, eq=False)
class OfferClosed(CbiRefusal):
    """The offer was answered or has expired, or the household or its consent has ended."""

    offer_id: UUID


@dataclass(kw_only=True, eq=False)
class FamiliesApart(CbiRefusal):
    """Decisions say that the two are no family, or the family would be too large."""

    household_id: UUID
    other_household_id: UUID
