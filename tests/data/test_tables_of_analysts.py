"""Small tables, each as some program or person writes it, and what is right for it; from file to `Dataset`.

Each stands for a kind of fault that once came out wrong: silently, or with a message that led nowhere.
"""

import json
import re

import numpy as np
import pandas as pd
import pytest

from churn.config.data import DataConfig, SplitConfig
from churn.data.load import load_dataset
from churn.data.split import split_dataset
from churn.errors import UserError

N = 200
RNG = np.random.default_rng(0)
MONTHS, LEFT = RNG.integers(1, 61, N), RNG.random(N) < 0.3
IDS = [f"C{i}" for i in range(N)]


def loaded(path, **keys):
    return load_dataset(DataConfig(path=str(path), **keys), seed=0)


def load_text(folder, text, name="t.csv", encoding="utf-8", **keys):
    (folder / name).write_text(text, encoding=encoding)
    return loaded(folder / name, **keys)


def load_frame(folder, frame, **keys):
    frame.to_csv(folder / "t.csv", index=False)
    return loaded(folder / "t.csv", **keys)


def titles(data):
    return [finding.title for finding in data.findings]


def test_addresses_that_are_small_numbers_are_years_there(tmp_path):
    table = pd.DataFrame({"id": IDS, "months": MONTHS, "address": MONTHS % 40, "left": LEFT * 1})
    data = load_frame(tmp_path, table)
    assert data.schema.numeric == ("months", "address")
    streets = load_frame(tmp_path, table.assign(address=[f"Main St {i}" for i in range(N)]))
    assert streets.schema.dropped == ("address",)


