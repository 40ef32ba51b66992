"""One entry of a camt.053 or camt.054: a movement on the account, and the payments it is made of.

An entry is read in one pass over its children: to look for each field by its path took four times
as long as lxml needs to read the file.
"""

from collections.abc import Mapping, Sequence
from datetime import date
from functools import cache
from typing import Literal

from lxml.etree import _Element as Element

from ledger.formats import xml
from ledger.formats.xml import Fault
from ledger.money import EXPONENTS, Money
from ledger.statement import Line, Source, Status

NOT_BOOKED = frozenset({"PDNG", "INFO", "FUTR"})
RETURNED = "RRTN"  # sub-family: a payment that came back
COUNT_DIGITS_MAX = 9

Direction = Literal["debit", "credit"]
DIRECTIONS: dict[str, Direction] = {"DBIT": "debit", "CRDT": "credit"}
OTHER_SIDE: dict[Direction, tuple[str, str]] = {
    "debit": ("creditor", "debtor"),
    "credit": ("debtor", "creditor"),
}

Spec = Mapping[str, "str | Spec"]
Fields = dict[str, str]
Parts = dict[str, list[Element]]

# Where each field stands. "=" before a name: its elements are kept, to be read by themselves.
_CODE: Spec = {"Domn": {"Fmly": {"SubFmlyCd": "code"}}}
_ACCOUNT_CREDITOR: Spec = {"Id": {"IBAN": "creditor", "Othr": {"Id": "creditor"}}}
_ACCOUNT_DEBTOR: Spec = {"Id": {"IBAN": "debtor", "Othr": {"Id": "debtor"}}}
ENTRY: Spec = {
    "NtryRef": "NtryRef",
    "Amt": "=Amt",
    "CdtDbtInd": "CdtDbtInd",
    "RvslInd": "RvslInd",
    "Sts": "=Sts",
    "BookgDt": {"Dt": "BookgDt/Dt", "DtTm": "BookgDt/DtTm"},
    "ValDt": {"Dt": "ValDt/Dt", "DtTm": "ValDt/DtTm"},
    "AcctSvcrRef": "AcctSvcrRef",
    "BkTxCd": _CODE,
    "Chrgs": "=Chrgs",
    "NtryDtls": {
        "Btch": {"MsgId": "Btch/MsgId", "PmtInfId": "Btch/PmtInfId", "NbOfTxs": "NbOfTxs"},
        "TxDtls": "=TxDtls",
    },
    "AddtlNtryInf": "AddtlNtryInf",
}
DETAIL: Spec = {
    "Refs": {
        "MsgId": "Refs/MsgId",
        "PmtInfId": "Refs/PmtInfId",
        "EndToEndId": "Refs/EndToEndId",
        "UETR": "UETR",
        "AcctSvcrRef": "Refs/AcctSvcrRef",
    },
    "Amt": "=Amt",
    "AmtDtls": {"TxAmt": {"Amt": "=TxAmt"}, "InstdAmt": {"Amt": "=InstdAmt"}},
    "CdtDbtInd": "CdtDbtInd",
    "BkTxCd": _CODE,
    "RltdPties": {"CdtrAcct": _ACCOUNT_CREDITOR, "DbtrAcct": _ACCOUNT_DEBTOR},
    "RmtInf": {"Ustrd": "Ustrd"},
    "RtrInf": "=RtrInf",
    "AddtlTxInf": "AddtlTxInf",
}
AMOUNT_PATHS = {"Amt": "Amt", "TxAmt": "AmtDtls/TxAmt/Amt", "InstdAmt": "AmtDtls/InstdAmt/Amt"}


@cache
def spelled(namespace: str, entry: bool) -> Spec:
    """Return ENTRY or DETAIL with every name in a namespace, as lxml gives tags."""

    def inside(spec: Spec) -> Spec:
        return {
            f"{namespace}{name}": what if isinstance(what, str) else inside(what)
            for name, what in spec.items()
        }

    return inside(ENTRY if entry else DETAIL)


