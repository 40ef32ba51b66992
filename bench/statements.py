"""A bank's files about payments, with differences of every kind put in, and the truth about them.

A generator with truth: it knows of each payment what it did to it, and never looks at how matching
works. About two in a hundred lines are touched.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from itertools import islice
from pathlib import Path
from random import Random

SHARE = 0.02
ACCOUNT = "00219112345678901234"
OPENING = 10**15
# A CCI that is nobody's here.
STRANGE = "01124100019000658270"
# Kinds that touch one payment each; the others belong to no payment and come in small numbers.
OF_PAYMENT = (
    "instructed_not_paid",
    "amount_differs",
    "currency_differs",
    "paid_twice",
    "line_twice",
    "late_return",
    "paid_after_void",
    "fsp_and_bank_disagree",
    "wrong_beneficiary",
)
OF_NONE = ("paid_not_instructed", "credit_unexplained", "status_unexplained", "line_unreadable")
FRAMES = ("statement_gap", "statement_unbalanced")


@dataclass(frozen=True)
class Paid:
    """A payment as it was instructed."""

    end_to_end_id: str
    minor: int


@dataclass(kw_only=True)
class Truth:
    """What was done: the end-to-end ids by kind of break, and which were simply paid or ended."""

    plain: set[str] = field(default_factory=set)
    voided: set[str] = field(default_factory=set)
    by_kind: dict[str, list[str]] = field(default_factory=dict)

    def put(self, kind: str, end_to_end_id: str, *, times: int = 1) -> None:
        self.by_kind.setdefault(kind, []).extend([end_to_end_id] * times)


class Bank:
    """Decides what happened to each payment, and writes the files that tell it."""

    def __init__(self, payments: Sequence[Paid], *, seed: int, on: date) -> None:
        self._rng = Random(seed)
        self._on = on.isoformat()
        self._payments = list(payments)
        self._rng.shuffle(self._payments)
        self.truth = Truth()
        self._what: dict[str, str] = {}
        many = max(len(OF_PAYMENT), int(len(payments) * SHARE))
        for place, payment in enumerate(self._payments):
            kind = OF_PAYMENT[place % len(OF_PAYMENT)] if place < many else "plain"
            self._what[payment.end_to_end_id] = kind
            self._tell(payment.end_to_end_id, kind)
        self._rng.shuffle(self._payments)
        self._strays = max(2, len(payments) // 2_000)
        for n in range(self._strays):
            for kind in OF_NONE[:3]:
                self.truth.put(kind, self._stray(kind, n))
        self.truth.put("line_unreadable", "")
        for kind in FRAMES:
            self.truth.put(kind, "")

    def _tell(self, end_to_end_id: str, kind: str) -> None:
        if kind == "plain":
            self.truth.plain.add(end_to_end_id)
            return
        if kind in ("late_return", "paid_after_void"):
            self.truth.voided.add(end_to_end_id)
        if kind == "line_twice":
            self.truth.plain.add(end_to_end_id)
        # Two debits at once, and a rejection beside a debit, are two lines that do not fit.
        both = kind in ("paid_twice", "fsp_and_bank_disagree")
        self.truth.put(kind, end_to_end_id, times=2 if both else 1)

    @staticmethod
    def _stray(kind: str, n: int) -> str:
        return f"{kind[:8]}-{n:06d}"

    def of(self, *kinds: str) -> Iterator[Paid]:
        return (p for p in self._payments if self._what[p.end_to_end_id] in kinds)

    def rejections(self, *, earlier: bool) -> bytes:
        """pain.002: what ended before any money was seen, or what a debit contradicts."""
        kinds = ("late_return", "paid_after_void") if earlier else ("fsp_and_bank_disagree",)
        told = [(payment.end_to_end_id, "RJCT") for payment in self.of(*kinds)]
        if not earlier:
            told += [(self._stray("status_unexplained", n), "ACSP") for n in range(self._strays)]
        return _report("early" if earlier else "late", told)

    def statement(self) -> Iterator[bytes]:
        """camt.053 of the day, in pieces: every debit of it, and what no instruction explains."""
        moved = sum(change for _, change in self._entries())
        self._closing = OPENING + moved
        yield from _statement(
            "D1", 1, "PEN", OPENING, self._closing, self._on, (text for text, _ in self._entries())
        )

    def _entries(self) -> Iterator[tuple[str, int]]:
        """Each entry with what it does to the balance."""
        for place, payment in enumerate(self._payments):
            kind = self._what[payment.end_to_end_id]
            if kind in ("instructed_not_paid", "currency_differs"):
                continue
            minor, e2e = payment.minor, payment.end_to_end_id
            if kind == "late_return":
                yield self._entry(e2e, minor, f"R{place}", credit=True), minor
                continue
            if kind == "amount_differs":
                minor += 1
            account = STRANGE if kind == "wrong_beneficiary" else ""
            yield self._entry(e2e, minor, f"B{place}", account=account), -minor
            if kind == "paid_twice":
                yield self._entry(e2e, minor, f"T{place}"), -minor
        for n in range(self._strays):
            yield self._entry(self._stray("paid_not_instructed", n), 777, f"S{n}"), -777
            strange = self._stray("credit_unexplained", n)
            yield self._entry(strange, 555, f"C{n}", credit=True), 555
        yield self._entry("", 100, "U1").replace(">1.00<", ">un sol<"), 0

    def more_statements(self) -> Iterator[bytes]:
        """What came in another currency, the same movements again, a gap, sums that don't fit."""
        other = [
            self._entry(payment.end_to_end_id, payment.minor, f"B{place}", currency="USD")
            for place, payment in enumerate(self._payments)
            if self._what[payment.end_to_end_id] == "currency_differs"
        ]
        moved = sum(payment.minor for payment in self.of("currency_differs"))
        yield b"".join(_statement("D2", 1, "USD", OPENING, OPENING - moved, self._on, other))
        again = [
            self._entry(payment.end_to_end_id, payment.minor, f"B{place}")
            for place, payment in enumerate(self._payments)
            if self._what[payment.end_to_end_id] == "line_twice"
        ]
        moved = sum(payment.minor for payment in self.of("line_twice"))
        closing = self._closing - moved
        yield b"".join(_statement("D3", 2, "PEN", self._closing, closing, self._on, again))
        # Number 3 is missing; and number 4 does not add up.
        yield b"".join(_statement("D4", 4, "PEN", closing, closing - 5, self._on, []))

    def _entry(
        self,
        end_to_end_id: str,
        minor: int,
        reference: str,
        *,
        credit: bool = False,
        currency: str = "PEN",
        account: str = "",
    ) -> str:
        way = "CRDT" if credit else "DBIT"
        named = f"<Refs><EndToEndId>{end_to_end_id}</EndToEndId></Refs>" if end_to_end_id else ""
        to = f"<CdtrAcct><Id><Othr><Id>{account}</Id></Othr></Id></CdtrAcct>" if account else ""
        to = f"<RltdPties>{to}</RltdPties>" if to else ""
        back = "<RtrInf><Rsn><Cd>AC04</Cd></Rsn></RtrInf>" if reference.startswith("R") else ""
        return (
            f'<Ntry><Amt Ccy="{currency}">{minor // 100}.{minor % 100:02d}</Amt>'
            f"<CdtDbtInd>{way}</CdtDbtInd><Sts><Cd>BOOK</Cd></Sts>"
            f"<BookgDt><Dt>{self._on}</Dt></BookgDt><AcctSvcrRef>{reference}</AcctSvcrRef>"
            f"<NtryDtls><TxDtls>{named}{to}{back}</TxDtls></NtryDtls></Ntry>\n"
        )


