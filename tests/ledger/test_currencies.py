"""Bank messages in a currency that is not known here: that part is refused, the rest is read."""

import pytest

from ledger.formats.read import read
from tests.ledger.test_formats import (
    balance,
    camt,
    container,
    detail,
    entry,
    facts,
    pacs,
    pain,
    returned,
    status,
)


def in_zzz(content):
    return content.replace("PEN", "ZZZ")


@pytest.mark.parametrize(
    "content",
    [
        camt(in_zzz(entry(detail())) + entry(detail("p2"))),
        pacs(in_zzz(returned()) + returned(end_to_end_id="p2")),
        pain(
            status(
                "ACCP",
                more='<OrgnlTxRef><Amt><InstdAmt Ccy="ZZZ">1</InstdAmt></Amt></OrgnlTxRef>',
            )
            + status("ACCP", "p2")
        ),
    ],
)
def test_a_line_in_an_unknown_currency_is_rejected_and_the_rest_is_read(content):
    found = read(content)
    assert [line.end_to_end_id for line in found.lines] == ["p2"]
    assert [rejected.reason for rejected in found.rejected] == ["currency unknown"]


@pytest.mark.parametrize("balances_too", [False, True])
def test_an_account_in_an_unknown_currency_has_no_balances_and_its_lines_are_read(balances_too):
    balances = balance("OPBD", "20.00") + balance("CLBD", "10.00")
    inner = container(
        "camt.053", (in_zzz(balances) if balances_too else balances) + entry(detail())
    ).replace("<Ccy>PEN</Ccy>", "<Ccy>ZZZ</Ccy>")
    found = read(camt(inner))
    assert (found.currency, found.opening, found.closing) == ("ZZZ", None, None)
    assert [facts(line) for line in found.lines] == [("booked", "debit", "p1", 1000, "")]
    assert [(r.ordinal, r.where, r.reason) for r in found.rejected] == [
        (0, "Stmt[1]/Acct/Ccy", "currency unknown")
    ]
