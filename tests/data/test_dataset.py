import pytest
import yaml
from conftest import compose_config

from churn.data.dataset import Schema, shell_override
from churn.errors import did_you_mean


def test_the_yaml_of_a_schema_gives_the_roles_back_as_configuration():
    names = ("Call  Failure", "no", "50 %: kept", "x" * 130, "größe", "it's")
    schema = Schema(
        "Yes?", ("Yes", "1"), names, ("Plan",), id="on", dropped=("null",), decimal=",", missing=("-",)
    )
    told = yaml.safe_load(schema.to_yaml())
    assert told == {
        "target": "Yes?",
        "churned": ["Yes", "1"],
        "numeric": list(names),
        "categorical": ["Plan"],
        "id": "on",
        "missing": ["-"],
        "decimal": ",",
        "drop": ["null"],
    }


@pytest.mark.parametrize(
    "name", ["tenure", "Churn Score", "Call  Failure", "Churn (1 = Yes, 0 = No)", "größe: [cm]"]
)
def test_a_printed_override_is_what_hydra_understands(name):
    printed = shell_override("data.drop", name, "other")
    assert printed[0] == printed[-1] == "'"  # for the shell
    assert compose_config(printed[1:-1]).data.drop == [name, "other"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [("monthly_charges", "MonthlyCharges"), ("Tenur", "tenure"), ("zzz", None), ("TENURE", "tenure")],
)
def test_the_nearest_name_is_found_whatever_its_case_and_blanks(name, expected):
    found = did_you_mean(name, ["MonthlyCharges", "tenure", "gender"])
    assert found == (f"; did you mean '{expected}'?" if expected else "")
