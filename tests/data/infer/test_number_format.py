import re
import shlex

import numpy as np
import pandas as pd
import pytest
from conftest import compose_config

from churn.config.data import DataConfig
from churn.data.infer.number_format import check_number_format
from churn.data.infer.roles import value_table
from churn.data.infer.schema import infer_schema
from churn.data.table import RawTable


def message(*texts: str, **keys) -> str:
    column = pd.Series(np.repeat(texts, 10), dtype="str")
    return str(check_number_format("x", value_table(column, DataConfig(**keys))) or "")


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (("29,85", "1889,5", "7"), "\"data.decimal=','\";"),
        (("1,234.50", "950.00"), "\"data.thousands=','\";"),
        (("1.234,50", "950,00"), "\"data.thousands='.'\" \"data.decimal=','\";"),
        (("1,234,567", "950"), "\"data.thousands=','\";"),
        (("1.234.567", "950"), "\"data.thousands='.'\" \"data.decimal=','\";"),
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
def test_the_keys_to_set_follow_from_the_look_of_the_numbers(texts, expected):
    assert expected in message(*texts)


@pytest.mark.parametrize(
    "texts",
    [
        ("29,85", "1889,5"),
        ("1,234.50", "950"),
        ("1.234,50", "950"),
        ("1,234,567", "950"),
        ("1.234.567", "950"),
        ("1 234", "950"),
        ("5'718", "950"),
        ("5'718.50", "950"),
        ("5’718,50", "950"),
    ],
)
def test_the_keys_can_be_typed_in_a_shell_as_the_message_has_them(texts):
    typed = shlex.split(re.search("do: (.*); if they", message(*texts))[1])
    frame = pd.DataFrame({"fee": np.resize(texts, 100), "churn": np.resize(["Yes", "No"], 100)})
    schema, _ = infer_schema(RawTable(frame, "t"), compose_config("data=csv", *typed).data)
    assert schema.numeric == ("fee",)


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
def test_plain_numbers_and_other_texts_are_accepted(texts):
    assert message(*texts) == ""


def test_numbers_in_the_configured_format_are_accepted():
    assert message("1.234,50", "950,00", thousands=".", decimal=",") == ""
