"""The list on the page is the one that `churn score` writes."""

import shlex
from dataclasses import replace
from types import SimpleNamespace

import pandas as pd
import pytest
from conftest import compose_config

pytest.importorskip("shiny", reason="the extra `app` is not installed")

from shiny import reactive

from churn.app import one, whom
from churn.app.desk import Desk
from churn.app.listing import Listing
from churn.bundle.reasons import value_in_words
from churn.errors import UserError
from churn.score.page import render_page
from churn.score.stage import score


@pytest.fixture
def listing(run_directory, customers_file, tmp_path):
    """The list of a file with a name that has to be quoted, by an app with assumptions of its own."""
    file = tmp_path / "june's customers (1).csv"
    file.write_bytes(customers_file.read_bytes())
    settings = ("decision.contact_cost=2.25", "decision.control_share=0.3", "seed=7", "data.encoding=latin-1")
    desk = Desk(compose_config(*settings))
    desk.choose(str(run_directory / "bundle"))
    desk.inspect(file, str(file), print)()
    desk.score(print)()
    made = Listing(desk)
    made.capacity = lambda: 20
    made.changes = lambda: {"customer_value": 1234567.5}
    with desk.closing, reactive.isolate():
        yield made


def test_the_command_writes_the_same_list(listing, tmp_path):
    barred = tmp_path / "not these.csv"
    barred.write_text("\n".join(listing.desk.scored()["key", "key"][:40]))
    ids = listing.excluded([{"datapath": str(barred), "name": str(barred)}])
    listing.barred_ids, listing.barred_file = lambda: ids, lambda: str(barred)
    program, stage, *settings = shlex.split(listing.command())
    assert (program, stage) == ("churn", "score")
    assert listing.ranked().barred == 40
    assert listing.ranked().assumed.control_share == 0.3
    assert {"seed=7", "data.encoding=latin-1"} <= {*settings}
    score(compose_config(*settings, f"output={tmp_path / 'list.csv'}"))
    assert whom.to_file(listing.full().table, ".csv") == (tmp_path / "list.csv").read_bytes()


def test_of_a_repeated_customer_the_page_shows_the_row_of_the_list(listing):
    scored = listing.desk.scored()
    risk = scored["answer", "churn_probability"]
    twice = scored.loc[[risk.idxmin(), risk.idxmax()]].reset_index(drop=True)
    twice["key", "key"] = "A-1"
    found = one.find(twice, " A-1 ", listing.assumed())
    pd.testing.assert_frame_equal(found, twice["features"][1:].reset_index(drop=True))
    assert one.find(twice, "A-2", listing.assumed()) is None
    twice["key", "key"] = ["row 1", "row 2"]  # they have no ids
    assert one.find(twice, "2", listing.assumed())["tenure"].equals(found["tenure"])


def test_a_file_of_ids_that_match_nobody_is_said(listing):
    listing.barred_ids, listing.barred_file = lambda: {"x-1", "x-2"}, lambda: "barred.csv"
    with pytest.raises(UserError, match="none of its 2 ids is among the customers"):
        listing.ranked()


def test_a_file_of_ids_is_refused_where_the_customers_have_none(listing):
    by_row = listing.desk.scored().rename(columns={listing.desk.bundle().schema.id: "row"}, level=1)
    by_row["key", "key"] = [str(row + 1) for row in range(len(by_row))]
    listing.desk.scored = lambda: by_row
    listing.barred_ids, listing.barred_file = lambda: {"7"}, lambda: "barred.csv"
    with pytest.raises(UserError, match="nobody can be left out"):
        listing.ranked()


def test_a_blank_cell_of_the_file_is_blank_in_the_list(listing):
    rows = listing.rows(listing.calls().table[:2].assign(phone=[None, 4.0]))
    assert [row["cells"]["phone"] for row in rows] == ["", "4"]


