import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.money import EXPONENTS, MINOR_MAX, Money, exponent, parse, split, total

currencies = st.sampled_from(sorted(EXPONENTS))
amounts = st.integers(-(10**15), 10**15)


@given(amounts, currencies)
def test_an_amount_reads_back_as_it_was_written(amount_minor, currency):
    money = Money(amount_minor=amount_minor, currency=currency)
    assert parse(str(money), currency) == money


@given(amounts, amounts, currencies)
def test_what_is_added_can_be_taken_away(one, other, currency):
    a, b = (Money(amount_minor=n, currency=currency) for n in (one, other))
    assert (a + b) - b == a
    assert total([a, b], currency) == b + a


@given(st.text(max_size=12), currencies)
def test_any_text_is_an_amount_or_refused(amount, currency):
    try:
        money = parse(amount, currency)
    except ValueError:
        return
    assert parse(str(money), currency) == money


@pytest.mark.parametrize(
    ("amount", "currency", "amount_minor"),
    [
        ("760", "PEN", 76_000),
        ("760.5", "PEN", 76_050),
        ("760.500", "PEN", 76_050),
        ("-0.01", "PEN", -1),
        ("100", "CLP", 100),
        ("100.00", "CLP", 100),
        ("1.234", "KWD", 1_234),
    ],
)
def test_the_decimals_are_those_of_the_currency(amount, currency, amount_minor):
    assert parse(amount, currency).amount_minor == amount_minor


@pytest.mark.parametrize("amount", ["", "1,5", "1.", ".5", "1.005", "1e3", "+1", "NaN", "1 000"])
def test_what_is_not_plainly_an_amount_is_refused(amount):
    with pytest.raises(ValueError, match="decimal"):
        parse(amount, "PEN")


def test_currencies_do_not_mix_and_unknown_ones_are_refused():
    with pytest.raises(ValueError, match="PEN"):
        Money(amount_minor=1, currency="USD") + Money(amount_minor=1, currency="PEN")
    with pytest.raises(ValueError, match="not known"):
        exponent("XXX")
    with pytest.raises(ValueError, match="18 digits"):
        Money(amount_minor=MINOR_MAX + 1, currency="PEN")


@given(
    st.integers(0, 10**15),
    st.lists(st.integers(0, 10**6), min_size=1, max_size=8).filter(any),
    currencies,
)
def test_splitting_loses_no_unit_and_keeps_within_one_of_the_share(minor, weights, currency):
    parts = split(Money(amount_minor=minor, currency=currency), weights)
    assert total(parts, currency).amount_minor == minor
    for part, weight in zip(parts, weights, strict=True):
        share, rest = divmod(minor * weight, sum(weights))
        assert share <= part.amount_minor <= share + (rest > 0)


def test_of_equal_remainders_the_earliest_gets_the_unit():
    parts = split(Money(amount_minor=100, currency="PEN"), (1, 1, 1))
    assert [part.amount_minor for part in parts] == [34, 33, 33]


@pytest.mark.parametrize(("minor", "weights"), [(1, ()), (1, (0, 0)), (1, (2, -1)), (-1, (1,))])
def test_what_can_not_be_split_is_refused(minor, weights):
    with pytest.raises(ValueError, match="split by weights"):
        split(Money(amount_minor=minor, currency="PEN"), weights)
