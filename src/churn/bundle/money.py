"""Amounts of money for people."""

from __future__ import annotations

SYMBOLS = ("$", "€", "£", "¥")  # stand before the amount


def format_amount(amount: float, currency: str | None = None) -> str:
    """An amount with its currency: whole units from 100 on, two decimals below.

    >>> format_amount(-1234.4, "€"), format_amount(12.345, "EUR")
    ('−€1,234', '12.35 EUR')
    """
    number = f"{abs(amount):,.0f}" if abs(amount) >= 100 else f"{abs(amount):.2f}".removesuffix(".00")
    sign = "−" if amount < 0 and number != "0" else ""
    if currency in SYMBOLS:
        return f"{sign}{currency}{number}"
    return f"{sign}{number} {currency}" if currency else f"{sign}{number}"
