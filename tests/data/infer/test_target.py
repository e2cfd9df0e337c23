import pandas as pd
import pytest

from churn.config.data import DataConfig
from churn.data.infer.target import find_target
from churn.errors import UserError

FRAME = pd.DataFrame({"months_left": ["1", "2", "3"], "plan": ["a", "b", "a"], "vip": ["1", "0", "0"]})


def target_of(frame: pd.DataFrame, **keys) -> tuple[str, tuple[str, ...]]:
    return find_target(frame, DataConfig(**keys))


@pytest.mark.parametrize("name", ["Churn", "CHURN", "is_churn", "isChurn", "Churn (1 = Yes, 0 = No)", "left"])
def test_the_only_column_with_the_name_of_a_target_is_the_target(name):
    assert target_of(FRAME.assign(**{name: ["No", "Yes", "No"]})) == (name, ("Yes",))


def test_of_several_such_columns_the_one_with_usual_values_is_the_target():
    frame = FRAME.assign(**{"Churn Score": ["7", "80", "9"], "Churn Label": ["No", "Yes", "No"]})
    assert target_of(frame) == ("Churn Label", ("Yes",))


def test_if_several_columns_are_possible_all_are_listed_with_their_values():
    frame = FRAME.assign(**{"Churn Label": ["No", "Yes", ""], "Churn Value": [0, 1, 0]})
    with pytest.raises(UserError) as error:
        target_of(frame)
    assert "'Churn Label': No 1, Yes 1, blank 1\n    'Churn Value': 0 2, 1 1" in str(error.value)
    assert target_of(frame, drop=["Churn Label"]) == ("Churn Value", ("1",))


def test_without_such_a_name_the_columns_with_usual_values_are_listed():
    with pytest.raises(UserError, match="candidates: \n    'vip': 0 2, 1 1\n"):
        target_of(FRAME)
    with pytest.raises(UserError, match="candidates: months_left, plan"):
        target_of(FRAME.drop(columns="vip"))


def test_configured_values_are_found_in_any_spelling():
    assert target_of(FRAME, target="vip", churned=["1.0"])[1] == ("1",)
    frame = FRAME.assign(status=["Gone ", "here", "lost"])
    assert target_of(frame, target="status", churned=["gone", "Lost"])[1] == ("Gone", "lost")
    with pytest.raises(UserError, match="no value 'away', but Gone 1, here 1, lost 1"):
        target_of(frame, target="status", churned=["away"])


@pytest.mark.parametrize("values", [["a", "b", "a"], ["1", "2", "1"], ["Yes", "Yes", "Yes"], ["", "", ""]])
def test_unusual_values_are_refused_with_their_counts(values):
    with pytest.raises(UserError, match=r"its values: (a 2, b 1|1 2, 2 1|Yes 3|blank 3)\n"):
        target_of(FRAME.assign(churn=values))


def test_all_values_cannot_mean_left():
    with pytest.raises(UserError, match="it needs both kinds"):
        target_of(FRAME, target="vip", churned=["0", "1"])