def gather(element: Element, spec: Spec, fields: Fields, parts: Parts) -> None:
    """Read the texts (the first of a name; of several remittances, all) and keep the parts."""
    for child in element:
        what = spec.get(child.tag)
        if what is None:
            continue
        if not isinstance(what, str):
            gather(child, what, fields, parts)
        elif what[0] == "=":
            parts.setdefault(what[1:], []).append(child)
        else:
            value = child.text
            if value is not None and what not in fields:
                fields[what] = value.strip()
            elif value is not None and what == "Ustrd":
                fields["Ustrd"] += f" {value.strip()}"


class Entry:
    """An entry as it stands in the file; raises Fault where it can't be read."""

    __slots__ = (
        "details",
        "direction",
        "fees",
        "fields",
        "is_booked",
        "money",
        "originals",
        "parts",
        "returns",
    )

    def __init__(self, element: Element) -> None:
        self.fields: Fields = {}
        self.parts: Parts = {}
        namespace = f"{str(element.tag).partition('}')[0]}}}"
        gather(element, spelled(namespace, entry=True), self.fields, self.parts)
        self.details = self.parts.get("TxDtls", [])
        self.originals: list[str] = []  # the messages of ours that its details name
        self.is_booked = _is_booked(self.parts.get("Sts", []))
        self.direction = _direction(self.fields.get("CdtDbtInd", ""))
        amounts = self.parts.get("Amt")
        if not amounts:
            raise Fault("Amt", "missing")
        self.money = _amount(amounts[0], "Amt")
        back = self.fields.get("RvslInd") in ("true", "1") or self.fields.get("code") == RETURNED
        self.returns = back
        self.fees = _fees(self.parts["Chrgs"]) if "Chrgs" in self.parts else None

    def alone(self, source: Source, ordinal: int) -> Line:
        """Return the entry as one movement, without its details."""
        return _line(self, None, source=source, ordinal=ordinal)

    def lines(self, source: Source, ordinal: int) -> tuple[list[Line], bool]:
        """Return the entry's lines, and whether its details carry what it moved.

        One detail tells more of the entry; several stand for it where they add up, and the entry
        stands for itself where they don't.
        """
        if not self.details:
            return [self.alone(source, ordinal)], True
        details = [Detail(element) for element in self.details]
        self.originals = [detail.fields.get("Refs/MsgId", "") for detail in details]
        shares = [detail.share(self) for detail in details]
        if len(details) == 1:
            share = shares[0]
            line = _line(self, details[0], source=source, ordinal=ordinal)
            return [line], share is None or share == (self.money, self.direction)
        full = [share for share in shares if share is not None]
        if len(full) < len(details) or _signed(full) != _signed([(self.money, self.direction)]):
            return [self.alone(source, ordinal)], False
        return [
            _line(self, detail, source=source, ordinal=ordinal + n, share=share, place=n + 1)
            for n, (detail, share) in enumerate(zip(details, full, strict=True))
        ], True


class Detail:
    """One payment of an entry."""

    __slots__ = ("fields", "parts", "returns")

    def __init__(self, element: Element) -> None:
        self.fields: Fields = {}
        self.parts: Parts = {}
        namespace = f"{str(element.tag).partition('}')[0]}}}"
        gather(element, spelled(namespace, entry=False), self.fields, self.parts)
        self.returns = "RtrInf" in self.parts or self.fields.get("code") == RETURNED

    def share(self, entry: Entry) -> tuple[Money, Direction] | None:
        """Return what of the entry is this one's; None where it has no amount.

        An amount in another currency is what was ordered, not what moved on the account.
        """
        name = next((name for name in AMOUNT_PATHS if name in self.parts), None)
        if name is None:
            return None
        money = _amount(self.parts[name][0], AMOUNT_PATHS[name])
        if money.currency != entry.money.currency:
            return None
        own = self.fields.get("CdtDbtInd")
        return money, entry.direction if own is None else _direction(own)


