"""What the ledger refuses: one class a refusal, carrying facts and no prose."""

from dataclasses import dataclass
from datetime import date
from uuid import UUID


class LedgerRefusal(Exception):
    """The ledger does not take this, and the caller can mend it."""

    def __str__(self) -> str:
        return repr(self)


@dataclass(kw_only=True, eq=False)
class InsufficientFunds(LedgerRefusal):
    """The account would fall below its floor; `available_minor` is what is left above it."""

    account_code: str
    currency: str
    available_minor: int
    wanted_minor: int


@dataclass(kw_only=True, eq=False)
class AccountConflict(LedgerRefusal):
    """An account of this code and currency exists already, with another content or owner."""

    account_code: str
    currency: str


@dataclass(kw_only=True, eq=False)
class AccountNotOpen(LedgerRefusal):
    """The organisation has not opened this account."""

    account_code: str
    currency: str


@dataclass(kw_only=True, eq=False)
class TransferConflict(LedgerRefusal):
    """A transfer with this id is posted already, with another content."""

    transfer_id: UUID


@dataclass(kw_only=True, eq=False)
class TransferRefused(LedgerRefusal):
    """A constraint of the ledger forbids one of these transfers."""

    constraint: str


@dataclass(kw_only=True, eq=False)
class PeriodJustClosed(LedgerRefusal):
    """The period was closed at this very moment; the same again is booked in the open one."""


@dataclass(kw_only=True, eq=False)
class PeriodOutOfOrder(LedgerRefusal):
    """This period or a later one is closed already, or it is not over yet."""

    until: date


@dataclass(kw_only=True, eq=False)
class AttemptRefused(LedgerRefusal):
    """This attempt can't be opened, decided or returned as things stand."""

    payment_id: UUID
    attempt_no: int
    constraint: str


@dataclass(kw_only=True, eq=False)
class BreakRefused(LedgerRefusal):
    """This can't happen to the break as it stands: settled, nothing proposed, or just changed."""

    break_id: UUID
    constraint: str


@dataclass(kw_only=True, eq=False)
class SecondPersonNeeded(LedgerRefusal):
    """Who proposed how a break ends does not confirm it."""

    break_id: UUID


@dataclass(kw_only=True, eq=False)
class OutcomeConflict(LedgerRefusal):
    """The attempt has ended already, in the other way."""

    payment_id: UUID
    attempt_no: int


@dataclass(kw_only=True, eq=False)
class StatementRepeated(LedgerRefusal):
    """Another file carried this message id already; `statement_id` is that earlier one."""

    statement_id: UUID


@dataclass(kw_only=True, eq=False)
class StatementUnreadable(LedgerRefusal):
    """The file as a whole is no statement; `where` is a line or an element, never its content."""

    where: str
    reason: str


@dataclass(kw_only=True, eq=False)
class LayoutMalformed(LedgerRefusal):
    """The layout of a table can't be used; each fault by its path."""

    faults: list[tuple[str, str]]


@dataclass(kw_only=True, eq=False)
class LayoutUnknown(LedgerRefusal):
    """The organisation has no layout of this code, or not in this version."""

    code: str
    version: int | None


@dataclass(kw_only=True, eq=False)
class LayoutJustChanged(LedgerRefusal):
    """Somebody added a version of this layout at this very moment."""

    code: str


@dataclass(kw_only=True, eq=False)
class NotSealed(LedgerRefusal):
    """The newest checkpoint holds nothing of this payment or period: unknown, or waiting."""

    wanted: UUID | date


@dataclass(kw_only=True, eq=False)
class CheckpointUnknown(LedgerRefusal):
    """Nothing was signed at this size, or it is larger than the one it should lead to."""

    size: int
