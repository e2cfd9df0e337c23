from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from churn.config.data import DataConfig
from churn.data.infer.roles import id_rank, infer_role, value_table
from churn.data.infer.schema import infer_schema
from churn.data.load import build_dataset
from churn.data.table import BAD_ROW, RawTable
from churn.errors import UserError

RNG = np.random.default_rng(0)
N = 200
BASE = pd.DataFrame({"x": RNG.normal(size=N), "Churn": np.resize(["Yes", "No"], N)})


def inferred(frame: pd.DataFrame, **keys):
    return infer_schema(RawTable(frame, "t.csv"), DataConfig(**keys))


def role(column, **keys) -> str:
    """The role of a column called `c`."""
    schema, _ = inferred(BASE.assign(c=column), **keys)
    return next(role for role in ("numeric", "categorical", "dropped") if "c" in getattr(schema, role))


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["0", "1"], "categorical"),
        ([0.0, 1.0], "categorical"),
        ([1, 2, 3, 4], "numeric"),
        (["1", "2", "3", ""], "numeric"),
        ([True, False], "categorical"),
        (["0", "1", "2", "3+"], "categorical"),
        (["1", "2", "Unknown"], "categorical"),
        (["01", "02", "10"], "categorical"),
        ([None], "dropped"),
        (["", " "], "dropped"),
        (["2025-01-31", "2025-02-28"], "dropped"),
        (list(pd.to_datetime(["2025-01-31", "2025-02-28"])), "dropped"),
        ([f"text {i}" for i in range(N)], "dropped"),
        ([f"city {i}" for i in range(60)], "categorical"),
        (np.arange(N), "numeric"),
        ([str(i / 7) for i in range(N)], "numeric"),
    ],
)
def test_the_role_of_a_column_follows_from_its_cells(cells, expected):
    assert role(np.resize(np.array(cells, dtype=object), N)) == expected


def test_a_few_mistakes_leave_a_column_numeric_and_many_do_not():
    cells = pd.Series([str(i) for i in range(N)])
    assert role(cells.where(cells.index >= 5, [f"{i}x" for i in range(N)])) == "numeric"
    assert role(cells.where(cells.index >= 50, [f"x{i % 9}" for i in range(N)])) == "dropped"


def test_words_among_numbers_count_as_missing_if_they_are_usual_or_frequent():
    cells = pd.Series([str(i) for i in range(N)])
    cells[:1], cells[1:30], cells[30] = "n/a", "not sold", "oops"
    schema, findings = inferred(BASE.assign(c=cells))
    assert schema.missing_numbers == ("not sold", "n/a")
    assert findings[0].title == "column 'c': 'not sold', 'n/a' among the numbers counts as missing"
    assert findings[0].evidence == "30 of 200 cells (15%)"
    assert inferred(BASE.assign(c=cells), numeric=["c"])[0].missing_numbers == schema.missing_numbers


def test_a_note_of_few_customers_is_no_word_for_missing_however_often_it_occurs():
    """The bundle and its card hold these words; the cells are named as mistakes instead."""
    cells = pd.Series([str(i) for i in range(N)])
    cells[:7], cells[10:18] = "ask Jane Roe", "not sold"
    assert inferred(BASE.assign(c=cells))[0].missing_numbers == ("not sold",)
    months = BASE.assign(c=cells, customer_id=np.arange(N))
    assert inferred(months)[0].missing_numbers == ("not sold",)
    months.loc[10:17, "customer_id"] = 10
    assert inferred(months)[0].missing_numbers == ()


def test_a_number_that_means_missing_is_not_a_value_of_a_typed_or_text_column():
    for flags in ([0, 1, -99], ["0", "1", "-99"]):
        assert role(np.resize(flags, N), missing=["-99"]) == "categorical"
        assert role(np.resize(flags, N)) == "numeric"


