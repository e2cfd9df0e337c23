"""Amounts keep their sign and the digits that matter."""

import pytest

from churn.bundle.money import format_amount


@pytest.mark.parametrize(
    ("amount", "currency", "text"),
    [
        (-1234.4, "€", "−€1,234"),
        (12.345, "EUR", "12.35 EUR"),
        (100.4, None, "100"),
        (99.5, None, "99.50"),
        (-12.0, None, "−12"),
        (-0.001, None, "0"),
    ],
)
def test_an_amount_keeps_its_sign_and_two_decimals_below_a_hundred(amount, currency, text):
    assert format_amount(amount, currency) == text
