import numpy as np
import pandas as pd
import pytest

from churn.config.data import DataConfig
from churn.data.infer.number_format import check_number_format
from churn.data.infer.roles import value_table


def told(*texts: str, **keys) -> str:
    column = pd.Series(np.repeat(texts, 10), dtype="str")
    return str(check_number_format("x", value_table(column, DataConfig(**keys))) or "")


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (("29,85", "1889,5", "7"), "\"data.decimal=','\";"),
        (("1,234.50", "950.00"), "\"data.thousands=','\";"),
        (("1.234,50", "950,00"), "\"data.thousands='.'\" \"data.decimal=','\";"),
        (("1,234,567", "950"), "\"data.thousands=','\";"),
        (("1.234.567", "950"), "\"data.thousands='.'\";"),
        (("1 234", "950"), "\"data.thousands=' '\";"),
        (
            ("1,234", "950"),
            "\"data.decimal=','\" if '1,234' is less than a thousand, else \"data.thousands=','\"",
        ),
        (("$12.50", "$1,000"), "without signs"),
        (("12%", "7 %"), "without signs"),
        (("1,5", "Unknown"), "\"data.decimal=','\";"),
    ],
)
def test_what_to_set_follows_from_how_the_numbers_look(texts, expected):
    assert expected in told(*texts)


@pytest.mark.parametrize(
    "texts",
    [
        ("1.5", "-2"),
        ("Yes", "No"),
        ("382-4657",),
        ("31.12.2025",),
        ("10.0.0.1",),
        ("3+", "0"),
        ("Berlin, 1", "2"),
        (),
    ],
)
def test_plain_numbers_and_other_texts_are_left_alone(texts):
    assert told(*texts) == ""


def test_nothing_is_left_to_say_once_the_format_is_named():
    assert told("1.234,50", "950,00", thousands=".", decimal=",") == ""