@pytest.mark.parametrize("name", ["S_CUSTNO", "EmployeeNumber", "subid", "CUST_NO", "kundennummer", "msno"])
def test_an_id_keeps_the_rows_of_its_customers_in_one_part(tmp_path, name):
    table = pd.DataFrame({name: 1000 + np.arange(N) // 4, "year": 2014 + np.arange(N) % 4})
    data = load_frame(tmp_path, table.assign(months=MONTHS, left=LEFT * 1))
    assert (data.schema.id, data.schema.numeric) == (name, ("year", "months"))
    splits = split_dataset(data, SplitConfig(), 0, seed=1)
    parts = [
        set(data.ids[rows]) for rows in (splits.train, splits.validation, splits.calibration, splits.test)
    ]
    assert sum(map(len, parts)) == len(set.union(*parts)) == N // 4


def test_rows_of_customers_who_are_alike_in_a_few_features_are_split_by_customer(tmp_path):
    accounts = pd.DataFrame({"account_id": [f"A{i}" for i in np.tile(np.arange(N), 6)]})
    random = np.random.default_rng(1)
    table = accounts.assign(
        plan=random.choice(["p0", "p1", "p2"], 6 * N), seats=random.integers(0, 8, 6 * N),
        trial=random.integers(0, 2, 6 * N), left=random.integers(0, 3, 6 * N) // 2,
    )  # fmt: skip
    data = load_frame(tmp_path, table)
    splits = split_dataset(data, SplitConfig(), 0, seed=1)
    assert len(set(data.ids[splits.test]) & set(data.ids[splits.train])) == 0
    kinds = data.frame.astype(str).agg("|".join, axis=1)
    assert set(kinds) - set(kinds[splits.test]) == set()  # the test part has every kind of customer
    finding = next(f for f in data.findings if "agree with another row" in f.title)
    assert "to one another" in finding.evidence
    assert "only 'account_id' keeps rows together" in finding.advice


def test_a_score_that_was_raised_for_leavers_is_found_whatever_its_auc(tmp_path):
    random = np.random.default_rng(3)
    left = random.random(4000) < 0.26
    score = np.where(left, random.integers(62, 101, 4000), random.integers(1, 81, 4000))
    table = pd.DataFrame({"id": range(4000), "months": random.integers(1, 61, 4000), "risk_score": score})
    data = load_frame(tmp_path, table.assign(left=left * 1))
    leak = next(finding for finding in data.findings if "'risk_score'" in finding.title)
    assert re.match(r"where it is 81 to 100, 100\.0% of [0-9,]+ customers left", leak.evidence)
    assert not any("'months'" in title for title in titles(data))


def test_thousands_with_a_point_are_asked_about_and_the_settings_stay_in_the_yaml(tmp_path):
    fees = [f"{value:,}".replace(",", ".") for value in np.arange(N) * 37]
    rows = "".join(f"C{i};{MONTHS[i]};{fees[i]};{LEFT[i]:d}\n" for i in range(N))
    with pytest.raises(UserError) as error:
        load_text(tmp_path, "id;months;fee;left\n" + rows)
    assert "\"data.thousands='.'\" \"data.decimal=','\"" in str(error.value)
    data = loaded(tmp_path / "t.csv", thousands=".", decimal=",")
    assert data.frame["fee"].tolist() == (np.arange(N) * 37.0).tolist()
    assert {"decimal: ','", "thousands: ."} <= set(data.schema.to_yaml().splitlines())
    plain = load_text(tmp_path, "id;months;fee;left\n" + rows, numeric=["fee"])
    assert plain.frame["fee"].iloc[30] == 1.11


def test_counts_that_start_at_0_raise_no_alarm(tmp_path):
    counts = RNG.poisson(3, 1000)
    table = pd.DataFrame({"id": range(1000), "tenure": counts, "left": np.arange(1000) % 3 == 0})
    assert not any("tenure" in title for title in titles(load_frame(tmp_path, table)))


def test_a_table_in_any_script_has_its_columns(tmp_path):
    table = pd.DataFrame(
        {"等级": np.arange(N) % 3, "費用 $": MONTHS, "費用 %": MONTHS[::-1], "流失": LEFT * 1}
    )
    data = load_frame(tmp_path, table, target="流失")
    assert data.schema.features == ("等级", "費用 $", "費用 %")
    with pytest.raises(UserError, match="candidates: \n    '流失': '0' "):
        load_frame(tmp_path, table)


def test_a_date_of_leaving_is_a_target_where_blank_means_stayed(tmp_path):
    dates = np.where(LEFT, "2024-03-01", "")
    table = pd.DataFrame({"id": IDS, "months": MONTHS, "churn_date": dates})
    with pytest.raises(UserError) as error:
        load_frame(tmp_path, table)
    assert """if every filled cell means it, and blank 'stayed': 'data.churned=["*"]'""" in str(error.value)
    for churned in (["2024-03-01"], ["*"]):
        np.testing.assert_array_equal(load_frame(tmp_path, table, churned=churned).churned, LEFT)


@pytest.mark.parametrize(
    ("yes", "no"),
    [("True,", "False,"), ("1.000", "0.000"), ("LEAVE", "STAY"), ("ja", "nej"), ("TRUE", "FALSE")],
)
def test_a_target_in_the_words_of_other_programs_is_understood(tmp_path, yes, no):
    rows = "".join(f"{MONTHS[i]}\t{yes if LEFT[i] else no}\n" for i in range(N))
    np.testing.assert_array_equal(load_text(tmp_path, "months\tleft\n" + rows).churned, LEFT)


def test_the_null_of_databases_is_missing_in_every_kind_of_column(tmp_path):
    plans, months = np.resize(["a", "b", r"\N"], N), np.where(np.arange(N) % 9, MONTHS, r"\N")
    table = pd.DataFrame({"id": IDS, "months": months, "plan": plans, "left": LEFT * 1})
    table.to_csv(tmp_path / "t.tsv", index=False, sep="\t")
    data = loaded(tmp_path / "t.tsv")
    assert set(data.frame["plan"]) == {"a", "b", ""}
    assert np.isnan(data.frame["months"]).sum() == np.ceil(N / 9)


def test_orange_arff_and_indented_json_are_read_as_what_they_are(tmp_path):
    rows = [(i, int(MONTHS[i]), "ab"[i % 2], int(LEFT[i])) for i in range(N)]
    head = "id\tmonths\tplan\tleft\nstring\tcontinuous\tdiscrete\tdiscrete\nmeta\t\t\tclass\n"
    orange = load_text(tmp_path, head + "".join("\t".join(map(str, row)) + "\n" for row in rows), "t.tab")
    head = "@relation churn\n@attribute id numeric\n@attribute months numeric\n@attribute plan {a,b}\n"
    lines = "".join(",".join(map(str, row)) + "\n" for row in rows)
    arff = load_text(tmp_path, f"{head}@attribute left {{0,1}}\n@data\n{lines}", "t.arff")
    records = [dict(zip(("id", "months", "plan", "left"), row, strict=True)) for row in rows]
    pretty = load_text(tmp_path, json.dumps(records, indent=2), "t.json")
    for data in (orange, arff, pretty):
        assert (data.schema.id, data.schema.features) == ("id", ("months", "plan"))
        assert data.frame["months"].tolist() == MONTHS.tolist()
        np.testing.assert_array_equal(data.churned, LEFT)


def test_a_web_page_behind_blank_lines_is_refused_as_one(tmp_path):
    page = '\n\n\n<!DOCTYPE html>\n<html><head><meta content="people, files, and more"></head></html>\n'
    with pytest.raises(UserError, match="a web page, perhaps of a failed download"):
        load_text(tmp_path, page)


def test_a_binary_file_in_a_configured_encoding_ends_in_one_message(tmp_path):
    (tmp_path / "t.csv").write_bytes(bytes(range(256)) * 9)
    with pytest.raises(UserError, match="the text is not utf-16"):
        loaded(tmp_path / "t.csv", encoding="utf-16")


CITIES = {"gbk": ["北京市朝阳区", "上海市"], "cp1251": ["Москва", "Воронеж"], "cp1250": ["Łódź", "Wrocław"],
          "mac_roman": ["Zürich", "Besançon"]}  # fmt: skip


@pytest.mark.parametrize("encoding", CITIES)
def test_where_letters_may_be_wrong_the_note_shows_them_and_names_the_encoding(tmp_path, encoding):
    cities = np.resize(CITIES[encoding], N)
    rows = "".join(f"C{i},{MONTHS[i]},{cities[i]},{LEFT[i]:d}\n" for i in range(N))
    try:
        said = load_text(tmp_path, "id,months,city,left\n" + rows, encoding=encoding).notes[0]
        assert "assumed, because the bytes are not UTF-8" in said
        assert "; if letters look wrong: data.encoding=" in said
    except UserError as error:  # some bytes mean nothing in the assumed encoding
        said = str(error)
        assert "the text is not cp1252" in said
    suggested = re.findall(r"(\w+)(?: \('| or |$)", said.partition("data.encoding=")[2])
    again = [loaded(tmp_path / "t.csv", encoding=name).frame["city"].tolist() for name in suggested]
    assert cities.tolist() in again, said
