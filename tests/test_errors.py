"""The phrases of messages: overrides to type, and the nearest name."""

import pytest
from conftest import compose_config

from churn.errors import did_you_mean, shell_override


@pytest.mark.parametrize(
    "name", ["tenure", "Churn Score", "Call  Failure", "Churn (1 = Yes, 0 = No)", "größe: [cm]"]
)
def test_hydra_understands_the_override_of_a_message(name):
    printed = shell_override("data.drop", name, "other")
    assert printed[0] == printed[-1] == "'"  # for the shell
    assert compose_config(printed[1:-1]).data.drop == [name, "other"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [("monthly_charges", "MonthlyCharges"), ("Tenur", "tenure"), ("zzz", None), ("TENURE", "tenure")],
)
def test_the_nearest_name_is_found_in_any_case_and_with_other_blanks(name, expected):
    hint = did_you_mean(name, ["MonthlyCharges", "tenure", "gender"])
    assert hint == (f"; did you mean '{expected}'?" if expected else "")