def test_the_reasons_of_one_customer_are_not_shown_for_another(listing, monkeypatch):
    asked = []

    def explain(bundle, best):
        asked.extend(best["features", "tenure"])
        return pd.DataFrame(
            {"reason_1": [f"tenure is {value} (+0.10)" for value in best["features", "tenure"]]}
        )

    monkeypatch.setattr("churn.app.listing.explain_customers", explain)
    table = listing.first()[:1].loc[[0] * 3].reset_index(drop=True)
    table["features", "tenure"] = [-1.0, -2.0, float("nan")]  # in Python -1 and -2 have the same hash
    listing.first = lambda: table
    for _ in range(2):
        shown = listing.explained(table.index)[0]
        assert list(shown["reason_1"]) == [
            f"tenure is {value} (+0.10)" for value in (-1.0, -2.0, float("nan"))
        ]
    assert len(asked) == 3  # once each


def test_what_if_reads_a_number_as_the_browser_writes_it_whatever_the_table_s_decimal_mark(listing):
    schema = listing.desk.bundle().schema
    row = one.find(listing.desk.scored(), listing.desk.scored()["key", "key"][0], listing.assumed())
    german = SimpleNamespace(schema=replace(schema, decimal=",", thousands=".", missing=("-99",)))
    for typed, number in {"50.5": 50.5, "1.250": 1.25, "70": 70, "-99": None, "": None, "abc": None}.items():
        cell = one.changed_row(german, row, "tenure", typed)["tenure"].iloc[0]
        assert cell == number or (number is None and pd.isna(cell)), typed


def test_a_number_stands_in_its_field_with_all_its_digits(listing):
    row = one.find(listing.desk.scored(), listing.desk.scored()["key", "key"][0], listing.assumed())
    for value, shown in {1234567.89: "1234567.89", 70.0: "70", float("nan"): ""}.items():
        fields = one.fields(listing.desk.bundle(), row.assign(tenure=value))
        assert {field["name"]: field["value"] for field in fields}["tenure"] == shown


@pytest.mark.parametrize("changes", [{"contact_cost": 30.0}, {"contact_cost": 0.0, "offer_cost": 0.0}])
def test_one_customer_is_to_be_called_exactly_if_the_list_says_so(listing, changes):
    listing.changes = lambda: changes
    bundle, scored, assumed = listing.desk.bundle(), listing.desk.scored(), listing.assumed()
    listed, own = set(listing.ranked().best["key", "key"]), scored["answer", "churn"] == 1
    asked = scored["key", "key"][::4]
    told = {key: one.answer(bundle, one.find(scored, key, assumed), assumed).call for key in asked}
    assert told == {key: key in listed for key in asked}
    assert list(told.values()) != own[::4].tolist()  # the bundle's own decision is another


def test_columns_that_are_carried_along_are_neither_overwritten_nor_taken_for_reasons(listing, tmp_path):
    carried = dict.fromkeys(("worth", "interval", "reasons", "key", "low", "high", "cells"), "mine")
    carried |= {"reason_code": "7", "reason_of_complaint": "late invoice"}
    file = tmp_path / "carried.csv"
    pd.read_csv(listing.desk.upload().path).assign(**carried).to_csv(file, index=False)
    listing.desk.inspect(file, "carried.csv", print)()
    listing.desk.score(print)()
    for row in listing.rows(listing.calls().table[:2]):
        assert row["cells"].items() >= carried.items()
        assert row["worth"] != "mine"
        assert row["low"] < row["churn_probability"] < row["high"]
    page = render_page(listing.full(), listing.desk.bundle())
    assert page.count("".join(f'<td class="name">{cell}</td>' for cell in carried.values())) == len(
        listing.calls().table
    )
    assert "<li>late invoice" not in page
    assert "<li>7" not in page


def test_the_list_of_a_model_without_certainties_is_printed_and_filtered(listing):
    full = listing.full()
    table = full.table.drop(columns=["certainty", "churn_probability_low", "churn_probability_high"])
    assert "What to do" in render_page(full._replace(table=table), listing.desk.bundle())
    assert len(whom.matching(table, "", "", "", "")) == len(table)
    assert whom.matching(table, "", "", "", "leaves").empty


def test_a_customer_is_not_among_the_former_customers_like_this_one(listing):
    training = listing.desk.training()
    key = training.test["customerID"][0]
    row = training.frame[training.ids == key]
    nearest = one.alike(row, key, training)[2]
    assert not nearest[row.columns].eq(row.map(value_in_words).iloc[0]).all(axis=1).any()