def test_points_that_may_separate_thousands_are_reported():
    table = BASE.assign(c=np.resize(["950", "1.234", "12.500"], N))
    with pytest.raises(UserError, match=r"column 'c': '1\.234' may be more than a thousand") as error:
        inferred(table)
    assert "\"data.thousands='.'\" \"data.decimal=','\"" in str(error.value)
    assert "'data.numeric=[\"c\"]'" in str(error.value)
    assert inferred(table, thousands=".", decimal=",")[1] == inferred(table, numeric=["c"])[1] == ()


@pytest.mark.parametrize(
    "cells", [["0.950", "1.234", "2.500"], ["1.234", "12.500", "3.125"], ["0", "1", "2", "17"]]
)
def test_three_decimals_everywhere_and_small_counts_raise_no_alarm(cells):
    assert inferred(BASE.assign(c=np.resize(cells, N)))[1] == ()


def test_an_id_named_after_the_customer_may_repeat_but_another_id_may_not():
    customer = BASE.assign(user_id=np.arange(N) // 4, plan_id=np.arange(N) % 3)
    schema, findings = inferred(customer)
    assert (schema.id, schema.numeric, findings) == ("user_id", ("x", "plan_id"), ())
    schema, findings = inferred(BASE.assign(session_id=np.arange(N), customer_id=np.arange(N)))
    assert (schema.id, schema.dropped) == ("customer_id", ("session_id",))
    assert "names the row" in findings[0].title


def test_an_id_that_a_blank_cell_made_a_decimal_is_an_id_and_an_amount_is_none():
    whole = pd.Series(np.arange(N) // 4 + 0.0)
    assert inferred(BASE.assign(user_id=whole.where(whole.index != 7)))[0].id == "user_id"
    assert inferred(BASE.assign(user_id=(whole + 0.5).where(whole.index != 7)))[0].id is None


def test_an_id_is_a_feature_only_if_the_configuration_says_so():
    frame = BASE.assign(id=np.arange(N))
    assert inferred(frame)[0].features == ("x",)
    assert inferred(frame, numeric=["id"])[0].features == ("x", "id")


def test_configured_roles_are_not_inferred():
    frame = BASE.assign(code=1, day="2025-01-31", other="a")
    schema, findings = inferred(frame, categorical=["x"], time="day", drop=["other"])
    assert (schema.numeric, schema.categorical, schema.dropped) == ((), ("x", "code"), ("other",))
    assert (schema.time, findings) == ("day", ())


def test_a_column_of_words_alone_is_not_numeric_even_if_declared():
    words = np.resize(np.array(["Month-to-month", "One year", ""], dtype=object), N)
    with pytest.raises(UserError, match=r"'c' is to be numeric, and has no number: 'Month-to-month' 67"):
        inferred(BASE.assign(c=words), numeric=["x", "c"])
    assert role(words, categorical=["c"]) == "categorical"
    for missing in ("n/a", "Unknown", ""):
        assert role(np.full(N, missing, dtype=object), numeric=["c"]) == "numeric"
    assert role(np.resize([True, False], N), numeric=["c"]) == "numeric"


def test_all_mistakes_in_the_roles_are_listed_at_once():
    with pytest.raises(UserError) as error:
        inferred(BASE, target="churn", numeric=["x", "y"], time="x", decimal=",", thousands=",")
    message = str(error.value)
    assert "whose columns are: x, Churn" in message
    assert "no column 'churn'; did you mean 'Churn'?\n    where: data.target" in message
    assert "no column 'y'" in message
    assert "must be one character, and not the thousands separator\n    where: data.decimal" in message
    assert "column 'x' has several roles\n    where: data.time, data.numeric" in message


@pytest.mark.parametrize("role", ["numeric", "categorical"])
def test_what_is_dropped_is_left_out_whatever_else_it_is_listed_as(role):
    schema, _ = inferred(BASE.assign(y=np.resize(["1", "no number"], N)), **{role: ["y"]}, drop=["y"])
    assert (schema.features, schema.dropped) == (("x",), ("y",))


def test_a_protected_column_is_there_and_has_groups_and_may_be_left_out():
    with pytest.raises(UserError) as error:
        inferred(BASE, protected=["X", "Churn"], target="Churn")
    message = str(error.value)
    assert "no column 'X'; did you mean 'x'?\n    where: data.protected" in message
    assert "column 'Churn' is the target, the id, the time or personal: its values are no groups" in message
    frame = BASE.assign(other=BASE["x"])
    assert inferred(frame, protected=["other", "x"], drop=["other"])[0].dropped == ("other",)


def test_a_table_without_features_is_refused():
    with pytest.raises(UserError, match="no column is left to predict from"):
        inferred(BASE, drop=["x"])


@pytest.mark.parametrize(
    "name",
    ["Kundennr.", "Kunden-Nr", "Kd.-Nr.", "Kundennummer", "Vertragsnummer", "Mitgliedsnummer", "id_cliente",
     "num_client", "Numero Client", "Klantnummer"],
)  # fmt: skip
def test_an_id_is_recognised_in_other_languages(name):
    assert id_rank(name) == 0


def test_the_advice_about_a_column_of_names_mentions_the_id():
    values = value_table(pd.Series([f"Ann {i}" for i in range(100)]), DataConfig())
    assert 'data.id="Name"' in infer_role("Name", values, 100).finding.advice
    partly = infer_role("Name", values, 101).finding
    assert partly.evidence == "100 different values in 100 rows; blank in 1 row"
    assert (
        partly.advice == "to use it nevertheless: 'data.categorical=[\"Name\"]' or 'data.numeric=[\"Name\"]'"
    )


def test_no_advice_about_a_blank_column_names_a_role():
    advice = infer_role("fax", value_table(pd.Series(["", None]), DataConfig()), 2).finding.advice
    assert "data." not in advice


def test_rows_are_to_be_split_by_dates_only_where_every_row_has_one():
    dates = value_table(pd.Series(["2026-06-01"] * 3 + [""]), DataConfig())
    assert infer_role("day", dates, 3).finding.advice.startswith("to split by time: 'data.time=\"day\"';")
    partly = infer_role("day", dates, 4).finding
    assert (partly.evidence, "data." in partly.advice) == (
        "1 different value in 3 rows; blank in 1 row",
        False,
    )


def test_cells_of_personal_columns_are_in_nothing_that_is_made_of_a_table():
    rows = 40
    frame = pd.DataFrame(
        {
            "plan": ["basic", "gold"] * (rows // 2),
            "mail": [f"planted{i}@example.org" for i in range(rows)],
            "left": ["yes", "no", "no", "no"] * (rows // 4),
        }
    )
    broken = pd.DataFrame([["f.csv", 3, "", "a;planted99@example.org", "4 cells"]], columns=list(BAD_ROW))
    cfg = DataConfig(target="left", personal=["mail"], max_bad_rows=1)
    data = build_dataset(RawTable(frame, "customers", broken=broken), cfg)
    assert data.schema.features == ("plan",)
    assert "planted" not in repr(vars(data)) + data.schema.to_yaml() + data.bad_rows.to_csv()
    shown = build_dataset(RawTable(frame, "customers", broken=broken), replace(cfg, personal=[]))
    assert "planted" in shown.bad_rows.to_csv()


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"personal": ["mial"]}, "no column 'mial'; did you mean 'mail'"),
        ({"personal": ["mail"], "categorical": ["mail"]}, "column 'mail' has several roles"),
        ({"personal": ["mail"], "protected": ["mail"]}, "personal: its values are no groups"),
    ],
)
def test_a_personal_column_exists_and_has_no_other_role(keys, says):
    frame = pd.DataFrame({"mail": ["a", "b"], "left": ["yes", "no"], "x": ["1", "2"]})
    with pytest.raises(UserError, match=says):
        infer_schema(RawTable(frame, "customers"), DataConfig(target="left", **keys))
