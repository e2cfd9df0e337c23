"""Ten kinds of difficulties of real churn files, and two real tables if they lie beside the checkout."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from churn.config.data import DataConfig
from churn.data.dataset import Dataset
from churn.data.load import load_dataset
from churn.data.sources import files
from churn.data.validate import to_features
from churn.errors import UserError

REAL = Path(__file__).parents[3] / "shared" / "data"


def customers(n: int = 300) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    tenure = rng.integers(0, 72, n)
    return pd.DataFrame(
        {
            "customerID": [f"C-{i:05d}" for i in range(n)],
            "gender": rng.choice(["Female", "Male"], n),
            "SeniorCitizen": rng.integers(0, 2, n),
            "tenure": tenure,
            "Contract": rng.choice(["Monthly", "One year", "Two years"], n),
            "MonthlyCharges": rng.normal(70, 20, n).round(2),
            "Churn": np.where(rng.random(n) < 0.6 - 0.007 * tenure, "Yes", "No"),
        }
    )


@pytest.fixture
def loaded(tmp_path):
    """Write a frame, or text, as a file and load it with the keys given."""

    def load_it(table: pd.DataFrame | str, **keys) -> Dataset:
        text = table if isinstance(table, str) else table.to_csv(index=False)
        path = tmp_path / "customers.csv"
        path.write_text(text, newline="")
        return load_dataset(DataConfig(path=str(path), **keys), seed=0)

    return load_it


def titles(data: Dataset) -> str:
    return "\n".join(finding.title for finding in data.findings)


def advice(data: Dataset) -> str:
    return "\n".join(finding.advice for finding in data.findings)


# 1. Blanks as text


def test_blanks_among_numbers_are_missing_numbers(loaded):
    table = customers()
    total = (table["tenure"] * table["MonthlyCharges"]).round(2).astype(str)
    data = loaded(table.assign(TotalCharges=total.where(table["tenure"] > 0, " ")))
    assert "TotalCharges" in data.schema.numeric
    assert data.frame["TotalCharges"].isna().sum() == (table["tenure"] == 0).sum() > 0
    assert data.findings == ()


# 2. Target spellings


@pytest.mark.parametrize(
    ("left", "stayed"),
    [
        ("Yes", "No"),
        ("yes", "no"),
        ("1", "0"),
        ("True", "False"),
        ("True.", "False."),
        ("T", "F"),
        ("Attrited Customer", "Existing Customer"),
    ],
)
@pytest.mark.parametrize("name", ["Churn", "Exited", "Attrition_Flag", "Churn Label"])
def test_usual_targets_are_understood_first_or_last(loaded, left, stayed, name):
    table = customers()
    target = table.pop("Churn").replace({"Yes": left, "No": stayed})
    for place in (0, 6):
        data = loaded(pd.concat([table.iloc[:, :place], target.rename(name), table.iloc[:, place:]], axis=1))
        assert (data.schema.target, data.schema.churned) == (name, (left,))
        assert (data.churned == (target == left)).all()


def test_a_target_of_one_or_three_values_is_refused_with_the_values_counted(loaded):
    table = customers()
    with pytest.raises(UserError, match="its values: 'No' 300"):
        loaded(table.assign(Churn="No"))
    table.loc[:49, "Churn"] = "Maybe"
    with pytest.raises(UserError, match=r"its values: 'No' \d+, 'Yes' \d+, 'Maybe' 50"):
        loaded(table)
    assert loaded(table, churned=["yes"]).schema.churned == ("Yes",)


def test_a_blank_target_is_refused_with_its_lines_and_the_values_counted(loaded):
    table = customers()
    table.loc[[0, 5], "Churn"] = ""
    with pytest.raises(UserError, match=r"blank target \('No' \d+, 'Yes' \d+, blank 2\)") as error:
        loaded(table)
    assert "line 2:" in str(error.value)
    assert "line 7:" in str(error.value)


# 3. Ids


@pytest.mark.parametrize("name", ["customerID", "CustomerId", "CLIENTNUM", "id", "phone number"])
def test_an_id_is_recognised_by_its_name_and_is_not_a_feature(loaded, name):
    data = loaded(customers().rename(columns={"customerID": name}))
    assert data.schema.id == name
    assert data.ids[0] == "C-00000"


def test_row_numbers_and_surnames_are_left_out_and_reported(loaded):
    names = [f"Name {i % 150}" for i in range(300)]
    table = customers().assign(RowNumber=range(300), rownames=range(300), Surname=names)
    data = loaded(table)
    assert data.schema.dropped == ("RowNumber", "rownames", "Surname")
    assert "'Surname' names people" in titles(data)
    assert "RowNumber" in loaded(table, numeric=["RowNumber"]).frame


# 4. Leaks


def test_columns_that_give_the_target_away_are_reported_with_what_to_type(loaded):
    table, rng = customers(3000), np.random.default_rng(1)
    left = table["Churn"] == "Yes"
    table["Naive_Bayes_1"] = np.where(left, 0.99, 0.01) + rng.normal(0, 0.001, 3000)
    table["Churn Score"] = np.where(left, 80, 20) + rng.integers(0, 25, 3000)
    table["Churn Reason"] = np.where(left, rng.choice(["price", "moved"], 3000), "")
    table["remaining_contract"] = np.where(left & (table.index % 2 == 0), 0, rng.integers(1, 24, 3000))
    data = loaded(table)
    found = titles(data)
    assert "'Naive_Bayes_1' alone nearly gives the target away" in found
    assert "'Churn Score' alone nearly gives the target away" in found
    assert "'Churn Reason' alone nearly gives the target away" in found
    assert "some values of column 'remaining_contract'" in found
    assert "'data.drop=[\"Churn Score\"]'" in advice(data)
    assert "Score" not in titles(loaded(table, drop=["Churn Score", "Naive_Bayes_1"]))


# 5. Duplicates


def test_copies_are_dropped_with_an_id_and_kept_without_one_unless_configured(loaded):
    table = customers()
    copied = pd.concat([table, table[:30]])
    data = loaded(copied)
    assert (len(data), data.facts["copies_dropped"]) == (300, 30)
    assert "30 exact copies of other rows dropped" in titles(data)
    without_id = copied.drop(columns="customerID")
    assert len(loaded(without_id)) == 330
    assert "data.drop_copies=true" in advice(loaded(without_id))
    assert len(loaded(without_id, drop_copies=True)) == 300


def test_customers_that_differ_only_in_id_and_label_are_kept(loaded):
    table = customers()
    twins = table[:30].assign(customerID=[f"D-{i}" for i in range(30)], Churn="No")
    data = loaded(pd.concat([table, twins]))
    assert len(data) == 330
    assert "30 rows agree with another row in every input" in titles(data)


def test_customers_with_several_rows_are_reported(loaded):
    table = customers()
    data = loaded(pd.concat([table, table[:30].assign(tenure=99)]))
    assert "30 customers have several rows" in titles(data)


# 6. Files: see test_files.py


def test_long_names_and_double_spaces_in_names_are_kept(loaded):
    name = "Call  Failure " + "x" * 130
    assert name in loaded(customers().rename(columns={"tenure": name})).frame


def test_all_problems_of_a_file_are_listed_at_once_with_line_column_and_value(loaded):
    text = customers().to_csv(index=False)
    text += 'X-1,"Fe\nmale",0,twelve,Monthly,70,Yes\nX-2,Male,0\nX-3,Male,0,1,Monthly,1e300,\n'
    with pytest.raises(UserError) as error:
        loaded(text)
    message = str(error.value)
    assert "3 of 303 rows cannot be used" in message
    assert "column 'tenure': not a number; rows: 1\n    line 302: 'twelve'" in message
    assert "the row has 3 cells, the header 7; rows: 1\n    line 304: 'X-2,Male,0'" in message
    assert "column 'MonthlyCharges': infinite, or 1e30 and more; rows: 1\n    line 305: '1e300'" in message
    assert "blank target" in message
    assert "data.max_bad_rows=3" in message


def test_bad_rows_are_set_aside_if_allowed_and_then_reported(loaded):
    text = customers().to_csv(index=False) + "X-1,Male,0,twelve,Monthly,70,Yes\nX-2,Male,0\n"
    data = loaded(text, max_bad_rows=2)
    assert (len(data), data.facts["bad_rows"]) == (300, 2)
    assert data.bad_rows[["line", "column", "value"]].to_numpy().tolist() == [
        [303, "", "X-2,Male,0"],
        [302, "tenure", "twelve"],
    ]
    assert "2 rows set aside" in titles(data)
    with pytest.raises(UserError, match="2 of 302 rows cannot be used"):
        loaded(text, max_bad_rows=1)


# 7. Types


def test_types_follow_from_content_and_name(loaded):
    table = customers()
    table["area code"] = np.resize([408, 415, 510], 300)
    table["vip"] = table["tenure"] > 30
    table["zip"] = [f"0{1000 + i % 50}" for i in range(300)]
    table["visits"] = np.resize([1, 2, 3], 300)
    table["HandsetPrice"] = np.where(table.index % 5 < 3, "Unknown", (table.index % 49 * 10).astype(str))
    table["joined"] = pd.date_range("2020-01-01", periods=300).strftime("%Y-%m-%d")
    data = loaded(table)
    assert data.schema.numeric == ("tenure", "MonthlyCharges", "visits", "HandsetPrice")
    assert data.schema.categorical == ("gender", "SeniorCitizen", "Contract", "area code", "vip", "zip")
    assert data.frame["zip"][0] == "01000"
    assert data.frame["HandsetPrice"].isna().sum() == 180
    assert "'HandsetPrice': 'Unknown' among the numbers counts as missing" in titles(data)
    assert "'joined' holds dates" in titles(data)
    assert loaded(table, time="joined").times[1] == np.datetime64("2020-01-02")


@pytest.mark.parametrize(
    ("written", "keys", "advised"),
    [
        ("{:,.2f}", {"thousands": ","}, "\"data.thousands=','\""),
        ("{:.2f}|.|,", {"decimal": ","}, "\"data.decimal=','\""),
        ("€ {:.2f}", None, "without signs"),
    ],
)
def test_numbers_in_another_format_are_refused_until_it_is_configured(loaded, written, keys, advised):
    table = customers()
    form, *swap = written.split("|")
    texts = [form.format(value * 100) for value in table["MonthlyCharges"]]
    charges = table.pop("MonthlyCharges")
    table["revenue"] = [text.replace(*swap) if swap else text for text in texts]
    with pytest.raises(UserError, match="column 'revenue': 300 of 300 cells are like") as error:
        loaded(table)
    assert advised in str(error.value)
    if keys:
        revenue = loaded(table, **keys).frame["revenue"]
        np.testing.assert_allclose(revenue, charges * 100)


# 8. Hidden missing values


def test_words_for_missing_stay_levels_and_are_reported_until_configured(loaded):
    table = customers()
    table["income"] = np.resize(["low", "high", "Unknown"], 300)
    table["security"] = np.resize(["Yes", "No", "No internet service", "None"], 300)
    table["age"] = np.where(table.index % 4 == 0, 0, 18 + table.index % 50)
    data = loaded(table)
    assert set(data.frame["security"]) == {"Yes", "No", "No internet service", "None"}
    assert "'income' has a level 'Unknown'" in titles(data)
    assert "'security' has a level 'None'" in titles(data)
    assert "'age' has many zeros" in titles(data)
    assert set(loaded(table, missing=["Unknown"]).frame["income"]) == {"low", "high", ""}


def test_a_third_of_a_column_may_be_missing(loaded):
    table = customers()
    table.loc[::3, ["MonthlyCharges", "Contract"]] = None
    frame = loaded(table).frame
    assert frame["MonthlyCharges"].isna().sum() == (frame["Contract"] == "").sum() == 100


# 9. Shape


def test_columns_that_add_nothing_are_reported(loaded):
    table = customers()
    table["one"] = 1
    table["years"] = table["tenure"] / 12
    table["charges"] = table["MonthlyCharges"]
    table["plan"] = table["Contract"].str[:3]
    found = titles(loaded(table))
    assert "'one' is constant" in found
    assert "'years' is a multiple of 'tenure'" in found
    assert "'charges' is a copy of 'MonthlyCharges'" in found
    assert "'plan' says the same as 'Contract'" in found


def test_many_levels_rare_levels_and_negative_numbers_are_accepted(loaded):
    table = customers(4000)
    table["city"] = [f"city {i % 747 if i < 3990 else i}" for i in range(4000)]
    table["balance"] = np.random.default_rng(0).normal(0, 50, 4000).round(2)
    data = loaded(table)
    assert data.frame["city"].nunique() == 757
    assert (data.frame["balance"] < 0).any()


def test_200_columns_and_20_rows_are_accepted(loaded):
    table = customers(20).join(pd.DataFrame(np.eye(20, 200)).add_prefix("x"))
    data = loaded(table)
    assert len(data) == 20
    assert data.schema.id == "customerID"
    assert len(data.schema.features) == 205


# 10. At prediction time


@pytest.fixture
def scored(loaded, tmp_path):
    """Read rows to be predicted with the schema of a data set."""
    schema = loaded(customers()).schema

    def features_of(frame: pd.DataFrame) -> pd.DataFrame:
        frame.to_csv(tmp_path / "new.csv", index=False)
        (raw,) = files.raw_tables(str(tmp_path / "new.csv"), DataConfig(), rows=1000)
        return to_features(raw, schema)

    return features_of


def test_column_order_other_columns_and_the_target_do_not_change_a_prediction(scored):
    new = customers(5)
    expected = scored(new)
    assert list(expected) == ["tenure", "MonthlyCharges", "gender", "SeniorCitizen", "Contract"]
    pd.testing.assert_frame_equal(scored(new[new.columns[::-1]].assign(more=1)), expected)
    pd.testing.assert_frame_equal(scored(new.drop(columns=["Churn", "customerID"])), expected)


def test_missing_columns_are_named_with_the_nearest_one(scored):
    with pytest.raises(UserError, match="column 'tenure' is missing"):
        scored(customers(5).drop(columns="tenure"))
    with pytest.raises(UserError, match="'SeniorCitizen' is missing; did you mean 'seniorcitizen'"):
        scored(customers(5).rename(columns=str.lower))


def test_cells_to_predict_are_read_as_in_training_or_listed(scored):
    new = customers(3).astype({"tenure": object})
    new["tenure"] = [" 12 ", None, "13.0"]
    new["Contract"] = ["Five years", "", None]
    frame = scored(new)
    np.testing.assert_array_equal(frame["tenure"], [12, np.nan, 13])
    assert frame["Contract"].tolist() == ["Five years", "", ""]
    new["tenure"] = ["x", "1", "y"]
    with pytest.raises(UserError, match=r"2 of 3 rows[\s\S]*line 2: 'x'[\s\S]*line 4: 'y'"):
        scored(new)


# The real tables


def real(name: str) -> str:
    path = REAL / name
    if not path.exists():
        pytest.skip(f"there is no {name} in ../shared/data beside this checkout")
    return str(path)


def test_the_telco_table_loads_with_its_path_alone():
    data = load_dataset(DataConfig(path=real("telco.csv")), seed=0)
    assert len(data) == 7043
    assert data.churned.sum() == 1869
    assert data.schema.numeric == ("tenure", "MonthlyCharges", "TotalCharges")
    assert (data.schema.id, data.schema.target, len(data.schema.categorical)) == ("customerID", "Churn", 16)
    assert data.frame["TotalCharges"].isna().sum() == 11
    (equal_rows,) = data.findings
    assert equal_rows.title == "40 rows agree with another row in every input"
    assert "in 18 groups of such rows some left and some stayed" in equal_rows.evidence


def test_the_iranian_table_loads_with_its_path_alone():
    path = real("iranian.csv")
    data = load_dataset(DataConfig(path=path), seed=0)
    assert (len(data), len(data.schema.features)) == (3150, 13)
    assert "300 exact copies of other rows kept" in titles(data)
    deduplicated = load_dataset(DataConfig(path=path, drop_copies=True), seed=0)
    assert len(deduplicated) == 2850
    assert deduplicated.churned.mean() == pytest.approx(0.157, abs=0.001)
