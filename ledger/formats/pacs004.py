"""pacs.004: payments that had settled and come back."""

from datetime import date

from lxml.etree import _Element as Element

from ledger.formats import xml
from ledger.formats.xml import Fault, Unreadable
from ledger.statement import Line, RejectedLine, Statement

VERSIONS = frozenset({"pacs.004.001.09"})
DEPTHS = {"GrpHdr": 2, "TxInf": 2, "PmtRtr": 1}


def read(content: bytes, message: str) -> Statement:
    """Read one return message: each transaction is a credit to our account."""
    lines: list[Line] = []
    rejected: list[RejectedLine] = []
    statement: Statement | None = None
    settled_on: date | None = None
    for element in xml.walk(content, message, DEPTHS):
        if element.tag.endswith("}GrpHdr"):
            settled_on, statement = _header(element)
        elif element.tag.endswith("}TxInf"):
            ordinal = len(lines) + len(rejected) + 1
            try:
                lines.append(_transaction(element, ordinal, settled_on))
            except Fault as fault:
                where = f"TxInf[{ordinal}]/{fault.where}"
                rejected.append(RejectedLine(ordinal=ordinal, where=where, reason=fault.reason))
        elif statement is not None:
            return _finish(element, statement, lines, rejected)
    raise Unreadable("PmtRtr/GrpHdr", "missing")


def _header(element: Element) -> tuple[date | None, Statement]:
    try:
        message_id = xml.identifier(element, "MsgId")
        booked_on = xml.day(element, "IntrBkSttlmDt", "CreDtTm")
        total = xml.amount(element, "TtlRtrdIntrBkSttlmAmt")
    except Fault as fault:
        raise Unreadable(f"GrpHdr/{fault.where}", fault.reason) from None
    if not message_id:
        raise Unreadable("GrpHdr/MsgId", "missing")
    return booked_on, Statement(
        source="pacs.004",
        message_id=message_id,
        original_message_id="",
        account="",
        currency=total.currency if total is not None else "",
        sequence=None,
        booked_on=booked_on,
        opening=None,
        closing=None,
        lines=(),
        rejected=(),
    )


def _transaction(element: Element, ordinal: int, settled_on: date | None) -> Line:
    money = xml.amount(element, "RtrdIntrBkSttlmAmt", "RtrdInstdAmt")
    if money is None:
        raise Fault("RtrdIntrBkSttlmAmt", "missing")
    return Line(
        source="pacs.004",
        ordinal=ordinal,
        status="returned",
        direction="credit",
        end_to_end_id=xml.identifier(element, "OrgnlEndToEndId"),
        bank_reference=xml.identifier(element, "RtrId"),
        money=money,
        booked_on=xml.day(element, "IntrBkSttlmDt") or settled_on,
        reason=xml.reason_code(element, "RtrRsnInf"),
    )


def _finish(
    element: Element, header: Statement, lines: list[Line], rejected: list[RejectedLine]
) -> Statement:
    try:
        original = xml.identifier(element, "OrgnlGrpInf/OrgnlMsgId")
    except Fault as fault:
        raise Unreadable(fault.where, fault.reason) from None
    return Statement(
        source=header.source,
        message_id=header.message_id,
        original_message_id=original,
        account="",
        currency=header.currency
        or next((line.money.currency for line in lines if line.money is not None), ""),
        sequence=None,
        booked_on=header.booked_on,
        opening=None,
        closing=None,
        lines=tuple(lines),
        rejected=tuple(rejected),
    )
