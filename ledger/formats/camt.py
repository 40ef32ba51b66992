"""camt.053 and camt.054: what was booked on our account, by day or as it happens."""

from collections.abc import Sequence
from datetime import date
from typing import Literal

import msgspec
from lxml.etree import _Element as Element

from ledger.formats import xml
from ledger.formats.xml import Fault, Unreadable
from ledger.money import EXPONENTS, Money
from ledger.statement import Line, RejectedLine, Source, Statement

VERSIONS: dict[str, Source] = {
    "camt.053.001.02": "camt.053",
    "camt.053.001.04": "camt.053",
    "camt.053.001.08": "camt.053",
    "camt.054.001.02": "camt.054",
    "camt.054.001.04": "camt.054",
    "camt.054.001.08": "camt.054",
}
CONTAINERS: dict[Source, str] = {"camt.053": "Stmt", "camt.054": "Ntfctn"}
NOT_BOOKED = frozenset({"PDNG", "INFO", "FUTR"})
RETURNED = "RRTN"  # sub-family: a payment that came back
SEQUENCE_DIGITS_MAX = 18
COUNT_DIGITS_MAX = 9
UETR_MAX = 36

Direction = Literal["debit", "credit"]
DIRECTIONS: dict[str, Direction] = {"DBIT": "debit", "CRDT": "credit"}


class Collected(msgspec.Struct, kw_only=True):
    """What one statement has gathered while the file is walked."""

    lines: list[Line] = []
    rejected: list[RejectedLine] = []
    originals: set[str] = set()
    entries: int = 0

    def reject(self, *, ordinal: int, where: str, reason: str) -> None:
        self.rejected.append(RejectedLine(ordinal=ordinal, where=where, reason=reason))


def read_all(content: bytes, message: str) -> tuple[Statement, ...]:
    """Read every statement or notification of the file; ordinals run through the whole file."""
    source = VERSIONS[message]
    container = CONTAINERS[source]
    statements: list[Statement] = []
    taken = Collected()
    ordinal = 0
    for element in xml.walk(content, message, {"Ntry": 3, container: 2}):
        where = f"{container}[{len(statements) + 1}]"
        if element.tag.endswith("}Ntry"):
            taken.entries += 1
            ordinal = _entry(element, source, f"{where}/Ntry[{taken.entries}]", taken, ordinal)
        else:
            statement, ordinal = _statement(element, source, where, taken, ordinal)
            statements.append(statement)
            taken = Collected()
    if not statements:
        raise Unreadable(container, "missing")
    return tuple(statements)


def _entry(element: Element, source: Source, where: str, taken: Collected, ordinal: int) -> int:
    """Add the lines of one entry and return the last ordinal used; pending entries add none."""
    try:
        if not _is_booked(element):
            return ordinal
        whole = _whole(element, source, ordinal + 1)
        details = xml.find_all(element, "NtryDtls/TxDtls")
        if len(details) > 1:
            return _exploded(whole, details, where, taken)
        line = _detailed(whole, details[0]) if details else whole
        share = _share(details[0], whole) if details else None
    except Fault as fault:
        taken.reject(ordinal=ordinal + 1, where=f"{where}/{fault.where}", reason=fault.reason)
        return ordinal + 1
    taken.lines.append(line)
    taken.originals.update(_original(detail) for detail in details)
    if share is not None and _signed([share]) != _signed([whole]):
        # The entry is what moved, so it stands; that its details differ must not go unseen.
        return _differs(taken, where, ordinal + 2)
    return ordinal + 1


def _whole(element: Element, source: Source, ordinal: int) -> Line:
    """Read an entry as one movement, before its details."""
    direction = _direction(element)
    money = xml.amount(element, "Amt")
    if money is None:
        raise Fault("Amt", "missing")
    back = xml.text(element, "RvslInd") in {"true", "1"} or _is_return_code(element)
    return Line(
        source=source,
        ordinal=ordinal,
        status="returned" if back and direction == "credit" else "booked",
        direction=direction,
        end_to_end_id="",
        bank_reference=xml.identifier(element, "AcctSvcrRef", "NtryRef"),
        money=money,
        booked_on=xml.day(element, "BookgDt/Dt", "BookgDt/DtTm"),
        reason="",
        batch_id=xml.identifier(element, "NtryDtls/Btch/PmtInfId", "NtryDtls/Btch/MsgId"),
        batch_count=_count(element),
        reference=xml.text(element, "AddtlNtryInf")[: xml.TEXT_MAX],
        value_on=xml.day(element, "ValDt/Dt", "ValDt/DtTm"),
    )


def _count(element: Element) -> int | None:
    """Return how many payments a batch booking stands for, if it says so."""
    digits = xml.text(element, "NtryDtls/Btch/NbOfTxs")
    if not digits.isdecimal() or not digits.isascii() or len(digits) > COUNT_DIGITS_MAX:
        return None
    return int(digits) or None


def _exploded(whole: Line, details: Sequence[Element], where: str, taken: Collected) -> int:
    """Add one line per detail where the details carry the whole entry, else the entry alone."""
    shares = [_share(detail, whole) for detail in details]
    full = [share for share in shares if share is not None]
    lines = [
        msgspec.structs.replace(_detailed(share, detail), ordinal=whole.ordinal + place)
        for place, (share, detail) in enumerate(zip(full, details, strict=False))
    ]
    if len(full) == len(details) and _signed(full) == _signed([whole]):
        taken.lines.extend(lines)
        taken.originals.update(_original(detail) for detail in details)
        return lines[-1].ordinal
    taken.lines.append(whole)
    return _differs(taken, where, whole.ordinal + 1)


