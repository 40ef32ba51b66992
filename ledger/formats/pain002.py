"""pain.002: what the bank says about each payment of a file that we sent."""

from collections.abc import Iterator
from typing import BinaryIO

from lxml.etree import _Element as Element

from ledger.formats import xml
from ledger.formats.xml import Fault, Unreadable
from ledger.statement import Frame, Line, RejectedLine, Status

VERSIONS = frozenset({"pain.002.001.03", "pain.002.001.10"})
DEPTHS = {"TxInfAndSts": 3, "CstmrPmtStsRpt": 1}

# External payment status codes. RCVD and PART say nothing about one payment; CANC and BLCK need
# a person. None of them is guessed at.
STATUSES: dict[str, Status] = {
    "ACTC": "accepted",
    "ACCP": "accepted",
    "ACFC": "accepted",
    "ACSP": "accepted",
    "ACWC": "accepted",
    "ACWP": "accepted",
    "ACSC": "accepted",
    "ACCC": "accepted",
    "PDNG": "accepted",
    "RJCT": "rejected",
}


def read(file: BinaryIO, message: str) -> Iterator[Line | RejectedLine | Frame]:
    """Yield the lines of one status report and then its frame.

    A line whose end-to-end id is "" speaks of the whole file.
    """
    ordinal, currency = 0, ""
    for element in xml.walk(file, message, DEPTHS):
        if element.tag.endswith("}TxInfAndSts"):
            ordinal += 1
            try:
                line = _transaction(element, ordinal)
            except Fault as fault:
                where = f"TxInfAndSts[{ordinal}]/{fault.where}"
                yield RejectedLine(ordinal=ordinal, where=where, reason=fault.reason)
                continue
            currency = currency or (line.money.currency if line.money is not None else "")
            yield line
        else:
            frame = _report(element, currency)
            if ordinal == 0:
                yield from _whole_file(element)
            yield frame
            return
    raise Unreadable("CstmrPmtStsRpt", "missing")


def _transaction(element: Element, ordinal: int) -> Line:
    end_to_end_id = xml.identifier(element, "OrgnlEndToEndId")
    if not end_to_end_id:
        raise Fault("OrgnlEndToEndId", "missing")
    batch = element.getparent()
    # A transaction without a status of its own has that of its batch, or of the file.
    code = xml.text(element, "TxSts")
    reasons = xml.reason_code(element, "StsRsnInf")
    if not code and batch is not None:
        code = xml.text(batch, "PmtInfSts")
        reasons = reasons or xml.reason_code(batch, "StsRsnInf")
        root = batch.getparent()
        if not code and root is not None:
            code = xml.text(root, "OrgnlGrpInfAndSts/GrpSts")
    if code not in STATUSES:
        raise Fault("TxSts", "a status that is not known here")
    reference = xml.identifier(element, "AcctSvcrRef")
    return Line(
        source="pain.002",
        ordinal=ordinal,
        status=STATUSES[code],
        direction="debit",
        end_to_end_id=end_to_end_id,
        bank_reference=reference,
        money=xml.amount(element, "OrgnlTxRef/Amt/InstdAmt"),
        booked_on=None,
        reason=reasons,
        uetr=xml.text(element, "OrgnlUETR").lower()[: xml.UETR_CHARACTERS],
        provider_id=reference,
        batch_id="" if batch is None else xml.identifier(batch, "OrgnlPmtInfId"),
        account=xml.text(element, "OrgnlTxRef/CdtrAcct/Id/IBAN", "OrgnlTxRef/CdtrAcct/Id/Othr/Id")[
            : xml.TEXT_MAX
        ],
    )


def _report(element: Element, currency: str) -> Frame:
    try:
        message_id = xml.identifier(element, "GrpHdr/MsgId")
        original_message_id = xml.identifier(element, "OrgnlGrpInfAndSts/OrgnlMsgId")
        booked_on = xml.day(element, "GrpHdr/CreDtTm")
    except Fault as fault:
        raise Unreadable(f"CstmrPmtStsRpt/{fault.where}", fault.reason) from None
    if not message_id:
        raise Unreadable("GrpHdr/MsgId", "missing")
    return Frame(
        source="pain.002",
        message_id=message_id,
        original_message_id=original_message_id,
        account="",
        currency=currency,
        sequence=None,
        booked_on=booked_on,
        opening=None,
        closing=None,
    )


def _whole_file(element: Element) -> Iterator[Line | RejectedLine]:
    """Yield what a report without transactions says, if it says it of the file as a whole."""
    group = xml.find(element, "OrgnlGrpInfAndSts")
    batches = xml.find_all(element, "OrgnlPmtInfAndSts")
    code = xml.text(element, "OrgnlGrpInfAndSts/GrpSts")
    reason = xml.reason_code(element, "OrgnlGrpInfAndSts/StsRsnInf") if group is not None else ""
    if code not in STATUSES and batches:
        codes = {xml.text(batch, "PmtInfSts") for batch in batches}
        code = codes.pop() if len(codes) == 1 else ""
        reason = reason or next(
            filter(None, (xml.reason_code(b, "StsRsnInf") for b in batches)), ""
        )
    if code in STATUSES:
        yield Line(
            source="pain.002",
            ordinal=1,
            status=STATUSES[code],
            direction="debit",
            end_to_end_id="",
            bank_reference="",
            money=None,
            booked_on=None,
            reason=reason,
        )
    elif batches or code != "RCVD":
        where = "OrgnlGrpInfAndSts/GrpSts"
        yield RejectedLine(ordinal=1, where=where, reason="no status that is known here")
