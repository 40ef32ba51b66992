"""pain.002: what the bank says about each payment of a file that we sent."""

from lxml.etree import _Element as Element

from ledger.formats import xml
from ledger.formats.xml import Fault, Unreadable
from ledger.money import Money
from ledger.statement import Line, RejectedLine, Statement, Status

VERSIONS = frozenset({"pain.002.001.03", "pain.002.001.10"})
UETR_MAX = 36
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


def read(content: bytes, message: str) -> Statement:
    """Read one status report. A line whose end-to-end id is "" speaks of the whole file."""
    lines: list[Line] = []
    rejected: list[RejectedLine] = []
    statement: Statement | None = None
    for element in xml.walk(content, message, DEPTHS):
        if element.tag.endswith("}TxInfAndSts"):
            ordinal = len(lines) + len(rejected) + 1
            try:
                lines.append(_transaction(element, ordinal))
            except Fault as fault:
                where = f"TxInfAndSts[{ordinal}]/{fault.where}"
                rejected.append(RejectedLine(ordinal=ordinal, where=where, reason=fault.reason))
        elif statement is None:
            statement = _report(element, lines, rejected)
    if statement is None:
        raise Unreadable("CstmrPmtStsRpt", "missing")
    return statement


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
    return _line(
        ordinal=ordinal,
        status=STATUSES[code],
        end_to_end_id=end_to_end_id,
        bank_reference=xml.identifier(element, "AcctSvcrRef"),
        uetr=xml.text(element, "OrgnlUETR")[:UETR_MAX],
        money=xml.amount(element, "OrgnlTxRef/Amt/InstdAmt"),
        reason=reasons,
    )


def _report(element: Element, lines: list[Line], rejected: list[RejectedLine]) -> Statement:
    original = "OrgnlGrpInfAndSts"
    try:
        message_id = xml.identifier(element, "GrpHdr/MsgId")
        original_message_id = xml.identifier(element, f"{original}/OrgnlMsgId")
        booked_on = xml.day(element, "GrpHdr/CreDtTm")
    except Fault as fault:
        raise Unreadable(f"CstmrPmtStsRpt/{fault.where}", fault.reason) from None
    if not message_id:
        raise Unreadable("GrpHdr/MsgId", "missing")
    if not lines and not rejected:
        _whole_file(element, lines, rejected)
    return Statement(
        source="pain.002",
        message_id=message_id,
        original_message_id=original_message_id,
        account="",
        currency=next((line.money.currency for line in lines if line.money), ""),
        sequence=None,
        booked_on=booked_on,
        opening=None,
        closing=None,
        lines=tuple(lines),
        rejected=tuple(rejected),
    )


def _whole_file(element: Element, lines: list[Line], rejected: list[RejectedLine]) -> None:
    """Add what a report without transactions says, if it says it of the file as a whole."""
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
        lines.append(
            _line(
                ordinal=1,
                status=STATUSES[code],
                end_to_end_id="",
                bank_reference="",
                money=None,
                reason=reason,
            )
        )
    elif batches or code != "RCVD":
        where = "OrgnlGrpInfAndSts/GrpSts"
        rejected.append(RejectedLine(ordinal=1, where=where, reason="no status that is known here"))


def _line(
    *,
    ordinal: int,
    status: Status,
    end_to_end_id: str,
    bank_reference: str,
    money: Money | None,
    reason: str,
    uetr: str = "",
) -> Line:
    return Line(
        source="pain.002",
        ordinal=ordinal,
        status=status,
        direction="debit",
        end_to_end_id=end_to_end_id,
        bank_reference=bank_reference,
        money=money,
        booked_on=None,
        reason=reason,
        uetr=uetr,
        provider_id=bank_reference,
    )