def _differs(taken: Collected, where: str, ordinal: int) -> int:
    reason = "the details do not add up to the entry"
    taken.reject(ordinal=ordinal, where=f"{where}/NtryDtls", reason=reason)
    return ordinal


def _share(detail: Element, whole: Line) -> Line | None:
    """Return the entry with a detail's own amount and direction; None where it has no amount.

    An amount in another currency is what was ordered, not what moved on the account.
    """
    money = xml.amount(detail, "Amt", "AmtDtls/TxAmt/Amt", "AmtDtls/InstdAmt/Amt")
    if money is None or whole.money is None or money.currency != whole.money.currency:
        return None
    own = xml.find(detail, "CdtDbtInd") is not None
    return msgspec.structs.replace(
        whole, money=money, direction=_direction(detail) if own else whole.direction
    )


def _detailed(line: Line, detail: Element) -> Line:
    """Add to a line what its one detail says about it."""
    back = (
        line.status == "returned"
        or xml.find(detail, "RtrInf") is not None
        or _is_return_code(detail)
    )
    return msgspec.structs.replace(
        line,
        status="returned" if back and line.direction == "credit" else "booked",
        end_to_end_id=xml.identifier(detail, "Refs/EndToEndId"),
        bank_reference=xml.identifier(detail, "Refs/AcctSvcrRef") or line.bank_reference,
        reason=xml.reason_code(detail, "RtrInf"),
        uetr=xml.text(detail, "Refs/UETR")[:UETR_MAX],
        batch_id=xml.identifier(detail, "Refs/PmtInfId", "Refs/MsgId") or line.batch_id,
        account=_account(detail, "CdtrAcct" if line.direction == "debit" else "DbtrAcct"),
        reference=xml.text(detail, "RmtInf/Ustrd")[: xml.TEXT_MAX] or line.reference,
    )


def _account(detail: Element, whose: str) -> str:
    """Return the other side's account as the file gives it, or ""."""
    path = f"RltdPties/{whose}/Id"
    return xml.text(detail, f"{path}/IBAN", f"{path}/Othr/Id")[: xml.TEXT_MAX]


def _original(detail: Element) -> str:
    try:
        return xml.identifier(detail, "Refs/MsgId")
    except Fault:
        return ""


def _is_booked(element: Element) -> bool:
    status = xml.text(element, "Sts/Cd", "Sts")
    if status != "BOOK" and status not in NOT_BOOKED:
        raise Fault("Sts", "a status that is not known here")
    return status == "BOOK"


def _direction(element: Element) -> Direction:
    code = xml.text(element, "CdtDbtInd")
    if code not in DIRECTIONS:
        raise Fault("CdtDbtInd", "neither CRDT nor DBIT")
    return DIRECTIONS[code]


def _is_return_code(element: Element) -> bool:
    return xml.text(element, "BkTxCd/Domn/Fmly/SubFmlyCd") == RETURNED


def _signed(lines: Sequence[Line]) -> int:
    return sum(
        line.money.amount_minor * (1 if line.direction == "credit" else -1)
        for line in lines
        if line.money is not None
    )


def _statement(
    element: Element, source: Source, where: str, taken: Collected, ordinal: int
) -> tuple[Statement, int]:
    """Put a container and the lines gathered in it together."""
    root = element.getparent()
    try:
        message_id = xml.identifier(element, "Id")
        if not message_id and root is not None:
            message_id = xml.identifier(root, "GrpHdr/MsgId")
    except Fault as fault:
        raise Unreadable(f"{where}/{fault.where}", fault.reason) from None
    if not message_id:
        raise Unreadable(f"{where}/Id", "missing")
    facts = Facts()
    try:
        facts = _facts(element, source)
    except Fault as fault:
        ordinal += 1
        taken.reject(ordinal=ordinal, where=f"{where}/{fault.where}", reason=fault.reason)
    if _is_unknown(facts.currency):
        # The lines say their own currencies; of the frame nothing can be concluded.
        taken.reject(ordinal=0, where=f"{where}/Acct/Ccy", reason=xml.CURRENCY_UNKNOWN)
    amounts = [m for m in (facts.opening, facts.closing, *(x.money for x in taken.lines)) if m]
    originals = taken.originals - {""}
    return Statement(
        source=source,
        message_id=message_id,
        original_message_id=originals.pop() if len(originals) == 1 else "",
        account=xml.text(element, "Acct/Id/IBAN", "Acct/Id/Othr/Id")[: xml.TEXT_MAX],
        currency=facts.currency or (amounts[0].currency if amounts else ""),
        sequence=facts.sequence,
        booked_on=facts.booked_on,
        opening=facts.opening,
        closing=facts.closing,
        lines=tuple(taken.lines),
        rejected=tuple(taken.rejected),
    ), ordinal


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """The head of a statement, apart from its lines."""

    currency: str = ""
    sequence: int | None = None
    booked_on: date | None = None
    opening: Money | None = None
    closing: Money | None = None


def _facts(element: Element, source: Source) -> Facts:
    digits = xml.text(element, "ElctrncSeqNb", "LglSeqNb")
    if digits and not (
        digits.isascii() and digits.isdecimal() and len(digits) <= SEQUENCE_DIGITS_MAX
    ):
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


def _is_unknown(currency: str) -> bool:
    return currency != "" and currency not in EXPONENTS


def _balance(balance: Element) -> Money:
    money = xml.amount(balance, "Amt")
    if money is None:
        raise Fault("Amt", "missing")
    sign = 1 if _direction(balance) == "credit" else -1
    return Money(amount_minor=sign * money.amount_minor, currency=money.currency)
