"""Whom a profile's file can pay, and what of the household it says. Pure."""

from collections.abc import Iterable, Sequence
from typing import Protocol

from cbi.account import Instrument, Role, compact
from cbi.document import NOT_UNIQUE, Document
from cbi.document import compact as compact_number
from cbi.payment_files import pain001
from cbi.payment_files.profile import Profile
from cbi.payment_files.record import CCI_DIGITS, Payee, fits
from cbi.payment_files.write import version
from cbi.person import e164


class Named(Protocol):
    """A person as far as a payment needs to know; documents only where the file wants one."""

    @property
    def given_names(self) -> str: ...
    @property
    def surnames(self) -> str: ...
    @property
    def roles(self) -> tuple[Role, ...]: ...


def payee_of(
    instrument: Instrument | None, persons: Iterable[Named], *, ubigeo: str, profile: Profile
) -> Payee | None:
    """Return how the profile's file names a household; None when it can't pay it.

    It pays the instrument's kind, reaches the account, phone or collector, and has a place for it.
    """
    if instrument is None or instrument.kind not in profile.instruments:
        return None
    account = bank = phone = member = ""
    if instrument.kind == "bank_account":
        account = compact(instrument.account)
        bank = "" if len(account) == CCI_DIGITS else instrument.bank  # a CCI names its bank
        if not _reaches(account, bank, profile):
            return None
        member = "" if profile.is_pain and profile.split_by is None else _member(account, bank)
    elif instrument.kind == "mobile_wallet":
        phone = e164(instrument.account) or ""
        if not phone:
            return None
    holder = next((one for one in persons if instrument.holder in one.roles), None)
    if holder is None:
        return None
    document = None
    if wants_document(profile) and (document := _document(holder)) is None:
        return None
    payee = Payee(
        account=account,
        bank=bank,
        phone=phone,
        given_names=holder.given_names,
        surnames=holder.surnames,
        document_type=document.type if document else "",
        document_number=compact_number(document.number) if document else "",
        district=ubigeo,
        member=member,
    )
    return payee if profile.is_pain or fits(profile, payee) else None


def wants_document(profile: Profile) -> bool:
    return profile.wants("document_type", "document_number")


def _reaches(account: str, bank: str, profile: Profile) -> bool:
    if profile.is_pain:
        return pain001.reaches(account, bank, version(profile))
    if profile.split_by == "branch" or profile.wants("bank", "branch"):
        return pain001.reaches(account, bank)
    return pain001.ACCOUNT.fullmatch(account) is not None


def _member(account: str, bank: str) -> str:
    return pain001.clearing_member(bank, account) if pain001.reaches(account, bank) else ""


def _document(holder: Named) -> Document | None:
    """Return the first document that tells its holder from others, as it was registered."""
    documents: Sequence[Document] = getattr(holder, "documents", ())
    return next((each for each in documents if each.type not in NOT_UNIQUE), None)
