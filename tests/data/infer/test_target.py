import shlex

import numpy as np
import pandas as pd
import pytest
from conftest import compose_config

from churn.config.data import DataConfig
from churn.data.dataset import Schema
from churn.data.infer.schema import infer_schema
from churn.data.infer.target import find_target, left_and_blank
from churn.data.table import RawTable
from churn.data.validate import validate_table
from churn.errors import UserError

FRAME = pd.DataFrame({"months_left": ["1", "2", "3"], "plan": ["a", "b", "a"], "vip": ["1", "0", "0"]})


def target_of(frame: pd.DataFrame, **keys) -> tuple[str, tuple[str, ...]]:
    found = find_target(frame, DataConfig(**keys))
    return found.name, found.churned


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
    assert "'Churn Label': 'No' 1, 'Yes' 1, blank 1\n    'Churn Value': '0' 2, '1' 1" in str(error.value)
    assert target_of(frame, drop=["Churn Label"]) == ("Churn Value", ("1",))


def test_without_such_a_name_the_columns_with_usual_values_are_listed():
    with pytest.raises(UserError, match="candidates: \n    'vip': '0' 2, '1' 1\n"):
        target_of(FRAME)
    with pytest.raises(UserError, match="candidates: months_left, plan"):
        target_of(FRAME.drop(columns="vip"))


def test_a_column_with_a_word_for_staying_is_a_candidate_and_one_of_many_values_is_none():
    frame = pd.DataFrame({"customerID": map(str, range(30)), "plan": ["a", "b", "c"] * 10})
    with pytest.raises(UserError, match="candidates: plan\n"):
        target_of(frame)
    with pytest.raises(UserError, match="candidates: \n    'status': 'Active' 20, 'Inactive' 10\n"):
        target_of(frame.assign(status=["Active", "Active", "Inactive"] * 10))


@pytest.mark.parametrize("key", ["id", "time", "numeric", "categorical"])
def test_a_column_with_another_role_is_not_taken_for_the_target(key):
    frame = FRAME.assign(left=["1", "0", "1"], has_left=["yes", "no", "no"])
    declared = "left" if key in ("id", "time") else ["left"]
    assert target_of(frame, **{key: declared}) == ("has_left", ("yes",))
    with pytest.raises(UserError, match="not clear which column"):
        target_of(frame.drop(columns="has_left"), **{key: declared})


def test_configured_values_are_found_in_any_spelling():
    assert target_of(FRAME, target="vip", churned=["1.0"])[1] == ("1",)
    frame = FRAME.assign(status=["Gone ", "here", "lost"])
    assert target_of(frame, target="status", churned=["gone", "Lost"])[1] == ("Gone", "lost")
    with pytest.raises(UserError, match="no value 'away', but 'Gone' 1, 'here' 1, 'lost' 1"):
        target_of(frame, target="status", churned=["away"])


@pytest.mark.parametrize("values", [["a", "b", "a"], ["1", "2", "1"], ["Yes", "Yes", "Yes"], ["", "", ""]])
def test_unusual_values_are_refused_with_their_counts(values):
    with pytest.raises(UserError, match=r"its values: ('a' 2, 'b' 1|'1' 2, '2' 1|'Yes' 3|blank 3)\n"):
        target_of(FRAME.assign(churn=values))


def test_all_values_cannot_mean_left():
    with pytest.raises(UserError, match=r"does not show who left and who stayed; its values: '0' 2, '1' 1"):
        target_of(FRAME, target="vip", churned=["0", "1"])


@pytest.mark.parametrize(
    ("left", "stayed"),
    [("LEAVE", "STAY"), ("ja", "nej"), ("Ja", "Nein"), ("oui", "non"), ("Sí", "No"), ("да", "нет"),
     ("是", "否"), ("True,", "False,"),
     ("True.", "False."), ("1.000", "0.000"), ("Evet", "Hayır"), ("y", "n")],
)  # fmt: skip
def test_the_words_of_many_programs_and_languages_are_understood(left, stayed):
    assert target_of(FRAME.assign(churn=[stayed, left, stayed])) == ("churn", (left,))


