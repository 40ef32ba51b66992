"""pacs.004: payments that had settled and come back."""

from collections.abc import Iterator
from datetime import date
from typing import BinaryIO

import msgspec
from lxml.etree import _Element as Element

from ledger.formats import xml
from ledger.formats.xml import Fault, Unreadable
from ledger.statement import Frame, Line, RejectedLine

VERSIONS = frozenset(f"pacs.004.001.{version:02d}" for version in range(2, 12))
DEPTHS = {"GrpHdr": 2, "TxInf": 2, "PmtRtr": 1}


def read(file: BinaryIO, message: str) -> Iterator[Line | RejectedLine | Frame]:
    """Yield the transactions of one return message, each a credit to our account; then its frame.

    The message's element is PmtRtr since version .02.
    """
    frame: Frame | None = None
    settled_on: date | None = None
    ordinal, currency = 0, ""
    for element in xml.walk(file, message, DEPTHS):
        if element.tag.endswith("}GrpHdr"):
            settled_on, frame = _header(element)
        elif element.tag.endswith("}TxInf"):
            ordinal += 1
            try:
                line = _transaction(element, ordinal, settled_on)
            except Fault as fault:
                where = f"TxInf[{ordinal}]/{fault.where}"
                yield RejectedLine(ordinal=ordinal, where=where, reason=fault.reason)
                continue
            currency = currency or (line.money.currency if line.money is not None else "")
            yield line
        elif frame is not None:
            yield _finish(element, frame, currency)
            return
    raise Unreadable("PmtRtr/GrpHdr", "missing")


def _header(element: Element) -> tuple[date | None, Frame]:
    try:
        message_id = xml.identifier(element, "MsgId")
        booked_on = xml.day(element, "IntrBkSttlmDt", "CreDtTm")
        total = xml.amount(element, "TtlRtrdIntrBkSttlmAmt")
    except Fault as fault:
        raise Unreadable(f"GrpHdr/{fault.where}", fault.reason) from None
    if not message_id:
        raise Unreadable("GrpHdr/MsgId", "missing")
    return booked_on, Frame(
        source="pacs.004",
        message_id=message_id,
        original_message_id="",
        account="",
        currency=total.currency if total is not None else "",
        sequence=None,
        booked_on=booked_on,
        opening=None,
        closing=None,
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
        uetr=xml.text(element, "OrgnlUETR").lower()[: xml.UETR_CHARACTERS],
        batch_id=xml.identifier(element, "OrgnlGrpInf/OrgnlMsgId"),
        account=xml.text(element, "OrgnlTxRef/CdtrAcct/Id/IBAN", "OrgnlTxRef/CdtrAcct/Id/Othr/Id")[
            : xml.TEXT_MAX
        ],
    )


def _finish(element: Element, frame: Frame, currency: str) -> Frame:
    try:
        original = xml.identifier(element, "OrgnlGrpInf/OrgnlMsgId")
    except Fault as fault:
        raise Unreadable(fault.where, fault.reason) from None
    return msgspec.structs.replace(
        frame, original_message_id=original, currency=frame.currency or currency
    )
