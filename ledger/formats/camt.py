"""camt.053 and camt.054: what was booked on our account, by day or as it happens."""

from collections.abc import Iterator
from datetime import date
from typing import BinaryIO

import msgspec
from lxml.etree import _Element as Element

from ledger.formats import xml
from ledger.formats.entry import DIRECTIONS, Direction, Entry
from ledger.formats.xml import Fault, Unreadable
from ledger.money import EXPONENTS, Money, exponent
from ledger.statement import Frame, Line, RejectedLine, Source

VERSIONS: dict[str, Source] = {
    f"{source}.001.{version}": source
    for source in ("camt.053", "camt.054")
    for version in ("02", "04", "08", "10", "13", "14")
}
CONTAINERS: dict[Source, str] = {"camt.053": "Stmt", "camt.054": "Ntfctn"}
SEQUENCE_DIGITS_MAX = 18
ADD_UP = "the details do not add up to the entry"
OTHER_COUNT = "another number of entries than the statement declares"
OTHER_SUM = "another sum of entries than the statement declares"


class Tally:
    """What has gone by of one statement, to be held against what it declares."""

    def __init__(self) -> None:
        self.entries = 0
        self.counts: dict[Direction, int] = {"debit": 0, "credit": 0}
        self.sums: dict[Direction, int] = {"debit": 0, "credit": 0}
        self.booked = 0
        self.unread = 0
        self.currency = ""
        self.originals: set[str] = set()
        self.rejected: list[RejectedLine] = []

    def add(self, entry: Entry) -> None:
        self.counts[entry.direction] += 1
        self.sums[entry.direction] += entry.money.amount_minor
        self.currency = self.currency or entry.money.currency
        self.booked += entry.is_booked
        # More than one is as good as none.
        if len(self.originals) <= 1:
            self.originals.update(name for name in entry.originals if _is_id(name))


def _is_id(name: str) -> bool:
    return name not in {"", xml.NOT_PROVIDED} and len(name) <= xml.IDENTIFIER_MAX


def read(file: BinaryIO, message: str) -> Iterator[Line | RejectedLine | Frame]:
    """Yield each statement's lines and then its frame; ordinals run through the whole file."""
    source = VERSIONS[message]
    container = CONTAINERS[source]
    tally, statements, ordinal = Tally(), 0, 0
    entry_tag = f"{{{xml.NAMESPACE}{message}}}Ntry"
    for element in xml.walk(file, message, {"Ntry": 3, container: 2}):
        where = f"{container}[{statements + 1}]"
        if element.tag == entry_tag:
            for part in _entry(element, source, where, tally, ordinal + 1):
                yield part
                ordinal = part.ordinal
        else:
            statements += 1
            frame, rejected = _frame(element, source, where, tally, ordinal)
            yield from rejected
            ordinal = max([ordinal, *(part.ordinal for part in rejected)])
            yield frame
            tally = Tally()
    if statements == 0:
        raise Unreadable(container, "missing")


def _entry(
    element: Element, source: Source, where: str, tally: Tally, ordinal: int
) -> list[Line | RejectedLine]:
    """Return the lines of one entry; one that is only announced has none."""
    tally.entries += 1
    try:
        entry = Entry(element)
        lines, add_up = entry.lines(source, ordinal) if entry.is_booked else ([], True)
    except Fault as fault:
        tally.unread += 1
        place = f"{where}/Ntry[{tally.entries}]/{fault.where}"
        return [RejectedLine(ordinal=ordinal, where=place, reason=fault.reason)]
    tally.add(entry)
    if add_up:
        return lines  # type: ignore[return-value]
    # The entry is what moved, so it stands; that its details differ must not go unseen.
    place = f"{where}/Ntry[{tally.entries}]/NtryDtls"
    return [*lines, RejectedLine(ordinal=lines[-1].ordinal + 1, where=place, reason=ADD_UP)]