def test_a_column_with_a_word_for_leaving_is_the_first_candidate_and_more_than_ten_are_counted():
    flags = {f"f{i}": ["Yes", "No", "No"] for i in range(12)}
    frame = pd.DataFrame(flags | {"Customer Status": ["Joined", "Churned", "Stayed"]})
    with pytest.raises(UserError) as error:
        target_of(frame)
    first, *_, last = str(error.value).partition("candidates:")[2].partition("\n  do")[0].split("\n")[1:]
    assert first.strip() == "'Customer Status': 'Joined' 1, 'Churned' 1, 'Stayed' 1"
    assert last.strip() == "and 3 more"


@pytest.mark.parametrize("named", [["Churn Category"], ["Churn Category", "Churn Reason"]])
def test_a_column_with_a_word_for_leaving_is_a_candidate_before_those_that_say_why(named):
    why = {name: ["", "Price", ""] for name in named}
    frame = pd.DataFrame(why | {"Customer Status": ["Joined", "Churned", "Stayed"], "vip": [0, 1, 0]})
    with pytest.raises(UserError, match="candidates: \n    'Customer Status'") as error:
        target_of(frame)
    assert all(name in str(error.value) for name in named)
    assert "vip" not in str(error.value)
    assert target_of(frame, target="Customer Status", churned=["Churned"])[1] == ("Churned",)
    if len(named) == 1:
        assert target_of(frame, churned=["*"]) == ("Churn Category", ("*",))


def test_where_every_filled_value_means_left_blank_means_stayed():
    frame = pd.DataFrame({"gone_on": ["2024-03-01", "", None, "2024-04-01"]})
    with pytest.raises(UserError, match=r"if every filled cell means it[\s\S]*'data.churned=\[\"\*\"\]'"):
        target_of(frame, target="gone_on")
    for churned in (["2024-03-01", "2024-04-01"], ["*"]):
        target = find_target(frame, DataConfig(target="gone_on", churned=churned))
        assert target.blank_stayed
        schema = Schema("gone_on", target.churned, (), (), blank_stayed=True)
        left, blank = left_and_blank(np.array(["2024-03-01", "", "", "2024-04-01"]), schema)
        assert (left.tolist(), blank.any()) == ([True, False, False, True], False)
    _, blank = left_and_blank(np.array(["a", "", "b"]), Schema("x", ("a",), (), ()))
    assert blank.tolist() == [False, True, False]
    with pytest.raises(UserError):  # a value beside the one that is named: blank may be anything
        target_of(frame.replace("2024-04-01", ""), target="gone_on")


@pytest.mark.parametrize(
    "name",
    ["IsActive", "isactive", "retained", "stayed", "Active customer", "loyal", "not_churned", "no_churn",
     "NonChurner", "still_customer", "has not left", "aktiv", "ist_aktiv", "subscription_active",
     "active_30d", "has_active_contract", "did_not_churn", "unchurned", "still_with_us", "label_retained"],
)  # fmt: skip
@pytest.mark.parametrize(("stayed", "left"), [("1", "0"), ("yes", "no"), (True, False)])
def test_yes_and_no_in_a_column_that_says_who_stayed_are_asked_about(name, stayed, left):
    frame = FRAME.assign(**{name: [stayed, stayed, left]})
    with pytest.raises(UserError, match="says who stayed") as error:
        target_of(frame, target=name)
    typed = shlex.split(error.value.do.partition(": ")[2])[0].rstrip(",")
    assert typed == f'data.churned=["{left}"]'
    for meant in (stayed, left):
        assert target_of(frame, target=name, churned=[str(meant)]) == (name, (str(meant),))


def test_yes_and_no_are_also_asked_about_where_the_column_was_found():
    with pytest.raises(UserError, match="says who stayed"):
        target_of(FRAME.assign(no_churn=[1, 1, 0]))


@pytest.mark.parametrize(
    "name",
    ["inactive", "is_inactive", "InActive", "deactivated", "Active_churn", "no longer active", "not retained",
     "in_churn", "days_in_churn", "current_policy_lapsed", "stopped_being_active", "nicht_aktiv", "ex_active",
     "not_an_active_customer", "Churn (1 = Yes, 0 = No)", "lost_active", "reactivated", "vip", "unlimited"],
)  # fmt: skip
def test_yes_in_a_column_that_says_who_left_is_left(name):
    assert target_of(FRAME.assign(**{name: ["1", "0", "0"]}), target=name) == (name, ("1",))