def _statement(
    name: str,
    sequence: int,
    currency: str,
    opening: int,
    closing: int,
    on: str,
    entries: Iterable[str],
) -> Iterator[bytes]:
    yield (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"><BkToCstmrStmt>'
        f"<GrpHdr><MsgId>{name}</MsgId><CreDtTm>{on}T23:00:00Z</CreDtTm></GrpHdr>"
        f"<Stmt><Id>{name}</Id><ElctrncSeqNb>{sequence}</ElctrncSeqNb>"
        f"<CreDtTm>{on}T23:00:00Z</CreDtTm>"
        f"<Acct><Id><Othr><Id>{ACCOUNT}</Id></Othr></Id><Ccy>{currency}</Ccy></Acct>"
        f"{_balance('OPBD', opening, currency, on)}{_balance('CLBD', closing, currency, on)}\n"
    ).encode()
    left = iter(entries)
    while some := list(islice(left, 1_000)):
        yield "".join(some).encode()
    yield b"</Stmt></BkToCstmrStmt></Document>"


def _balance(code: str, minor: int, currency: str, on: str) -> str:
    return (
        f"<Bal><Tp><CdOrPrtry><Cd>{code}</Cd></CdOrPrtry></Tp>"
        f'<Amt Ccy="{currency}">{minor // 100}.{minor % 100:02d}</Amt>'
        f"<CdtDbtInd>CRDT</CdtDbtInd><Dt><Dt>{on}</Dt></Dt></Bal>"
    )


def _report(name: str, told: Sequence[tuple[str, str]]) -> bytes:
    lines = "".join(
        f"<TxInfAndSts><OrgnlEndToEndId>{end_to_end_id}</OrgnlEndToEndId><TxSts>{status}</TxSts>"
        "<StsRsnInf><Rsn><Cd>AC04</Cd></Rsn></StsRsnInf></TxInfAndSts>\n"
        for end_to_end_id, status in told
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<Document xmlns="urn:iso:std:iso:20022:tech:xsd:pain.002.001.10"><CstmrPmtStsRpt>'
        f"<GrpHdr><MsgId>{name}</MsgId><CreDtTm>2026-03-02T00:00:00Z</CreDtTm></GrpHdr>"
        f"<OrgnlGrpInfAndSts><OrgnlMsgId>{name}</OrgnlMsgId>"
        "<OrgnlMsgNmId>pain.001.001.09</OrgnlMsgNmId></OrgnlGrpInfAndSts>"
        f"<OrgnlPmtInfAndSts><OrgnlPmtInfId>p</OrgnlPmtInfId>{lines}</OrgnlPmtInfAndSts>"
        "</CstmrPmtStsRpt></Document>"
    ).encode()


def write_files(payments: Sequence[Paid], folder: Path, *, seed: int, on: date) -> None:
    """Write all files, in the order in which a bank sends them, and the truth beside them."""
    bank = Bank(payments, seed=seed, on=on)
    (folder / "0-early.xml").write_bytes(bank.rejections(earlier=True))
    with (folder / "1-large.xml").open("wb") as file:
        file.writelines(bank.statement())
    (folder / "2-late.xml").write_bytes(bank.rejections(earlier=False))
    for number, content in enumerate(bank.more_statements(), start=3):
        (folder / f"{number}-more.xml").write_bytes(content)
    truth = {"plain": sorted(bank.truth.plain), "by_kind": bank.truth.by_kind}
    (folder / "truth.json").write_text(json.dumps(truth), encoding="ascii")