def _frame(
    element: Element, source: Source, where: str, tally: Tally, ordinal: int
) -> tuple[Frame, list[RejectedLine]]:
    """Read what stands around the entries, and hold what it declares against them."""
    root = element.getparent()
    try:
        message_id = xml.identifier(element, "Id")
        if not message_id and root is not None:
            message_id = xml.identifier(root, "GrpHdr/MsgId")
    except Fault as fault:
        raise Unreadable(f"{where}/{fault.where}", fault.reason) from None
    if not message_id:
        raise Unreadable(f"{where}/Id", "missing")
    rejected: list[RejectedLine] = []
    facts = Facts()
    try:
        facts = _facts(element, source)
    except Fault as fault:
        place = f"{where}/{fault.where}"
        rejected.append(RejectedLine(ordinal=ordinal + 1, where=place, reason=fault.reason))
    currency = facts.currency or next(
        (money.currency for money in (facts.opening, facts.closing) if money), tally.currency
    )
    if _is_unknown(facts.currency):
        # The lines say their own currencies; of the frame nothing can be concluded.
        place = f"{where}/Acct/Ccy"
        rejected.append(RejectedLine(ordinal=0, where=place, reason=xml.CURRENCY_UNKNOWN))
    else:
        rejected += [
            RejectedLine(ordinal=0, where=f"{where}/TxsSummry/{path}", reason=reason)
            for path, reason in _undeclared(element, tally, currency)
        ]
    return Frame(
        source=source,
        message_id=message_id,
        original_message_id=next(iter(tally.originals)) if len(tally.originals) == 1 else "",
        account=xml.text(element, "Acct/Id/IBAN", "Acct/Id/Othr/Id")[: xml.TEXT_MAX],
        currency=currency,
        sequence=facts.sequence,
        booked_on=facts.booked_on,
        opening=facts.opening,
        closing=facts.closing,
    ), rejected


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """The head of a statement, apart from its lines."""

    currency: str = ""
    sequence: int | None = None
    booked_on: date | None = None
    opening: Money | None = None
    closing: Money | None = None


def _facts(element: Element, source: Source) -> Facts:
    digits = xml.text(element, "ElctrncSeqNb", "LglSeqNb")
    if digits and not _is_number(digits):
        raise Fault("ElctrncSeqNb", "not a number")
    opening = closing = None
    booked_on = None
    currency = xml.text(element, "Acct/Ccy")
    currency = currency if len(currency) == 3 and currency.isascii() else ""
    framed = source == "camt.053" and not _is_unknown(currency)
    for balance in xml.find_all(element, "Bal") if framed else ():
        code = xml.text(balance, "Tp/CdOrPrtry/Cd")
        # PRCD, the closing of the day before, is what some banks give for an opening.
        try:
            if code == "OPBD" or (code == "PRCD" and opening is None):
                opening = _balance(balance)
            elif code == "CLBD":
                closing = _balance(balance)
                booked_on = xml.day(balance, "Dt/Dt", "Dt/DtTm")
        except Fault as fault:
            raise Fault(f"Bal/{fault.where}", fault.reason) from None
    return Facts(
        currency=currency,
        sequence=int(digits) if digits else None,
        booked_on=booked_on or xml.day(element, "FrToDt/ToDtTm", "CreDtTm"),
        opening=opening,
        closing=closing,
    )


def _undeclared(element: Element, tally: Tally, currency: str) -> Iterator[tuple[str, str]]:
    """Say where the counts and sums that the bank declares are not those of what was read.

    Banks count either all entries or the booked ones. A sum that holds an entry which could not
    be read proves nothing, and a sum has no currency of its own.
    """
    sides: dict[str, tuple[Direction, ...]] = {
        "TtlNtries": ("debit", "credit"),
        "TtlCdtNtries": ("credit",),
        "TtlDbtNtries": ("debit",),
    }
    all_booked = tally.booked + tally.unread == tally.entries
    for name, directions in sides.items():
        digits = xml.text(element, f"TxsSummry/{name}/NbOfNtries")
        if digits and (name == "TtlNtries" or tally.unread == 0):
            whole = name == "TtlNtries"
            read = tally.entries if whole else sum(tally.counts[side] for side in directions)
            counts = {read, tally.booked + tally.unread} if whole else {read}
            if (all_booked or whole) and not (_is_number(digits) and int(digits) in counts):
                yield f"{name}/NbOfNtries", OTHER_COUNT
        written = xml.text(element, f"TxsSummry/{name}/Sum")
        known = tally.unread == 0 and all_booked and currency in EXPONENTS
        moved = sum(tally.sums[side] for side in directions)
        if written and known and _minor(written, currency) != moved:
            yield f"{name}/Sum", OTHER_SUM


def _minor(written: str, currency: str) -> int | None:
    """Return a sum in minor units: it may have more digits than one amount."""
    whole, _, decimals = written.partition(".")
    digits = exponent(currency)
    decimals = decimals.rstrip("0")
    if len(decimals) > digits or not _is_number(f"{whole}{decimals}", digits=40):
        return None
    minor: int = int(whole or "0") * 10**digits + int(decimals.ljust(digits, "0") or "0")
    return minor


def _is_number(text: str, *, digits: int = SEQUENCE_DIGITS_MAX) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= digits


def _is_unknown(currency: str) -> bool:
    return currency != "" and currency not in EXPONENTS


def _balance(balance: Element) -> Money:
    money = xml.amount(balance, "Amt")
    if money is None:
        raise Fault("Amt", "missing")
    code = xml.text(balance, "CdtDbtInd")
    if code not in DIRECTIONS:
        raise Fault("CdtDbtInd", "neither CRDT nor DBIT")
    sign = 1 if DIRECTIONS[code] == "credit" else -1
    return Money(amount_minor=sign * money.amount_minor, currency=money.currency)