def test_words_for_staying_elsewhere_are_no_rival_of_a_column_that_is_named_churn():
    frame = FRAME.assign(Churn=["Yes", "No", "Unknown"], account=["active", "paused", "active"])
    with pytest.raises(UserError, match="the target does not show") as error:
        target_of(frame)
    assert "data.missing" in error.value.do


def test_words_for_staying_speak_for_themselves_whatever_the_name_of_the_column():
    assert target_of(FRAME.assign(active=["active", "churned", "active"]), target="active")[1] == ("churned",)


def test_blank_can_mean_left():
    frame = pd.DataFrame({"active_until_now": ["yes", "", "yes", ""]})
    target = find_target(frame, DataConfig(target="active_until_now", churned=[""]))
    left, blank = left_and_blank(np.array(["yes", ""]), Schema("x", target.churned, (), ()))
    assert (left.tolist(), blank.tolist()) == ([False, True], [False, False])


def test_a_third_value_may_be_unknown_and_what_to_type_for_it_works():
    frame = pd.DataFrame({"churn": ["no"] * 12 + ["yes"] * 6 + ["not sure"] * 2})
    with pytest.raises(UserError) as error:
        target_of(frame)
    typed = "'data.missing=[\"not sure\"]' data.max_bad_rows=2"
    assert str(error.value).endswith(f"; if 'not sure' means 'not known', in every column: {typed}")
    keys = compose_config("data=csv", *shlex.split(typed)).data
    table = RawTable(frame.assign(x=np.arange(20.0)), "t.csv")
    data = validate_table(table, infer_schema(table, keys)[0], keys)
    assert (len(data), data.churned.sum()) == (18, 6)


@pytest.mark.parametrize("values", [["yes", "b", "c"], ["no", "b", "c"], ["yes", "no", *"abcd"]])
def test_values_are_called_unknown_only_beside_both_kinds_of_words_and_if_few(values):
    with pytest.raises(UserError) as error:
        target_of(pd.DataFrame({"churn": values * 5 + values[:2]}))
    assert "data.missing" not in str(error.value)


@pytest.mark.parametrize(
    ("values", "churned", "stayed"),
    [
        (["no", "no", "yes", "unknown"], ["yes"], "'no' 2, 'unknown' 1"),
        (["left", "left", "?"], ["left"], "'?' 1"),
        (["here", "gone", "moved"], ["gone"], "'here' 1, 'moved' 1"),
        (["Yes", "No"], ["Yes"], None),
        (["1", "0"], ["1"], None),
        (["yes", "no", "Stayed"], ["yes"], None),
        (["gone", "member"], ["gone"], None),
        (["yes", "no"], ["no"], None),  # of a column that says who is active
        (["2024-03-01", "2024-04-01", ""], ["*"], None),
        (["Ann", "Bob", ""], [""], None),
        (["Yes", "No"], [], None),
    ],
)
def test_values_that_count_as_stayed_without_saying_so_are_named(values, churned, stayed):
    finding = find_target(
        pd.DataFrame({"churn": values}), DataConfig(target="churn", churned=churned)
    ).finding
    assert (finding and finding.evidence) == (stayed and f"counted as stayed: {stayed}")


def test_no_value_is_called_unknown_if_nobody_is_known_to_have_stayed():
    frame = pd.DataFrame({"churn": ["gone"] * 12 + ["here"] * 6 + ["moved"] * 2})
    finding = find_target(frame, DataConfig(churned=["gone"])).finding
    assert finding.advice == "name in data.churned all values that mean 'left'"


def test_what_counts_as_stayed_is_a_finding_of_the_table_with_the_same_advice():
    frame = pd.DataFrame({"churn": ["no"] * 12 + ["yes"] * 6 + ["unknown"] * 2, "x": np.arange(20.0)})
    cfg = DataConfig(churned=["yes"], missing=["none"], max_bad_rows=1)
    _, (finding,) = infer_schema(RawTable(frame, "t.csv"), cfg)
    assert finding.advice.endswith('\'data.missing=["none","unknown"]\' data.max_bad_rows=3')