def _line(
    entry: Entry,
    detail: Detail | None,
    *,
    source: Source,
    ordinal: int,
    share: tuple[Money, Direction] | None = None,
    place: int = 0,
) -> Line:
    money, direction = (entry.money, entry.direction) if share is None else share
    fields: Fields = {} if detail is None else detail.fields
    whole = entry.fields
    own = _identifier(fields, "Refs/AcctSvcrRef")
    reference = _identifier(whole, "AcctSvcrRef") or _identifier(whole, "NtryRef")
    back = direction == "credit" and (entry.returns or (detail is not None and detail.returns))
    status: Status = "returned" if back else "booked"
    first, second = OTHER_SIDE[direction]
    # What several payments share can't tell them from each other, unless their place does.
    identity = f"{reference}/{place}" if place and reference and not own else ""
    return Line(
        source=source,
        ordinal=ordinal,
        status=status,
        direction=direction,
        end_to_end_id=_identifier(fields, "Refs/EndToEndId"),
        bank_reference=own or reference,
        money=money,
        booked_on=_day(whole, "BookgDt"),
        reason="" if detail is None else _reason(detail.parts.get("RtrInf", ())),
        uetr=fields.get("UETR", "").lower()[: xml.UETR_CHARACTERS],
        batch_id=_batch(whole, fields),
        batch_count=None if entry.details else _count(whole.get("NbOfTxs", "")),
        account=(fields.get(first) or fields.get(second) or "")[: xml.TEXT_MAX],
        reference=_said(whole, fields),
        value_on=_day(whole, "ValDt"),
        fees=entry.fees if place < 2 else None,
        identity=identity,
    )


def _is_booked(statuses: Sequence[Element]) -> bool:
    status = xml.text(statuses[0], "Cd") or (statuses[0].text or "").strip() if statuses else ""
    if status != "BOOK" and status not in NOT_BOOKED:
        raise Fault("Sts", "a status that is not known here")
    return status == "BOOK"


def _direction(code: str) -> Direction:
    if code not in DIRECTIONS:
        raise Fault("CdtDbtInd", "neither CRDT nor DBIT")
    return DIRECTIONS[code]


def _amount(element: Element, path: str) -> Money:
    return xml.money_of((element.text or "").strip(), element.get("Ccy") or "", path)


def _identifier(fields: Fields, name: str) -> str:
    value = fields.get(name, "")
    if len(value) > xml.IDENTIFIER_MAX:
        raise Fault(name, f"longer than {xml.IDENTIFIER_MAX} characters")
    return "" if value == xml.NOT_PROVIDED else value


def _day(fields: Fields, name: str) -> date | None:
    for path in (f"{name}/Dt", f"{name}/DtTm"):
        value = fields.get(path)
        if value:
            return xml.day_of(value, path)
    return None


def _count(digits: str) -> int | None:
    if not digits.isascii() or not digits.isdecimal() or len(digits) > COUNT_DIGITS_MAX:
        return None
    return int(digits) or None


def _batch(whole: Fields, fields: Fields) -> str:
    """Return what the booking names of our batch; a name that is no id of ours names none."""
    for value in (
        whole.get("Btch/PmtInfId"),
        fields.get("Refs/PmtInfId"),
        fields.get("Refs/MsgId"),
        whole.get("Btch/MsgId"),
    ):
        if value and value != xml.NOT_PROVIDED and len(value) <= xml.IDENTIFIER_MAX:
            return value
    return ""


def _said(whole: Fields, fields: Fields) -> str:
    words = (fields.get("Ustrd"), fields.get("AddtlTxInf"), whole.get("AddtlNtryInf"))
    return " ".join(word for word in words if word)[: xml.REFERENCE_MAX]


def _reason(elements: Sequence[Element]) -> str:
    return next(filter(None, (xml.code_of(element) for element in elements)), "")


def _fees(elements: Sequence[Element]) -> Money | None:
    """Return the charges of an entry; None where they can't be told for certain."""
    total: Money | None = None
    for element in elements:
        whole = xml.find(element, "TtlChrgsAndTaxAmt")
        amounts = [whole] if whole is not None else xml.find_all(element, "Amt")
        for amount in amounts or xml.find_all(element, "Rcrd/Amt"):
            if (amount.get("Ccy") or "") not in EXPONENTS:
                return None
            try:
                one = _amount(amount, "Chrgs")
                total = one if total is None else total + one
            except ValueError:
                return None
    return total


def _signed(shares: Sequence[tuple[Money, Direction]]) -> int:
    return sum(
        money.amount_minor if direction == "credit" else -money.amount_minor
        for money, direction in shares
    )
